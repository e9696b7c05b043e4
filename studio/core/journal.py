"""An append-only log of JSON lines that rotates: `name.jsonl`, then `name.jsonl.1` and so on, the oldest deleted.

Each line is one write, so that several processes may share a log; a lock file is not needed, since the one that rotates locks
the file it renames.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from studio.core.files import line_break, read_json_lines
from studio.core.plain import is_object

BYTES = 5 << 20
"""Size at which a log rotates."""
KEEP = 5
"""Older files that are kept beside it."""


def of_home(home: Path, name: str, keep: int = 5) -> Journal:
    """A log of a home, by what writes it: `<home>/logs/NAME.jsonl`."""
    return Journal(home / "logs" / f"{name}.jsonl", keep=keep)


class Journal:
    """One log. Its files are readable by their owner only."""

    def __init__(self, file: Path, most_bytes: int = BYTES, keep: int = KEEP) -> None:
        self.file, self._most, self._keep = file, most_bytes, keep

    def write(self, values: Mapping[str, object]) -> None:
        """Append a line, with the time. A log that cannot be written costs nobody their work: it is left out."""
        line = json.dumps({"time": round(time.time(), 3), **values}, ensure_ascii=False, default=str) + "\n"
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            out = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(out).st_size + len(line) > self._most:
                    self._rotate(out)
                    os.close(out)
                    out = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                os.write(out, line_break(out) + line.encode())
            finally:
                os.close(out)

    def read(self, most: int = 1000) -> list[dict[str, object]]:
        """The newest lines, oldest first; what is not a JSON object is left out."""
        lines: list[dict[str, object]] = []
        for file in self.files():
            lines = [line for line in read_json_lines(file) if is_object(line)] + lines
            if len(lines) >= most:
                break
        return lines[-most:]

    def files(self) -> Iterator[Path]:
        """Its files, the newest first."""
        for file in (self.file, *(self._older(number) for number in range(1, self._keep + 1))):
            if file.exists():
                yield file

    def _rotate(self, open_file: int) -> None:
        """Rename the files by one number, unless another process has done so since this one opened the file."""
        fcntl.flock(open_file, fcntl.LOCK_EX)
        try:
            if not os.path.samestat(os.fstat(open_file), os.stat(self.file)):
                return
            for number in range(self._keep, 0, -1):
                older = self._older(number - 1) if number > 1 else self.file
                if older.exists():
                    os.replace(older, self._older(number))
        finally:
            fcntl.flock(open_file, fcntl.LOCK_UN)

    def _older(self, number: int) -> Path:
        return self.file.with_name(f"{self.file.name}.{number}")
