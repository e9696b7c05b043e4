"""The values that travel along the way of the data: a row as read, a conversation as checked, a rejection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import orjson

from studio.core.messages import ChatMessage, Tool, chat_message

Needs = Literal["conversations", "pairs", "labels", "prompts", "texts"]
"""The rows a training method learns from: conversations with right answers, preference pairs, answers labelled good or bad,
prompts that the model itself answers, documents of plain text."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it stands in a file. line counts from 1 in the (unpacked) file; for a sheet or table it is the row."""

    values: dict[str, Any]
    file: str
    line: int
    passage: int = field(default=0, compare=False)
    """Which passage of its document it is, from 1; 0: it is no passage."""
    glue: str | None = field(default=None, compare=False)
    """What stands between this passage and the next one of its document; None at the end of the document."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be used, and why. text is the beginning of the row, for the list a person reads."""

    file: str
    line: int
    reason: str
    column: str = ""
    text: str = ""
    excluded: bool = False
    """True for a row that is sound and left out on purpose: it does not count against `data.max_rejected`."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A checked row: OpenAI-style messages (role, content, tool_calls, ...), or plain text when messages is empty.

    The last message of a conversation is always an assistant's. An earlier answer with `"train": False` is read and not
    learned. In a preference pair it is the preferred answer, and `rejected` the other one to the same prompt.
    """

    messages: tuple[ChatMessage, ...] = ()
    tools: tuple[Tool, ...] = ()
    text: str = ""
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    rejected: ChatMessage | None = None
    good: bool | None = None
    """Whether the last answer is labelled good or bad; None if it is not labelled."""
    passage: int = 0
    """Which passage of its document a text is, from 1, where documents are learned; 0: it stands alone."""
    glue: str | None = None
    """What follows it within its document, before the next passage; None where the document ends."""

    @property
    def prompt(self) -> tuple[ChatMessage, ...]:
        """What comes before the last answer."""
        return tuple(without_marks(turn) for turn in self.messages[:-1])

    @property
    def answer(self) -> str:
        """The last answer's text."""
        return str(self.messages[-1].get("content") or "") if self.messages else ""

    @property
    def untrained(self) -> tuple[int, ...]:
        """Which of the answers (counted from 0 among the assistant's messages) are read and not learned."""
        answers = [turn for turn in self.messages if turn["role"] == "assistant"]
        return tuple(index for index, turn in enumerate(answers) if turn.get("train") is False)

    @property
    def not_preferred(self) -> Conversation | None:
        """The conversation with the rejected answer in place of the preferred one, if it is a pair."""
        if self.rejected is None:
            return None
        return replace(self, messages=(*self.messages[:-1], self.rejected), rejected=None)

    def as_dict(self) -> dict[str, object]:
        """As one JSON line of `data/train.jsonl`."""
        values: dict[str, Any] = {"text": self.text} if self.text else {"messages": list(self.messages)}
        if self.tools:
            values["tools"] = list(self.tools)
        if self.rejected is not None:
            values["rejected"] = self.rejected
        if self.good is not None:
            values["good"] = self.good
        if self.passage:
            values |= {"passage": self.passage, "glue": self.glue}
        values["file"], values["line"] = self.file, self.line
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Conversation:
        """The conversation `as_dict` wrote."""
        return cls(
            messages=tuple(values.get("messages", ())),
            tools=tuple(values.get("tools", ())),
            text=values.get("text", ""),
            file=values.get("file", ""),
            line=values.get("line", 0),
            rejected=values.get("rejected"),
            good=values.get("good"),
            passage=values.get("passage", 0),
            glue=values.get("glue"),
        )


def answers(row: Conversation, needs: Needs) -> list[Conversation]:
    """The conversations that are learned from of a row: both answers of a pair where both are needed, each with its label."""
    other = row.not_preferred if needs in ("pairs", "labels") else None
    if other is None:
        return [row]
    return [replace(row, rejected=None, good=True), replace(other, good=False)]


def without_marks(turn: ChatMessage) -> ChatMessage:
    """The message as a chat template takes it: without the mark that it is not learned."""
    if "train" not in turn:
        return turn
    shown = turn.copy()
    del shown["train"]
    return shown


def shipped(file: Path) -> list[Conversation]:
    """The rows of a file that comes with the studio: each has `question` and `answer`, or `text`."""
    found: list[Conversation] = []
    for line, content in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        row = orjson.loads(content)
        turns = [chat_message(role, row[name]) for role, name in (("user", "question"), ("assistant", "answer")) if name in row]
        found.append(Conversation(messages=tuple(turns), text=row.get("text", ""), file=file.name, line=line))
    return found


def numbered_lines(*files: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of some files that are not empty, with their numbers from 1, counted through all files."""
    number = 0
    for file in files:
        with open(file, "rb") as lines:
            for line in lines:
                number += 1
                if line.strip():
                    yield number, line
