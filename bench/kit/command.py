"""A command watched from outside: CPU seconds to what it reaches on its way and to its end, and its tree's peak memory.

Processes that a command leaves behind (a run outlives its terminal) are adopted, so that nothing it does goes uncounted.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SET_CHILD_SUBREAPER = 36
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Watched:
    """CPU seconds of all its processes, user and system, and wall seconds: until each mark and in all.

    peak_mib: proportional set size (shared pages are divided), all processes together.
    """

    marks: dict[str, dict[str, float]]
    cpu: float
    wall: float
    peak_mib: float
    output: str

    def as_dict(self) -> dict[str, Any]:
        """As plain values, without the output."""
        return {name: value for name, value in asdict(self).items() if name != "output"}


Mark = Callable[[str], bool]


def watch(command: list[str], env: dict[str, str], cwd: Path, marks: dict[str, Mark], tick: float = 0.04) -> Watched:
    """Run a command to its end. Each mark is asked, with the output so far, whether it is reached.

    Raises RuntimeError, with the end of the output, if it fails.
    """
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1)
    before, began = _ended_cpu(), time.monotonic()
    child = subprocess.Popen(
        command, env={**os.environ, **env}, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(lambda: os.read(child.stdout.fileno(), 65536), b"")))  # type: ignore[union-attr]
    reader.start()
    reached: dict[str, dict[str, float]] = {}
    peak, turn, code = 0.0, 0, None
    while code is None or _children(os.getpid()):
        code = child.poll() if code is None else code
        if code is not None:
            _reap()
        for name, mark in marks.items():
            if name not in reached and mark(b"".join(lines).decode(errors="replace")):
                cpu = _ended_cpu() + _living_cpu(os.getpid()) - before
                reached[name] = {"cpu": cpu, "wall": time.monotonic() - began}
        if turn % 5 == 0:
            peak = max(peak, sum(_pss(pid) for pid in _tree(os.getpid())) / 1024)
        turn += 1
        time.sleep(tick)
    reader.join()
    output = b"".join(lines).decode(errors="replace")
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{output[-3000:]}")
    return Watched(reached, _ended_cpu() - before, time.monotonic() - began, peak, output)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _ended_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _living_cpu(root: int) -> float:
    """Of all descendants, and of those of theirs that have ended."""
    return sum(sum(_stat(pid)[11:15]) for pid in _tree(root)) / TICK


def _stat(pid: int) -> list[int]:
    try:
        return [
            int(part) if part.lstrip("-").isdigit() else 0 for part in _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        ]
    except OSError:
        return [0] * 20


def _tree(root: int) -> list[int]:
    found, left = [], _children(root)
    while left:
        pid = left.pop()
        found.append(pid)
        left += _children(pid)
    return found


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [
            int(child)
            for task in os.listdir(f"/proc/{pid}/task")
            for child in _read(f"/proc/{pid}/task/{task}/children").split()
        ]
    return []


def _pss(pid: int) -> float:
    """KiB."""
    with contextlib.suppress(OSError):
        return next(
            (int(line.split()[1]) for line in _read(f"/proc/{pid}/smaps_rollup").splitlines() if line.startswith("Pss:")), 0
        )
    return 0


def _read(path: str) -> str:
    return Path(path).read_text()
