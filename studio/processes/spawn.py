"""Starting processes of the studio's own: always with this interpreter, never with the user's folder first in its path."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from studio.processes import system
from studio.processes.identity import ProcessId

_detached: list[subprocess.Popen[bytes]] = []
"""Children that go on by themselves. Kept to be asked for once they have ended, so that none stays a zombie."""


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of the studio.

    `-P` keeps the working folder out of the import path: a `studio.py` or `json.py` of the user's must not run instead.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def detached(
    command: Sequence[str],
    out: Path,
    *,
    errors: Path | None = None,
    append: bool = False,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
) -> ProcessId:
    """Start a process in a session of its own, which nothing that happens to this one reaches; returns at once.

    out and errors are the files its output goes to (one for both without `errors`), environment its whole environment, inherit
    the descriptors it keeps, e.g. of a lock.
    """
    system.require_linux()
    _detached[:] = [child for child in _detached if child.poll() is None]
    with contextlib.ExitStack() as files:
        mode = "ab" if append else "wb"
        stdout = files.enter_context(open(out, mode))
        stderr = files.enter_context(open(errors, mode)) if errors else stdout
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=folder, start_new_session=True,
            env=dict(os.environ if environment is None else environment), pass_fds=tuple(inherit),
        )  # fmt: skip
    _detached.append(child)
    return ProcessId.of(child.pid)
