"""The faults: what may happen to a file that lies on disk, and to a write that is under way."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from studio.core import files

DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda content, chance: b"",
    "half": lambda content, chance: content[: len(content) // 2],
    "zeros": lambda content, chance: bytes(len(content)),
    "garbage": lambda content, chance: chance.randbytes(max(64, len(content))),
    "another type": lambda content, chance: b"[1, 2]\n",
    "null lines": lambda content, chance: content + b"null\n[]\n3\n",
    "newer version": lambda content, chance: b'{"version": 999}\n',
    "another field": lambda content, chance: _changed(content, {"unknown": [1]}),
    "null values": lambda content, chance: _changed(content, None),
    "one bit": lambda content, chance: _flip(content, chance),
}
"""What a file holds afterwards."""


def _changed(content: bytes, more: dict[str, Any] | None) -> bytes:
    """A JSON document or lines of them with a field added, or with every value null; else another text of the same length."""
    try:
        documents = [json.loads(content)]
    except ValueError:
        try:
            documents = [json.loads(line) for line in content.splitlines()]
        except ValueError:
            return content[::-1]
    changed = [({**item, **more} if more else dict.fromkeys(item)) if isinstance(item, dict) else item for item in documents]
    return b"".join(json.dumps(item).encode() + b"\n" for item in changed)


def _flip(content: bytes, chance: random.Random) -> bytes:
    if not content:
        return b"\x01"
    changed = bytearray(content)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


WRITE_FAULTS = {"full disk": errno.ENOSPC, "input/output error": errno.EIO, "torn write": None}


@contextlib.contextmanager
def failing_write(number: int, fault: str) -> Iterator[list[str]]:
    """Let the write `number` (from 1) through `core.files` fail, once; yields the names of what was written so far.

    A torn write leaves half of the content where it was written and then fails, as a machine that loses power does.
    """
    names: list[str] = []
    replace, write = os.replace, os.write

    def due(name: str) -> bool:
        names.append(name)
        return len(names) == number

    def error() -> OSError:
        code = WRITE_FAULTS.get(fault) or errno.EIO
        return OSError(code, os.strerror(code))

    def replaced(source: Any, target: Any, **more: Any) -> None:
        if due(Path(target).name):
            if fault == "torn write" and Path(source).is_file():
                content = Path(source).read_bytes()
                Path(source).write_bytes(content[: len(content) // 2])
            raise error()
        replace(source, target, **more)

    class Lines:
        """A file opened to append, whose write may fail."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *problem: Any) -> None:
            self._file.close()

        def write(self, line: bytes) -> int:
            """Write, or fail."""
            if due(Path(self._file.name).name):
                if fault == "torn write":
                    write(self._file.fileno(), line[: len(line) // 2])
                raise error()
            return self._file.write(line)

        def fileno(self) -> int:
            """The descriptor."""
            return self._file.fileno()

    def opened(path: Any, mode: str = "r", *more: Any, **settings: Any) -> Any:
        file = open(path, mode, *more, **settings)  # noqa: SIM115 - whoever opens it closes it
        return Lines(file) if mode == "ab+" else file

    before = files.__dict__.get("open")
    files.__dict__["open"] = opened
    os.replace = replaced
    try:
        yield names
    finally:
        os.replace = replace
        if before is None:
            files.__dict__.pop("open", None)
        else:
            files.__dict__["open"] = before
