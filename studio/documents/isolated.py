"""A document read in a process of its own: one that crashes its reader, fills the memory or never ends takes nothing along.

The child prints its progress, a JSON line each, and writes the reading, or the error it refused with, into a file.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

from studio.core.errors import DataError, Stopped, StudioError
from studio.core.records import ErrorRecord
from studio.core.text import size
from studio.documents.readers import READERS, ocr
from studio.documents.reading import Reading
from studio.processes import lines, spawn
from studio.tracking.reporter import ProgressListener, Reporter

MEMORY = 2 << 30
"""Bytes the child may allocate; twice that where pages are recognized."""
SILENT = 300
"""Seconds without progress, which is told at each page, after which the child is ended."""
_HINT = "Open it and print it to a PDF again, or split it."


def read(path: Path, name: str, reporter: Reporter) -> Reading:
    """What `READERS` gives for the suffix of `name`. Raises DataError, also for a crash, and Stopped."""
    with tempfile.TemporaryDirectory(prefix="studio-reading-") as folder:
        out, refused = Path(folder, "reading.json"), Path(folder, "error.json")
        heard = time.monotonic()

        def on_line(line: str) -> None:
            nonlocal heard
            heard = time.monotonic()
            with contextlib.suppress(ValueError, TypeError):
                done, total = json.loads(line)
                reporter.progress(done, total, f"Reading {name}")

        def check() -> None:
            if reporter.should_stop():
                raise Stopped
            if time.monotonic() - heard > SILENT:
                raise DataError(f"a page of it took longer than {SILENT} seconds", hint=_HINT, where=name)

        command = spawn.python("studio.documents.isolated", str(path), name, str(out), str(refused), str(_memory()))
        lines.run(command, on_line, check=check)
        if out.exists():
            return Reading.read(out)
        if refused.exists():
            raise ErrorRecord.read(refused).error()
        raise DataError(
            f"its reader crashed, or would have needed more than {size(_memory())} of memory", hint=_HINT, where=name
        )


def _memory() -> int:
    return 2 * MEMORY if ocr.available() else MEMORY


def _child(path: Path, name: str, out: Path, refused: Path, memory: int) -> int:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def tell(done: float, total: float, _: str) -> None:
        sys.stdout.write(f"{json.dumps([done, total])}\n")
        sys.stdout.flush()

    try:
        READERS[Path(name).suffix.lower()].read(path, name, ProgressListener(tell)).write(out)
    except StudioError as problem:
        ErrorRecord.of(problem).write(refused)
        return 1
    except MemoryError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])))
