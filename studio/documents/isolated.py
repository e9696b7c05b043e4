"""Documents read in processes of their own: one that crashes its reader, fills the memory or never ends takes nothing along.

One child holds the readers' libraries and forks for each document, so that a document costs a fork and no start of Python. The
fork tells its progress and writes the reading, or the error it refused with, into a file; the child says how it ended. Text
of scans is recognized by one more process, for all documents.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from studio.core.errors import DataError, Stopped, StudioError
from studio.core.records import ErrorRecord
from studio.core.text import size
from studio.documents.readers import READERS, ocr, recognition
from studio.documents.reading import Reading
from studio.processes import spawn
from studio.processes.channel import Channel, Message, Voice
from studio.tracking.reporter import ProgressListener, Reporter

MEMORY = 2 << 30
"""Bytes that reading a document may allocate."""
SILENT = 300
"""Seconds without progress, which is told at each page, after which a reading is ended."""
_HINT = "Open it and print it to a PDF again, or split it."


class Apart:
    """Reads documents apart from this process, one after the other. Its child starts with the first."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="studio-reading-")
        self._channel: Channel | None = None

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()
        self._folder.cleanup()

    def read(self, path: Path, name: str, reporter: Reporter) -> Reading:
        """What `READERS` gives for the suffix of `name`. Raises DataError, also for a crash, and Stopped."""
        out, refused = Path(self._folder.name, "reading.json"), Path(self._folder.name, "error.json")
        out.unlink(missing_ok=True)
        refused.unlink(missing_ok=True)
        request = {"path": str(path.absolute()), "name": name, "out": str(out), "refused": str(refused), "memory": MEMORY}
        try:
            self._ask(request, name, reporter)
        except BaseException:
            self._end()
            raise
        if out.exists():
            return Reading.read(out)
        if refused.exists():
            raise ErrorRecord.read(refused).error()
        raise DataError(f"its reader crashed, or would have needed more than {size(MEMORY)} of memory", hint=_HINT, where=name)

    def _ask(self, request: Message, name: str, reporter: Reporter) -> None:
        heard = time.monotonic()

        def check() -> None:
            if reporter.should_stop():
                raise Stopped
            if time.monotonic() - heard > SILENT:
                raise DataError(f"a page of it took longer than {SILENT} seconds", hint=_HINT, where=name)

        if self._channel is None:
            self._channel = Channel(
                spawn.python("studio.documents.isolated", self._folder.name), Path(self._folder.name, "log.txt")
            )
        self._channel.send(request)
        while True:
            said = self._channel.receive(check)
            if said is None:  # the child itself is gone: the next document gets another
                self._end()
                return
            if "ended" in said:
                return
            heard = time.monotonic()
            reporter.progress(said["done"], said["total"], f"Reading {name}")

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _serve() -> None:
    """Fork for each request. No thread may run here: a fork has the thread that forks alone."""
    os.chdir(sys.argv[1])
    recognizer = recognition.Recognizer() if ocr.available() else None
    with contextlib.suppress(ImportError):  # said in words where the extra is missing
        import pypdfium2.raw  # noqa: F401
    gc.freeze()
    voice = Voice()
    for line in iter(sys.stdin.readline, ""):
        if recognizer:
            recognizer.ready()
        child = os.fork()
        if child == 0:
            _read_one(json.loads(line), voice)
        _wait(child)
        voice.say(ended=os.waitpid(child, 0)[1])
    if recognizer:
        recognizer.end()


def _wait(child: int) -> None:
    """Until the fork has ended; with it end all when the studio goes, which shows as the end of the input."""
    descriptor = os.pidfd_open(child)
    try:
        if 0 in select.select([0, descriptor], [], [])[0]:
            os.killpg(0, signal.SIGKILL)
    finally:
        os.close(descriptor)


def _read_one(request: Message, voice: Voice) -> None:
    """In the fork: read, and end whatever happens."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (request["memory"], request["memory"]))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        reporter = ProgressListener(lambda done, total, _: voice.say(done=done, total=total))
        try:
            name = request["name"]
            READERS[Path(name).suffix.lower()].read(Path(request["path"]), name, reporter).write(Path(request["out"]))
            code = 0
        except StudioError as problem:
            ErrorRecord.of(problem).write(Path(request["refused"]))
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
