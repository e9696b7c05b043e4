"""Parquet, in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from studio.core.errors import DataError
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row

_BATCH = 512


def rows(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Rows of a parquet file; a row's line is its number, from 1."""
    import pyarrow
    import pyarrow.parquet as parquet

    number = 0
    try:
        file = parquet.ParquetFile(stream, pre_buffer=False)
        for batch in file.iter_batches(batch_size=_BATCH):
            for values in batch.to_pylist():
                number += 1
                yield Row({name: compact(value) for name, value in values.items()}, facts.name, number)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as problem:
        raise DataError(
            f"it cannot be read as parquet after row {number}: {problem}",
            hint="The file is damaged or cut off. Get it again whole.",
            where=facts.name,
        ) from None


def compact(value: Any) -> Any:
    """Nested objects without the null entries that columnar files add for names only other rows have."""
    if isinstance(value, dict):
        return {name: compact(inner) for name, inner in value.items() if inner is not None}
    return [compact(inner) for inner in value] if isinstance(value, list) else value
