"""A command run to its end, its output read line by line meanwhile."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from studio.processes import system

TAIL = 40
"""Last lines that are returned with the exit code."""


def run(
    command: Sequence[str],
    on_line: Callable[[str], None],
    *,
    check: Callable[[], None],
    environment: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
) -> tuple[int, list[str]]:
    """Run a command in a session of its own; its exit code and last lines (output and error output together).

    on_line is called with each line, check a few times a second. What either raises ends the command with all it started.
    inherit: descriptors it keeps, e.g. of a lock.
    """
    system.require_linux()
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True, env=dict(os.environ if environment is None else environment), pass_fds=tuple(inherit),
    )  # fmt: skip
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(child, lines), daemon=True, name="lines").start()
    tail: list[str] = []
    try:
        while True:
            check()
            with contextlib.suppress(queue.Empty):
                line = lines.get(timeout=0.2)
                if line is None:
                    return child.wait(), tail
                tail = [*tail[1 - TAIL :], line]
                on_line(line)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise


def _read(child: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert child.stdout
    with child.stdout as out:
        for line in out:
            lines.put(line.rstrip())
    lines.put(None)
