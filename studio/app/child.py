"""The studio's own command in a process of its own: what needs torch, or reads files nobody has checked yet.

The command's `--json` output is the protocol; its two-line errors come back as the errors they were.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio.core.errors import HardwareError, StudioError
from studio.spec import RunSpec, dump_asked


def run_json(arguments: list[str], home: Path, seconds: float = 600, good: tuple[int, ...] = (0,)) -> Any:
    """Run `studio ARGUMENTS --json` and return the document it prints. Raises StudioError with what the command said."""
    environment = {**os.environ, "STUDIO_HOME": str(home)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "studio", *arguments, "--json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HardwareError(
            f"it took longer than {seconds:.0f} seconds", hint="Try a smaller file, or use the command.", where=arguments[0]
        ) from None
    if done.returncode in good and done.stdout.strip():
        return json.loads(done.stdout)
    raise error_of(done.stderr.decode("utf-8", "replace"), done.returncode, arguments[0])


def error_of(told: str, code: int, command: str) -> StudioError:
    """The error a command told on its last two lines."""
    lines = [line for line in told.strip().splitlines() if line.strip()]
    if len(lines) >= 2 and lines[-1].startswith("→ "):
        return StudioError(lines[-2], hint=lines[-1].removeprefix("→ "))
    if code < 0:
        return HardwareError(f"`studio {command}` was killed (signal {-code})", hint="The machine may be out of memory.")
    return StudioError(f"`studio {command}` failed", hint=lines[-1] if lines else f"It ended with code {code}.")


@contextmanager
def spec_file(spec: RunSpec) -> Iterator[str]:
    """A spec as a file for the time of a command."""
    with tempfile.TemporaryDirectory(prefix="studio-spec-") as folder:
        file = Path(folder) / "spec.yaml"
        file.write_text(dump_asked(spec), encoding="utf-8")
        yield str(file)


def plan(spec: RunSpec, home: Path, gpu: str = "") -> dict[str, Any]:
    """The plan of a spec, as plain values. Raises StudioError."""
    with spec_file(spec) as file:
        return run_json(["plan", file, *(["--gpu", gpu] if gpu else [])], home)


def inspect(spec: RunSpec, home: Path) -> dict[str, Any]:
    """The report on a spec's data, as plain values; also when the data is not usable. Raises StudioError."""
    with spec_file(spec) as file:
        return run_json(["data", "inspect", "--spec", file], home, good=(0, 2))


def preview(spec: RunSpec, home: Path, rows: int = 3) -> list[dict[str, Any]]:
    """The token stream of the first rows of a spec's data. Raises StudioError."""
    with spec_file(spec) as file:
        return run_json(["data", "preview", spec.data.files[0], "--spec", file, "--rows", str(rows)], home)
