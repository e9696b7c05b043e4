"""Recipe `labels`: texts to classify, the same number for each label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from studio.making.recipes.base import Ask, Draft, Material, Recipe, Style, conversation, rows_in, table
from studio.making.records import MadeRow

_SCHEMA = table(text="a text that has the label")
_BATCH = 8
"""Rows a request asks for."""
_VIEWS = (
    "short and plain", "long, with things that do not matter", "with spelling mistakes", "angry or hurried",
    "that are near another label and still have this one", "by someone who does not know the right words",
)  # fmt: skip


class Labels(Recipe, frozen=True):
    """Texts with a label each, balanced: the same number for every label, near misses among them."""

    takes = "nothing"
    columns = ("text",)
    prompt = "labels/1"

    kind: Literal["labels"] = "labels"
    labels: Annotated[dict[str, str], Field(min_length=2)]
    """Each label and what it means: `{refund: the customer wants money back, …}`."""
    texts: str = "messages of customers"
    """What the texts are."""
    per_label: Annotated[int, Field(ge=1, le=5000)] = 40
    """Rows of each label; what goes beyond the rarest label after the filters is dropped."""
    instruction: str = ""
    """Put before each text in the row's prompt, e.g. `Which topic is this about?`. Empty: nothing."""

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """Several rows a request, each with another view."""

        def all_asks() -> Iterator[Ask]:
            every = "\n".join(f"- {label}: {meaning}" for label, meaning in self.labels.items())
            for batch in range(-(-self.per_label // _BATCH)):
                for label, meaning in self.labels.items():
                    instruction = (
                        f"Write {_BATCH} different {self.texts} with the label `{label}` ({meaning}), "
                        f"{_VIEWS[batch % len(_VIEWS)]}. Each must have this label and no other of the list. Do not name the "
                        f"label. {_language(style)}This is request {batch + 1}: do not repeat obvious ones.\n\nLabels:\n{every}"
                    )
                    yield Ask(self.request(instruction, _SCHEMA, style, batch), subject=label, expected=_BATCH)

        return self.cap(all_asks())

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """The texts in an answer."""
        label = str(ask.subject)
        return [
            Draft(row["text"], label, conversation(style, f"{self.instruction}\n\n{row['text']}".strip(), label), target=label)
            for row in rows_in(value, *self.columns)
        ]


def _language(style: Style) -> str:
    return f"Write in the language with the code `{style.language}`. " if style.language else ""
