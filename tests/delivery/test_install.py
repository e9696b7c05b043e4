"""The first steps of the README: which Python is taken, and how the command is found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OTHER = """#!/bin/sh
exec {python} -c 'import sys; sys.version_info = ({version}); sys.version = "{text}"; exec(sys.argv[1])' "$2"
"""


@pytest.mark.parametrize("minor", [10, 14])
def test_a_python_that_the_package_does_not_support_is_refused_before_anything_is_installed(minor: int, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(OTHER.format(python=sys.executable, version=f"3, {minor}, 0", text=f"3.{minor}.0"))
    python.chmod(0o755)
    command = ["make", "install", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert f"Python 3.11, 3.12 or 3.13 is needed (make PYTHON=python3.12 ...), found 3.{minor}.0" in ended.stderr
    assert not (tmp_path / "venv").exists()
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert supported == ">=3.11,<3.14"


@pytest.mark.parametrize(("target", "offline"), [("app", ""), ("demo", "1")])
def test_the_web_studio_may_download_models_and_the_demo_needs_no_hub(target: str, offline: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "studio").write_text('#!/bin/sh\necho "$1, offline: <$HF_HUB_OFFLINE>"\n')
    (tmp_path / "bin" / "studio").chmod(0o755)
    (tmp_path / ".installed").touch()
    clean = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_OFFLINE", "MAKEFLAGS", "MAKELEVEL")}
    command = ["make", target, f"VENV={tmp_path}"]
    ended = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == f"{'ui' if target == 'app' else target}, offline: <{offline}>\n", ended.stderr


@pytest.mark.slow
def test_the_readme_activates_the_environment_before_the_first_command_and_that_finds_it() -> None:
    text = (ROOT / "README.md").read_text()
    lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    names = [line for line in lines if re.match(r"(source|studio) ", line)]
    assert names[0] == "source .venv/bin/activate"
    activate = Path(sys.prefix) / "bin" / "activate"
    if not activate.exists():
        pytest.skip("the tests do not run in a virtual environment")
    clean = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    command = ["bash", "-c", f"source {activate} && studio --version"]
    ended = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.startswith("studio "), ended.stderr
