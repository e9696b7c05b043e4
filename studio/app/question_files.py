"""Files of questions that people name: JSON lines as they are, other formats as the studio reads data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.core.errors import DataError
from studio.core.plain import is_object, type_name


def rows(files: Sequence[Path]) -> Iterator[Mapping[str, Any]]:
    """The rows of the files, none left out. Raises DataError for a file that is not there, or a line that is no object."""
    for file in files:
        if not file.is_file():
            raise DataError("there is no such file", hint="Name a JSONL file of questions.", where=str(file))
        yield from _json_lines(file) if file.suffix == ".jsonl" else _data(file)


def _json_lines(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except ValueError as error:
                raise _unreadable(file, number, f"not valid JSON ({error})") from None
            if not is_object(row):
                raise _unreadable(file, number, f"expected a JSON object, got {type_name(row)}")
            yield row


def _unreadable(file: Path, number: int, what: str) -> DataError:
    return DataError(what, hint='Write one row a line: {"question": "…", "answer": "…"}.', where=f"{file}:{number}")


def _data(file: Path) -> Iterator[Mapping[str, Any]]:
    from studio.data import prepare
    from studio.data.settings import Data

    for row in prepare.load_questions(str(file), Data(train=str(file))):
        yield {"messages": [*row.prompt, {"role": "assistant", "content": row.answer}]}
