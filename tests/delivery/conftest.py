"""The project built as a wheel and installed into an environment of its own, away from the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "studio", "configs", "datasets", "notebooks")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel in it, and a folder to work in."""

    python: Path
    wheel: Path
    work: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands: nothing leads back to the source tree."""
        return {**os.environ, "STUDIO_HOME": str(self.work / "home"), "PYTHONPATH": "", "PYTHONUNBUFFERED": "1"}

    def studio(self, *words: str) -> str:
        """Run the installed command to its end; what it printed. Fails if it fails."""
        command = [str(self.python.with_name("studio")), *words]
        ended = subprocess.run(command, cwd=self.work, env=self.environment, capture_output=True, text=True, timeout=900)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return ended.stdout

    def run(self, code: str) -> str:
        """What Python code prints there."""
        command = [str(self.python), "-c", code]
        return subprocess.run(
            command, cwd=self.work, env=self.environment, capture_output=True, text=True, check=True, timeout=900
        ).stdout.strip()


def build(source: Path, out: Path) -> Path:
    """The wheel of a source tree, built with the tools that are installed."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(out), str(source)], check=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a fresh environment that borrows the present third-party packages, so that torch is not installed again."""
    base = tmp_path_factory.mktemp("wheel")
    source = base / "source"
    source.mkdir()
    for name in PARTS:
        part = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(part, source / name, symlinks=True, ignore=ignored) if part.is_dir() else shutil.copy(part, source)
    wheel = build(source, base / "dist")
    venv.create(base / "venv", with_pip=False)
    python = base / "venv" / "bin" / "python"
    site = next((base / "venv" / "lib").glob("python3.*")) / "site-packages"
    (site / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{sysconfig.get_paths()['platlib']}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--force-reinstall", str(wheel)], check=True)
    (base / "work").mkdir()
    return Installed(python, wheel, base / "work")
