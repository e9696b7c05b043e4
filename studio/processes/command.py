"""The studio's own command in a process of its own: what needs torch, or reads files nobody has checked yet.

The command's `--json` output is the protocol; a refusal comes back as the error it was.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.core.errors import HardwareError, StudioError, error_from
from studio.processes.spawn import python


def environment(home: Path) -> dict[str, str]:
    """This process's environment, with the home."""
    return {**os.environ, "STUDIO_HOME": str(home)}


def run_json(arguments: Sequence[str], home: Path, seconds: float = 600, good: tuple[int, ...] = (0,)) -> Any:
    """Run `studio ARGUMENTS --json` and return the document it prints. Raises StudioError with what the command said."""
    return document(python("studio", *arguments, "--json"), arguments[0], seconds, environment(home), good)


def document(
    command: Sequence[str], name: str, seconds: float, environment: dict[str, str] | None = None, good: tuple[int, ...] = (0,)
) -> Any:
    """Run a command that prints one JSON document, and return it. Raises StudioError with what the command said."""
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise HardwareError(
            f"it took longer than {seconds:.0f} seconds", hint="Try a smaller file, or use the command.", where=name
        ) from None
    if done.returncode in good and done.stdout.strip():
        answer = json.loads(done.stdout)
        if not is_refusal(answer):  # its exit code may be one of the good ones
            return answer
    raise error_of(done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), done.returncode, name)


def is_refusal(document: object) -> bool:
    """Whether a JSON document is what a command prints that refused, and not its answer."""
    return isinstance(document, dict) and set(document) == {"error", "exit_code"}


def error_of(out: str, errors: str, code: int, name: str) -> StudioError:
    """The error a command refused with: its JSON document, else its last two lines."""
    try:
        return error_from(json.loads(out)["error"])
    except (ValueError, KeyError, TypeError):
        pass
    lines = [line for line in errors.strip().splitlines() if line.strip()]
    if len(lines) >= 2 and lines[-1].startswith("→ "):
        return StudioError(lines[-2], hint=lines[-1].removeprefix("→ "))
    if code < 0:
        return HardwareError(f"`studio {name}` was killed (signal {-code})", hint="The machine may be out of memory.")
    return StudioError(f"`studio {name}` failed", hint=lines[-1] if lines else f"It ended with code {code}.")
