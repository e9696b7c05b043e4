"""What recipes share that make variants of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from studio.core.messages import ChatMessage, chat_message
from studio.making.recipes.base import Draft
from studio.making.records import MadeRow


def bare_rows(rows: Sequence[MadeRow]) -> Iterator[MadeRow]:
    """The rows that variants are made of: training rows of one question and one answer that are no variant themselves."""
    for row in rows:
        turns = [turn["role"] for turn in row.messages if turn["role"] != "system"]
        if turns == ["user", "assistant"] and not (row.held_out or row.tools or row.rejected or row.provenance.parent):
            yield row


def in_place(row: MadeRow, question: str) -> ChatMessage:
    """The row's user turn with another question in it: a passage around the question stays."""
    turn = next(turn for turn in row.messages if turn["role"] == "user")
    before, _, after = str(turn["content"]).rpartition(row.question)
    return {**turn, "content": f"{before}{question}{after}"}


def reasked(row: MadeRow, question: str, answer: str | None = None, quote: str = "", needs_quote: bool = False) -> Draft:
    """The row with another question, and another answer where one is given."""
    said = row.answer if answer is None else answer
    system = [turn for turn in row.messages if turn["role"] == "system"]
    turn = in_place(row, question)
    messages = (*system, turn, chat_message("assistant", said))
    return Draft(
        question, said, messages, quote=quote, needs_quote=needs_quote, refuses=row.refuses, parent=row.id,
        in_context=turn["content"] != question,
    )  # fmt: skip
