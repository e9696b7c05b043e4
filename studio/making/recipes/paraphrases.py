"""Recipe `paraphrases`: the same question in other registers, with the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from studio.making.recipes.base import Ask, Draft, Material, Recipe, Style, rows_in, table
from studio.making.recipes.variants import bare_rows, reasked
from studio.making.records import MadeRow

_SCHEMA = table(question="the question in other words")
_REGISTERS = (
    "formal and polite",
    "casual, as in a chat",
    "terse, a few key words",
    "by someone who does not know the right term",
)


class Paraphrases(Recipe, frozen=True):
    """The questions of rows made before, in other registers, each with the row's answer."""

    takes = "rows"
    columns = ("question",)
    prompt = "paraphrases/1"

    kind: Literal["paraphrases"] = "paraphrases"
    registers: list[str] = Field(default_factory=lambda: list(_REGISTERS), min_length=1, max_length=12)
    """How they are worded, one paraphrase of each."""

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """One request a row."""

        def all_asks() -> Iterator[Ask]:
            for row in bare_rows(rows):
                instruction = (
                    f"Put this question of {style.audience} into other words, {len(self.registers)} times: "
                    f"{'; '.join(self.registers)}. What is asked must stay exactly the same, and names and numbers as they "
                    f"are. Keep its language.\n\nQuestion: {row.question}\nIts answer, which must stay right: {row.answer}"
                )
                yield Ask(self.request(instruction, _SCHEMA, style), subject=row, expected=len(self.registers))

        return self.cap(all_asks())

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """The paraphrases in an answer."""
        return [reasked(ask.subject, row["question"]) for row in rows_in(value, *self.columns)]

    def estimate(self, material: Material, rows: int) -> tuple[int, int]:
        """One request a row made before."""
        calls = min(rows, self.limit or rows)
        return calls, calls * len(self.registers)
