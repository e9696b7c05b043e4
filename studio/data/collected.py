"""Where rows come from that people made by rating and correcting a model's answers: kept with the rows, in a run's lock, in
the model card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from studio.core.records import Record
from studio.core.text import plural

Kind: TypeAlias = Literal["correction", "good answer", "label", "pair"]
FILE = "feedback"
"""What the desk shows as the file of such rows; the line is the answer's number."""


class CollectedRow(Record):
    """The answer that a row was made of."""

    label: ClassVar[str] = "origin of a collected row"

    number: int
    """The answer's number in the feedback of its home."""
    kind: Kind
    origin: str
    """Where it was given: chat, evidence or served."""
    model: str
    run: str = ""
    """The run that the model is of; empty for other models."""
    rating: str = ""
    answer: str = ""
    """What the model had answered, where the row says something else."""
    index: str = ""
    """The index whose passages the answer was written from."""
    masked: tuple[str, ...] = ()
    """Kinds of personal data that were masked."""
    by: str = ""
    """Who rated it."""
    at: float = 0.0
    """When it was rated, in seconds since the epoch."""


class CollectedRows(Record):
    """In short which rows of a dataset people made."""

    label: ClassVar[str] = "origin of collected rows"

    kinds: dict[str, int] = Field(default_factory=dict)
    """Rows by kind."""
    models: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[CollectedRow], before: CollectedRows | None = None) -> CollectedRows | None:
        """The summary of rows, added to those of an earlier version; None where there are none at all."""
        found = list(rows)
        if not found:
            return before
        earlier = before or cls()
        return cls(
            kinds=dict(Counter(earlier.kinds) + Counter(row.kind for row in found)),
            models=tuple(dict.fromkeys((*earlier.models, *(row.model for row in found)))),
            origins=tuple(dict.fromkeys((*earlier.origins, *(row.origin for row in found)))),
        )

    @property
    def sentence(self) -> str:
        """In a sentence, for reports and model cards."""
        kinds = ", ".join(plural(count, kind) for kind, count in self.kinds.items())
        total = plural(sum(self.kinds.values()), "row")
        return f"{total} come from people who rated answers of {', '.join(self.models)} ({', '.join(self.origins)}): {kinds}."
