"""Columnar files: Parquet, Arrow, Feather and ORC, in batches."""

# pyarrow has no types, so this file is checked less strictly.
# pyright: standard

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import orjson

from studio.core.errors import DataError
from studio.core.plain import is_list, is_object
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row

_BATCH = 512


def parquet(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Rows of a parquet file; a row's line is its number, from 1."""

    def batches() -> Iterator[Any]:
        import pyarrow.parquet

        yield from pyarrow.parquet.ParquetFile(stream, pre_buffer=False).iter_batches(batch_size=_BATCH)

    return _rows(batches, "parquet", facts)


def arrow(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Rows of an Arrow file or stream, such as `datasets` saves, and of a Feather file."""

    def batches() -> Iterator[Any]:
        import pyarrow.ipc

        is_file = stream.read(6) == b"ARROW1"
        stream.seek(0)
        if not is_file:
            yield from pyarrow.ipc.open_stream(stream)
            return
        file = pyarrow.ipc.open_file(stream)
        yield from (file.get_batch(index) for index in range(file.num_record_batches))

    return _rows(batches, "Arrow", facts)


def orc(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Rows of an ORC file, a stripe at a time."""

    def batches() -> Iterator[Any]:
        import pyarrow.orc

        file = pyarrow.orc.ORCFile(stream)
        yield from (file.read_stripe(index) for index in range(file.nstripes))

    return _rows(batches, "ORC", facts)


def _rows(batches: Callable[[], Iterator[Any]], kind: str, facts: Facts) -> Iterator[Row | Rejected]:
    import pyarrow

    number = 0
    classes: dict[str, list[str]] | None = None
    try:
        for batch in batches():
            if classes is None:
                classes = _classes(batch.schema.metadata or {}, facts)
            for start in range(0, batch.num_rows, _BATCH):
                for values in batch.slice(start, _BATCH).to_pylist():
                    number += 1
                    row = {name: compact(value) for name, value in values.items()}
                    yield Row(named(row, classes) if classes else row, facts.name, number)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as problem:
        raise DataError(
            f"it cannot be read as {kind} after row {number}: {problem}",
            hint="The file is damaged or cut off. Get it again whole.",
            where=facts.name,
        ) from None


def _classes(metadata: Mapping[bytes, bytes], facts: Facts) -> dict[str, list[str]]:
    """The names of the classes of each column that stores their numbers, as `datasets` notes them in a file."""
    try:
        features = orjson.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    found = {
        name: list(map(str, feature["names"]))
        for name, feature in features.items()
        if is_object(feature) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }
    note_classes(found, facts)
    return found


def note_classes(classes: Mapping[str, object], facts: Facts) -> None:
    """Say that classes are read by their names, if there are any."""
    if classes:
        listed = ", ".join(f"`{name}`" for name in classes)
        facts.remarks.append(f"The classes in {listed} are stored as numbers; they are read by their names.")


def named(values: dict[str, Any], classes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The row with its classes by name; a number that no class has is no value."""
    for name, names in classes.items():
        number = values.get(name)
        if isinstance(number, int):
            values[name] = names[number] if 0 <= number < len(names) else None
    return values


def compact(value: object) -> Any:
    """Nested objects without the null entries that columnar files add for names only other rows have."""
    if is_object(value):
        return {name: compact(inner) for name, inner in value.items() if inner is not None}
    return [compact(inner) for inner in value] if is_list(value) else value
