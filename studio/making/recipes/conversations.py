"""Recipe `conversations`: a question that goes on over several turns, all answered from the same passage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from studio.core.messages import chat_message
from studio.making.recipes.base import Ask, Draft, Material, Recipe, Style, Unusable, rows_in, shown, table
from studio.making.recipes.harder import sourced_rows
from studio.making.records import MadeRow

_SCHEMA = table(
    question="what is asked next, leaning on what was said before",
    answer="its answer, from the passage alone",
    quote="the words of the passage that the answer rests on, copied exactly",
)


class Conversations(Recipe, frozen=True):
    """Conversations of several turns that begin with a row's question and go on about the same passage."""

    takes = "rows"
    prompt = "conversations/1"

    kind: Literal["conversations"] = "conversations"
    turns: Annotated[int, Field(ge=1, le=6, title="Further turns")] = 2
    """Questions after the first."""

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """One request a row that comes from a passage."""

        def all_asks() -> Iterator[Ask]:
            for row, passage in sourced_rows(material, rows):
                instruction = (
                    f"A conversation with {style.audience} begins so:\nQuestion: {row.question}\nAnswer: {row.answer}\n\n"
                    f"Write its next {self.turns} questions and answers, in order. The questions lean on what was said "
                    "('and how long…', 'that one'). This passage must answer them, and nothing else is used. Copy the words "
                    f"that an answer rests on exactly into `quote`. {style.wording}\n\n{shown(passage)}"
                )
                yield Ask(self.request(instruction, _SCHEMA, style), (passage,), subject=row)

        return self.cap(all_asks())

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """The conversation; the quote that is checked is the one of its last answer."""
        row: MadeRow = ask.subject
        found = rows_in(value, "question", "answer", "quote")[: self.turns]
        words = " ".join(ask.passages[0].text.casefold().split())
        if any(" ".join(item["quote"].casefold().split()) not in words for item in found):
            raise Unusable("a quote is not in the passage")
        later = [
            turn
            for item in found
            for turn in (chat_message("user", item["question"]), chat_message("assistant", item["answer"]))
        ]
        last = found[-1]
        draft = Draft(
            " ".join((row.question, *(item["question"] for item in found))), last["answer"], (*row.messages, *later),
            quote=last["quote"], needs_quote=True, parent=row.id,
        )  # fmt: skip
        return [draft]

    def estimate(self, material: Material, rows: int) -> tuple[int, int]:
        """One request a row made before."""
        calls = min(rows, self.limit or rows)
        return calls, calls
