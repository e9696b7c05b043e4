"""Small data files of every kind, written by the tests themselves."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import DataError
from studio.data.detect import Detection, detect
from studio.data.read import read
from studio.data.rows import Rejected, Row
from studio.data.settings import Data


def pairs(count: int, start: int = 0) -> list[dict[str, str]]:
    """Question and answer rows, all different."""
    return [
        {"question": f"How long is the warranty of lamp {place}?", "answer": f"It is {place + 3} months."}
        for place in range(start, start + count)
    ]


def json_lines(rows: Iterable[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write(path: Path, content: str | bytes, encoding: str = "utf-8") -> str:
    """Write a file, byte for byte as given, and give its path as the settings take it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return str(path)


def gzipped(path: Path, content: bytes) -> str:
    with gzip.open(path, "wb") as out:
        out.write(content)
    return str(path)


def zipped(path: Path, members: dict[str, bytes | str]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return str(path)


def rows_of(file: str, **settings: Any) -> list[Row]:
    """The rows of a file; fails if any is rejected."""
    found = list(read(file, Data(train=file, **settings)))
    assert not [row for row in found if isinstance(row, Rejected)]
    return [row for row in found if isinstance(row, Row)]


def both(file: str, **settings: Any) -> tuple[list[Row], list[Rejected]]:
    """The rows of a file, and those that were rejected while reading."""
    found = list(read(file, Data(train=file, **settings)))
    return [row for row in found if isinstance(row, Row)], [row for row in found if isinstance(row, Rejected)]


def detected(*rows: dict[str, Any], **settings: Any) -> Detection:
    """What detection makes of rows."""
    return detect(
        [Row(values, "file.jsonl", line) for line, values in enumerate(rows, 1)], Data(train="file.jsonl", **settings)
    )


def refusal(call: Any, *given: Any, **named: Any) -> DataError:
    """The DataError that a call raises; it must say what to do."""
    with pytest.raises(DataError) as caught:
        _done(call(*given, **named))
    assert caught.value.hint
    return caught.value


def _done(found: Any) -> Any:
    """What a call gave, taken to its end if it is a stream."""
    return list(found) if hasattr(found, "__next__") else found
