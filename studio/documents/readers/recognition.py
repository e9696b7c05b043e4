"""Text recognition in one process for all documents that are read: its models are loaded once, with the first scan.

The process that forks for each document starts it; the forks send it their pictures over a socket of their own, so that one
that crashes in the middle leaves nothing in the way of the next.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
from dataclasses import asdict
from multiprocessing.connection import Client, Connection, Listener
from typing import Any

from studio.core.errors import DataError
from studio.core.text import size
from studio.documents.readers import ocr

MEMORY = 4 << 30
"""Bytes that the recognition may allocate."""
_GREETING = b"ready"


class Recognizer:
    """The process that recognizes text, reached by a socket in the current folder. From here on this process, and what it
    forks, asks it."""

    def __init__(self) -> None:
        self._listener = Listener("ocr", "AF_UNIX")  # relative: the path of a socket has at most 107 characters
        self._child = 0
        ask_at("ocr")

    def ready(self) -> None:
        """Have it run: start it, also again after a picture that it crashed on."""
        if self._child and self._greets():
            return
        self._child = os.fork()
        if self._child == 0:
            _serve(self._listener)

    def _greets(self) -> bool:
        """Whether it answers. One that is just ending leaves the caller waiting for a moment."""
        with Client(_address, "AF_UNIX") as line:
            while not line.poll(0.02):
                if os.waitpid(self._child, os.WNOHANG)[0]:
                    return False
        return True

    def end(self) -> None:
        """End it with its work."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)
        self._listener.close()


_address = ""
"""Where the recognition listens; empty in a process that recognizes for itself."""


def ask_at(address: str) -> None:
    """Have this process recognize nothing itself, but ask the process that listens there."""
    global _address
    _address = address


def recognize(picture: Any, name: str) -> tuple[list[ocr.Recognized], float]:
    """The text in a picture of the document `name`, as `ocr.recognize` has it. Raises DataError where that crashes."""
    if not _address:
        return ocr.recognize(picture)
    try:
        with Client(_address, "AF_UNIX") as line:
            line.recv_bytes()
            line.send_bytes(json.dumps(picture.shape).encode())
            line.send_bytes(picture.tobytes())
            items, score = json.loads(line.recv_bytes())
    except (EOFError, OSError):
        raise DataError(
            f"recognizing the text of a page crashed, or would have needed more than {size(MEMORY)} of memory",
            hint="Have its text recognized by another program, and add the PDF that it saves.",
            where=name,
        ) from None
    return [ocr.Recognized(**item) for item in items], score


def _serve(listener: Listener) -> None:
    """In the process itself: one document's pictures after the other's, until it is ended."""
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        while True:
            with contextlib.suppress(EOFError, OSError), listener.accept() as line:
                _answer(line)
    finally:
        os._exit(1)


def _answer(line: Connection) -> None:
    import numpy as np

    line.send_bytes(_GREETING)
    shape = json.loads(line.recv_bytes())
    picture = np.frombuffer(line.recv_bytes(), np.uint8).reshape(shape)
    items, score = ocr.recognize(picture)
    line.send_bytes(json.dumps([[asdict(item) for item in items], score]).encode())
