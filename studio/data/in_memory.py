"""Rows in memory, such as a DataFrame, written to a file once: what trains, resumes and is repeated reads that file.

The file lies in `<home>/in-memory/` and is named by a hash of its content, so the same rows are one file however often they
are given. Beside it, `NAME.provenance.json` says what it was made from.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import orjson
from pydantic import Field

from studio.core.errors import DataError, HardwareError
from studio.core.files import studio_home
from studio.core.machine_errors import translate
from studio.core.plain import is_items, is_list, is_mapping, type_name
from studio.core.records import Record
from studio.core.text import plural, slug
from studio.data.readers.columnar import compact, named

FOLDER = "in-memory"
"""Where the files lie below the home."""
CHUNK = 10_000
"""Rows of a table that are turned into Python values at once."""
ACCEPTED = (
    "Give a path, a pandas or polars DataFrame, a list of mappings such as [{'question': ..., 'answer': ...}], or a "
    "datasets.Dataset."
)


class Provenance(Record):
    """What a file of rows was made from."""

    label: ClassVar[str] = "provenance of rows"

    source: str
    """The type the rows came as, e.g. `pandas.DataFrame`."""
    rows: int
    columns: tuple[str, ...]
    sha256: str
    """Of the file."""
    created: float
    """Seconds since 1970."""
    details: dict[str, str] = Field(default_factory=dict)
    """What a `Dataset` says of itself: name, version, split, fingerprint."""

    def __str__(self) -> str:
        return f"{self.source}, {plural(self.rows, 'row')}, columns {', '.join(self.columns)}"


def as_sources(value: object, where: str) -> Any:
    """`value` with rows in memory replaced by the path of their file; a path as text; what is neither is refused.

    A list is one set of rows if it holds mappings, else several sources. Raises DataError; where names the setting.
    """
    if is_items(value) and all(isinstance(item, str | Path) or _table(item) for item in value):
        return [_one(item, where) for item in value]
    return _one(value, where)


def provenance_file(path: Path) -> Path:
    """Where the provenance of a file of rows lies."""
    return path.with_suffix(".provenance.json")


def provenance(path: Path) -> Provenance | None:
    """What the file was made from; None for a file that was not written from memory."""
    file = provenance_file(path)
    return Provenance.read(file) if path.parent.name == FOLDER and file.is_file() else None


def _one(value: object, where: str) -> str:
    if isinstance(value, str | Path):
        return str(value)
    if kind := _table(value):
        return _written(kind, _TABLES[kind](value, where), where, _details(value) if kind == "datasets.Dataset" else {})
    if is_items(value) and all(is_mapping(item) for item in value):
        return _written("list of mappings", iter(value), where)
    raise DataError(f"expected a path or rows, got {_shown(value)}", hint=_hint(value), where=where)


def _table(value: object) -> str:
    """Which kind of table of rows it is; empty if it is none."""
    return next((kind for kind in _TABLES if _is(value, kind)), "")


def _is(value: object, kind: str) -> bool:
    """Whether the value is of a class of a library that is not imported for asking."""
    package, _, name = kind.partition(".")
    known = getattr(sys.modules.get(package), name, None)
    return isinstance(known, type) and isinstance(value, known)


def _shown(value: object) -> str:
    if is_items(value):
        return f"{type(value).__name__} of {' and '.join(sorted({type(item).__name__ for item in value}))}"
    return type_name(value)


def _hint(value: Any) -> str:
    """What to do with a value that is no source of rows."""
    if _is(value, "datasets.DatasetDict") or _is(value, "datasets.IterableDatasetDict"):
        return f"Choose a split: dataset[{next(iter(value), 'train')!r}]; it has {', '.join(map(str, value)) or 'none'}."
    if _is(value, "datasets.IterableDataset"):
        return "Take rows from the stream first: datasets.Dataset.from_list(list(dataset.take(10_000)))."
    if _is(value, "polars.LazyFrame"):
        return "Collect it first: frame.collect()."
    if _is(value, "pandas.Series") or _is(value, "polars.Series"):
        return "A series is one column: give the whole DataFrame, or series.to_frame() for plain text."
    if _is(value, "pyarrow.Table"):
        return "Give table.to_pandas()."
    if _is(value, "numpy.ndarray"):
        return "Name its columns: pandas.DataFrame(array, columns=['question', 'answer'])."
    if is_mapping(value):
        return "Give one mapping a row, in a list; columns of values: pandas.DataFrame(mapping)."
    if is_items(value) and any(is_mapping(item) for item in value):
        return "Every item must be a mapping; remove the others. " + ACCEPTED
    name: Any = getattr(value, "name", None)
    if hasattr(value, "read") and isinstance(name, str):
        return f"Give its path: {name!r}."
    if is_list(value) and value and all(isinstance(item, Sequence) for item in value):
        return "Conversations are rows too: [{'messages': conversation} for conversation in conversations]."
    if isinstance(value, Iterator):
        return "Give the rows as a list: list(rows)."
    return ACCEPTED


def _pandas(frame: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a DataFrame; an index that has a name is a column."""
    if frame.columns.nlevels > 1:
        raise DataError(
            f"its columns have {frame.columns.nlevels} levels",
            hint="Flatten them: frame.columns = ['_'.join(map(str, names)) for names in frame.columns].",
            where=where,
        )
    if any(name is not None for name in frame.index.names):
        clash = [str(name) for name in frame.index.names if name in frame.columns]
        frame = frame.reset_index(drop=bool(clash))
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the column `{twice[0]}` is there twice", hint="Rename or drop one of them.", where=where)
    for start in range(0, len(frame), CHUNK):
        part = frame.iloc[start : start + CHUNK]
        columns = (part.iloc[:, index].tolist() for index in range(len(names)))
        yield from (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _polars(frame: Any, where: str) -> Iterator[Mapping[str, Any]]:
    return itertools.chain.from_iterable(part.to_dicts() for part in frame.iter_slices(CHUNK))


def _dataset(dataset: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """The rows of a Dataset, without the formatting (torch, numpy) it may have."""
    media = [name for name, feature in dataset.features.items() if type(feature).__name__ in ("Image", "Audio", "Video", "Pdf")]
    if media:
        raise DataError(
            f"the column `{media[0]}` holds pictures or sound, and text is trained on",
            hint=f"Remove it: dataset.remove_columns({media!r}).",
            where=where,
        )
    classes = {name: feature.names for name, feature in dataset.features.items() if type(feature).__name__ == "ClassLabel"}
    return (named(row, classes) for row in dataset.with_format(None))


_TABLES = {"pandas.DataFrame": _pandas, "polars.DataFrame": _polars, "datasets.Dataset": _dataset}


def _details(dataset: Any) -> dict[str, str]:
    info = dataset.info
    found = {
        "name": info.dataset_name or info.builder_name, "version": info.version, "split": dataset.split,
        "license": info.license, "homepage": info.homepage, "fingerprint": dataset._fingerprint,
    }  # fmt: skip
    return {name: str(value) for name, value in found.items() if value}


def _written(source: str, rows: Iterable[Mapping[str, Any]], where: str, details: dict[str, str] | None = None) -> str:
    """Write the rows, unless a file has them already. Returns its path."""
    folder = studio_home() / FOLDER
    aside = folder / f".{secrets.token_hex(8)}"
    digest, columns, count = hashlib.sha256(), dict[str, None](), 0
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(aside, "xb") as out:
            for count, row in enumerate(rows, 1):
                line = _line(row, count, where)
                digest.update(line)
                out.write(line)
                columns.update(dict.fromkeys(map(str, row)))
            out.flush()
            os.fsync(out.fileno())
        if not count:
            raise DataError("there are no rows", hint="Give at least one.", where=where)
        name = slug((details or {}).get("name") or source.rpartition(".")[2])
        path = folder / f"{name}-{digest.hexdigest()[:12]}.jsonl"
        if not path.exists() or not provenance_file(path).exists():
            made = Provenance(
                source=source, rows=count, columns=tuple(columns), sha256=digest.hexdigest(), created=time.time(),
                details=details or {},
            )  # fmt: skip
            made.write(provenance_file(path))
            os.replace(aside, path)
        return str(path)
    except OSError as problem:
        known = translate(problem)
        raise known or HardwareError(
            f"the rows cannot be written: {problem}", hint="Choose another home: $STUDIO_HOME.", where=str(folder)
        ) from None
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _line(row: Mapping[str, Any], number: int, where: str) -> bytes:
    values = {str(name): compact(value) for name, value in row.items()}
    try:
        return orjson.dumps(values, default=_plain, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        pass
    for name, value in values.items():  # a lone surrogate is the reader's to judge; anything else is refused here
        try:
            json.dumps(value, default=_plain)
        except (TypeError, ValueError):
            raise DataError(
                f"row {number}: column `{name}` holds {_shown(_culprit(value))}, which is not text, a number or a list of them",
                hint=f"Drop the column, or turn it into text: frame['{name}'].map(str).",
                where=where,
            ) from None
    return json.dumps(values, default=_plain).encode() + b"\n"


def _plain(value: object) -> Any:
    """A value of another library as JSON has it: dates as ISO text, arrays as lists, what is missing as null."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    for method in ("isoformat", "tolist"):  # dates and times; arrays and numbers of numpy
        if hasattr(value, method):
            return getattr(value, method)()
    if is_mapping(value):
        return {str(name): inner for name, inner in value.items()}
    if type(value).__name__ == "Decimal":
        return str(value)
    raise TypeError(type(value).__name__)


def _culprit(value: object) -> Any:
    """The innermost value of a nested one that cannot be written."""
    for inner in value.values() if is_mapping(value) else value if is_items(value) else ():
        try:
            json.dumps(inner, default=_plain)
        except (TypeError, ValueError):
            return _culprit(inner)
    return value
