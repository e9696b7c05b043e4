"""Recipe `questions`: questions that a passage answers, with the answer and the words it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from studio.making.recipes.base import Ask, Draft, Material, Recipe, Style, conversation, rows_in, shown, table
from studio.making.records import MadeRow

_SCHEMA = table(
    question="a question that the passage answers",
    answer="its answer, from the passage alone",
    quote="the words of the passage that the answer rests on, copied exactly",
)


class Questions(Recipe, frozen=True):
    """Questions that passages answer, each with an answer and a quote that is checked against the passage."""

    columns = ("question", "answer", "quote")
    prompt = "questions/1"

    kind: Literal["questions"] = "questions"
    per_passage: Annotated[int, Field(ge=1, le=20)] = 3
    """Questions of a passage."""
    context: Literal["passage", "none"] = "passage"
    """passage: the row's prompt has the passage, so that the model learns to answer from a text it is given, new ones
    included; none: the row is the bare question, so that the model learns these documents by heart."""
    sentences: Annotated[int, Field(ge=1, le=20, title="Longest answer (sentences)")] = 2
    """Sentences of an answer at most."""

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """One request a passage."""

        def all_asks() -> Iterator[Ask]:
            for held_out, passages in ((True, material.held_out), (False, material.passages)):
                for passage in passages:
                    instruction = (
                        f"Write {self.per_passage} questions that {style.audience} might ask and that this passage answers. "
                        f"Give each a complete and correct answer of at most {self.sentences} sentences that uses nothing but "
                        "the passage, and copy the words it rests on exactly into `quote`. Ask about different things, in "
                        "different wordings, and name what you ask about: whoever reads a question does not see the passage. "
                        f"{style.wording}\n\n{shown(passage)}"
                    )
                    yield Ask(self.request(instruction, _SCHEMA, style), (passage,), held_out, expected=self.per_passage)

        return self.cap(all_asks())

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """The questions in an answer."""
        passage = ask.passages[0].text
        drafts = []
        for row in rows_in(value, *self.columns):
            in_context = self.context == "passage"
            user = style.in_context(passage, row["question"]) if in_context else row["question"]
            drafts.append(
                Draft(
                    row["question"], row["answer"], conversation(style, user, row["answer"]), quote=row["quote"],
                    needs_quote=True, in_context=in_context,
                )
            )  # fmt: skip
        return drafts
