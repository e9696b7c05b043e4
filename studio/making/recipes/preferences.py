"""Recipe `preferences`: the teacher's answer is preferred to what the student itself answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from studio.data.near import agree
from studio.making.recipes.base import Ask, Draft, Material, Recipe, Style, Unusable
from studio.making.recipes.variants import bare_rows
from studio.making.records import MadeRow
from studio.remote.completion import Request


class Preferences(Recipe, frozen=True):
    """Preference pairs for `dpo`, `orpo` and `simpo`: the row's answer against the answer that your own model gives now."""

    takes = "rows"
    prompt = "preferences/1"

    kind: Literal["preferences"] = "preferences"
    temperature: float = 0.7
    """How varied the student's answers are."""
    max_tokens: int = 256
    """Tokens of the student's answer at most."""

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """One request of the student a row."""

        def all_asks() -> Iterator[Ask]:
            for row in bare_rows(rows):
                prompt = list(row.messages[:-1])
                yield Ask(Request(prompt, self.max_tokens, self.temperature, style.seed), subject=row, of_student=True)

        return self.cap(all_asks())

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """A pair, if the student answers otherwise."""
        row: MadeRow = ask.subject
        said = text.strip()
        if not said:
            raise Unusable("the student gave no answer")
        if agree(said, row.answer):
            raise Unusable("the student's answer says the same")
        return [Draft(row.question, row.answer, row.messages, rejected=said, refuses=row.refuses, parent=row.id)]

    def estimate(self, material: Material, rows: int) -> tuple[int, int]:
        """One request of the student a row made before."""
        calls = min(rows, self.limit or rows)
        return calls, calls
