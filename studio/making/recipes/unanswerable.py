"""Recipe `unanswerable`: near questions that a passage does not answer, and an honest refusal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from studio.making.recipes.base import Ask, Draft, Material, Recipe, Style, conversation, rows_in, shown, table
from studio.making.records import MadeRow

_SCHEMA = table(
    question="a question that sounds as if the passage answered it",
    missing="what would have to be known and is not in the passage",
    refusal="an honest answer that says so and guesses nothing",
)


class Unanswerable(Recipe, frozen=True):
    """Questions near the sources that they do not answer, with refusals: what keeps a small model from inventing."""

    columns = ("question", "missing", "refusal")
    prompt = "unanswerable/1"

    kind: Literal["unanswerable"] = "unanswerable"
    per_passage: Annotated[int, Field(ge=1, le=20)] = 1
    """Questions of a passage."""
    context: Literal["passage", "none"] = "passage"
    """passage: the row's prompt has the passage; none: the bare question, about things that none of the documents mention."""
    answer: Annotated[str, Field(title="Refusal")] = ""
    """The sentence that every refusal is. Empty: the teacher words each."""

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """One request a passage."""

        def all_asks() -> Iterator[Ask]:
            for held_out, passages in ((True, material.held_out), (False, material.passages)):
                for passage in passages:
                    instruction = (
                        f"Write {self.per_passage} questions that {style.audience} might ask about what this passage is about, "
                        "and that it does not answer: about a detail that is not mentioned, or about a similar thing that does "
                        "not exist here. They must sound as if the answer were there. Say in `missing` what is not said, and "
                        f"in `refusal` answer honestly that this is not known, without guessing. {style.wording}\n\n"
                        f"{shown(passage)}"
                    )
                    yield Ask(self.request(instruction, _SCHEMA, style), (passage,), held_out, expected=self.per_passage)

        return self.cap(all_asks())

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """The questions in an answer."""
        drafts = []
        for row in rows_in(value, *self.columns):
            refusal = self.answer or row["refusal"]
            in_context = self.context == "passage"
            user = style.in_context(ask.passages[0].text, row["question"]) if in_context else row["question"]
            drafts.append(
                Draft(row["question"], refusal, conversation(style, user, refusal), refuses=True, in_context=in_context)
            )
        return drafts
