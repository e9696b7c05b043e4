"""Use cases of data: inspect files, and preview the token stream a model would be trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from studio.data.findings import Finding
from studio.data.report import DataReport
from studio.data.settings import Data
from studio.spec import RunSpec


def inspect(*files: str, spec: RunSpec | None = None, **settings: Any) -> DataReport:
    """Detect, check and count; writes nothing. Takes files, or the `data` section of a spec. Raises DataError."""
    from studio.data import prepare

    values: dict[str, Any] = spec.data.model_dump() if spec else {"holdout": 0.0}
    if files:
        values["train"] = list(files)
    return prepare.inspect(Data.model_validate({**values, **settings}))


def desk(*files: str, spec: RunSpec | None = None, **settings: Any) -> list[Finding]:
    """What all checks of the content find in the usable rows, the most frequent first. Raises DataError."""
    from studio.data import prepare
    from studio.data.checks import CHECKS
    from studio.data.checks.base import findings

    values: dict[str, Any] = spec.data.model_dump() if spec else {"holdout": 0.0}
    if files:
        values["train"] = list(files)
    return findings(prepare.usable(Data.model_validate({**values, **settings})), CHECKS.values())


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


def preview(file: str, model: str = "starter", rows: int = 3, spec: RunSpec | None = None) -> Iterator[Preview]:
    """The first rows of a file through the very code that trains. Raises DataError, ModelError."""
    from studio.data import encode, prepare
    from studio.models import loading
    from studio.models.settings import Model

    settings = Data.model_validate({**(spec.data.model_dump() if spec else {}), "train": file})
    wanted = spec.model if spec else Model(name=model)
    tokenizer = loading.tokenizer(loading.find(wanted), wanted.chat_template)
    for row in islice(prepare.usable(settings), rows):
        yield Preview(row.file, row.line, encode.preview(row, tokenizer, settings.train_on))
