"""Recipe `harder`: harder variants of questions: two facts at once, a comparison, a condition, a consequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from studio.documents.records import Passage
from studio.making.recipes.base import Ask, Draft, Material, Recipe, Style, rows_in, shown, table
from studio.making.recipes.variants import bare_rows, reasked
from studio.making.records import MadeRow

_SCHEMA = table(
    question="a harder question on the same passage",
    answer="its answer, from the passage alone",
    quote="the words of the passage that the answer rests on, copied exactly",
)


class Harder(Recipe, frozen=True):
    """Harder variants of the questions on a passage: that join two facts, compare, or draw a consequence."""

    takes = "rows"
    columns = ("question", "answer", "quote")
    prompt = "harder/1"

    kind: Literal["harder"] = "harder"
    per_row: Annotated[int, Field(ge=1, le=10)] = 1
    """Variants of a row."""

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """One request a row that comes from a passage."""

        def all_asks() -> Iterator[Ask]:
            for row, passage in sourced_rows(material, rows):
                instruction = (
                    f"Write {self.per_row} harder variants of this question: such that join two facts, compare, set a "
                    "condition or ask for a consequence. The passage must still answer them, and nothing else is used. Copy "
                    f"the words that the answer rests on exactly into `quote`. {style.wording}\n\nQuestion: {row.question}\n\n"
                    f"{shown(passage)}"
                )
                yield Ask(self.request(instruction, _SCHEMA, style), (passage,), subject=row, expected=self.per_row)

        return self.cap(all_asks())

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """The variants in an answer."""
        found = rows_in(value, *self.columns)
        return [reasked(ask.subject, row["question"], row["answer"], row["quote"], True) for row in found]

    def estimate(self, material: Material, rows: int) -> tuple[int, int]:
        """One request a row made before."""
        calls = min(rows, self.limit or rows)
        return calls, calls * self.per_row


def sourced_rows(material: Material, rows: Sequence[MadeRow]) -> Iterator[tuple[MadeRow, Passage]]:
    """Rows that variants are made of and that answer from one passage, with it."""
    passages = {passage.id: passage for passage in material.passages}
    for row in bare_rows(rows):
        used = [passages[use.id] for use in row.provenance.passages if use.id in passages]
        if len(used) == 1 and not row.refuses:
            yield row, used[0]
