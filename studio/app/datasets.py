"""Use cases of data: inspect files, and preview the token stream a model would be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from studio.data import in_memory
from studio.data.findings import Finding
from studio.data.report import DataReport
from studio.data.settings import Data
from studio.spec import RunSpec


def inspect(*data: Any, spec: RunSpec | None = None, **settings: Any) -> DataReport:
    """Detect, check and count; trains nothing. Raises DataError.

    data: paths, DataFrames (pandas, polars), lists of mappings, `datasets.Dataset`s; none takes the data section of `spec`.
    settings are those of that section, such as `format="alpaca"`.
    """
    from studio.data import prepare

    return prepare.inspect(_settings(data, spec, settings))


def desk(*data: Any, spec: RunSpec | None = None, **settings: Any) -> list[Finding]:
    """What all checks of the content find in the usable rows, the most frequent first. Takes what `inspect` takes."""
    from studio.data import prepare
    from studio.data.checks import CHECKS
    from studio.data.checks.base import findings

    return findings(prepare.usable(_settings(data, spec, settings)), CHECKS.values())


def _settings(data: Sequence[Any], spec: RunSpec | None, settings: Mapping[str, Any]) -> Data:
    values: dict[str, Any] = spec.data.model_dump(exclude_unset=True) if spec else {"holdout": 0.0}
    if data:
        sources = [in_memory.as_sources(item, "data.train") for item in data]
        values["train"] = [source for item in sources for source in ([item] if isinstance(item, str) else item)]
    return Data(**{**values, **settings})


@dataclass(frozen=True)
class Preview:
    """One row as the model sees it: text pieces, each with its token id and whether it is trained on."""

    file: str
    line: int
    pieces: list[Any]

    @property
    def trained(self) -> int:
        """Tokens that are learned."""
        return sum(piece.trained for piece in self.pieces)


def preview(data: Any = None, model: str = "starter", rows: int = 3, spec: RunSpec | None = None) -> list[Preview]:
    """The first rows as token pieces, through the very code that trains. Raises DataError, ModelError.

    data: what `inspect` takes; nothing takes the data of `spec`, whose settings and model count too.
    """
    from studio.data import encode, prepare
    from studio.models import loading
    from studio.models.settings import Model

    settings = _settings([] if data is None else [data], spec, {})
    wanted = spec.model if spec else Model(name=model)
    tokenizer = loading.tokenizer(loading.find(wanted), wanted.chat_template)
    found = islice(prepare.usable(settings), rows)
    return [Preview(row.file, row.line, encode.preview(row, tokenizer, settings.train_on)) for row in found]
