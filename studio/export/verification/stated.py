"""What an artifact's long answers state, beside what base + adapter's do: likeness of wording does not see another number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from studio.evaluation import facts
from studio.evaluation.report import Answered, ModelAnswer

if TYPE_CHECKING:
    from studio.export.verification.evidence import Row


def sentence(headline: str, rows: Sequence[Row], answers: Sequence[ModelAnswer]) -> str:
    """How many numbers and names of the references each has; nothing where answers are short, or state too little."""
    if headline != "rouge_l":
        return ""
    kept, now = _stated(rows, [row.tuned for row in rows]), _stated(rows, answers)
    if now.wanted < facts.LEAST:
        return ""
    return (
        f"; of {now.wanted:,} numbers and names in the references {kept.repeated:,} are in the answers of base + adapter, "
        f"{now.repeated:,} here"
    )


def _stated(rows: Sequence[Row], answers: Sequence[ModelAnswer | None]) -> facts.Facts:
    pairs = zip(rows, answers, strict=True)
    return facts.stated([Answered(row.question, row.reference, given, given) for row, given in pairs if given])
