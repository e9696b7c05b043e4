"""What an artifact's long answers state, beside what base + adapter's do: likeness of wording does not see another number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from studio.evaluation import facts
from studio.evaluation.report import Answered, ModelAnswer


class AnsweredRow(Protocol):
    """A row with what base + adapter answered."""

    @property
    def question(self) -> str: ...  # noqa: D102
    @property
    def reference(self) -> str: ...  # noqa: D102
    @property
    def tuned(self) -> ModelAnswer | None: ...  # noqa: D102


def sentence(headline: str, rows: Sequence[AnsweredRow], said: Sequence[ModelAnswer]) -> str:
    """How many numbers and names of the references each has; nothing where answers are short, or state too little."""
    if headline != "rouge_l":
        return ""
    answered = [Answered(row.question, row.reference, row.tuned, now) for row, now in zip(rows, said, strict=True) if row.tuned]
    now = facts.stated(answered)
    if now.wanted < facts.LEAST:
        return ""
    kept = facts.stated([Answered(row.question, row.reference, row.base, row.base) for row in answered])
    return (
        f"; of {now.wanted:,} numbers and names in the references {kept.repeated:,} are in the answers of base + adapter, "
        f"{now.repeated:,} here"
    )
