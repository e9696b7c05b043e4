"""The first rows of a file as they stand in it: `python -m studio.app.file_preview FILE` prints them as JSON.

A process of its own, because the file may be anything: whatever it does to its reader, the web server goes on.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import ClassVar

from studio.core.errors import StudioError
from studio.core.records import Record
from studio.core.text import shorten
from studio.data.formats import FORMATS as FORMATS
from studio.processes import command, spawn

ROWS = 50


class FirstRows(Record):
    """The first rows of a file before anything is made of them."""

    label: ClassVar[str] = "preview of a file"

    columns: tuple[str, ...]
    """Names in the order they appear."""
    rows: tuple[dict[str, str], ...]
    """The first five, values shortened."""


def first_rows(file: str | Path, settings: str = "{}", seconds: float = 60) -> FirstRows:
    """The beginning of a file. settings: how it is read, fields of the data section as JSON. Raises StudioError."""
    answer = command.document(spawn.python("studio.app.file_preview", str(file), settings), "data", seconds)
    return FirstRows.from_json(answer, where=str(file))


def main(file: str, settings: str) -> int:
    """Print the beginning of a file."""
    from studio.data.read import read
    from studio.data.rows import Row
    from studio.data.settings import Data

    try:
        found = [
            item for item in islice(read(file, Data(**json.loads(settings) | {"train": file})), ROWS) if isinstance(item, Row)
        ]
    except StudioError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    first = FirstRows(
        columns=tuple(dict.fromkeys(str(name) for row in found for name in row.values))[:200],
        rows=tuple({str(name): shorten(str(value), 120) for name, value in row.values.items()} for row in found[:5]),
    )
    sys.stdout.write(json.dumps(first.as_json(), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
