"""Edits: what a person decided about the rows of a dataset version. Rows are never changed; edits are laid over them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import orjson
from pydantic import Field, TypeAdapter, ValidationError

from studio.core.errors import DataError
from studio.core.messages import ChatMessage, Tool
from studio.core.records import Record
from studio.data import split
from studio.data.collected import CollectedRow
from studio.data.context import Context, Turns
from studio.data.notes import Notes, Unusable
from studio.data.rows import Conversation
from studio.data.settings import FormatName
from studio.data.turns import checked, checked_tools

LABEL = "label"
"""The column in which a version says whether a labelled answer is good, as every layout reads it."""
Status: TypeAlias = Literal["open", "approved", "excluded"]
"""Where a row stands: still to see, seen and good, or left out of the next version."""


class Content(Record):
    """What a row says: messages with their tools, or plain text. In a preference pair the last message is the preferred
    answer, and `rejected` the other one; of a labelled answer `good` says whether it is a good one."""

    messages: tuple[ChatMessage, ...] = ()
    tools: tuple[Tool, ...] = ()
    text: str = ""
    rejected: ChatMessage | None = None
    good: bool | None = None

    @classmethod
    def of(cls, row: Conversation) -> Content:
        """The content of a row."""
        return cls(messages=row.messages, tools=row.tools, text=row.text, rejected=row.rejected, good=row.good)

    @classmethod
    def from_line(cls, line: bytes | str) -> Content:
        """The content that `as_bytes` gave."""
        values = orjson.loads(line)
        if "chosen" in values:
            values = {**values, "messages": values.pop("chosen"), "rejected": values["rejected"][-1]}
        turns, tools = tuple(values.get("messages", ())), tuple(values.get("tools", ()))
        return cls.model_construct(
            messages=turns,
            tools=tools,
            text=values.get("text", ""),
            rejected=values.get("rejected"),
            good=values.get(LABEL),
        )

    def as_bytes(self) -> bytes:
        """As a JSON object in the product's own chat format, the same bytes for the same content."""
        values: dict[str, Any] = {"text": self.text} if self.text else {"messages": list(self.messages)}
        if self.rejected is not None:
            values = {"chosen": list(self.messages), "rejected": [*self.messages[:-1], self.rejected]}
        if self.tools:
            values["tools"] = list(self.tools)
        if self.good is not None:
            values[LABEL] = self.good
        return orjson.dumps(values)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name this content."""
        return f"{split.digest(self.as_bytes()):016x}"

    @property
    def said(self) -> str:
        """All its words, a turn a line."""
        turns = (*self.messages, self.rejected) if self.rejected else self.messages
        return "\n".join(str(turn.get("content") or "") for turn in turns) if turns else self.text

    @property
    def format(self) -> FormatName:
        """The layout in which `as_bytes` writes it, as `data.format` calls it."""
        return "preference" if self.rejected is not None else "messages" if self.messages else "text"

    @property
    def kind(self) -> str:
        """What its rows are, in words: a version holds rows of one kind."""
        if self.good is not None:
            return "labelled answers"
        return {"preference": "preference pairs", "messages": "conversations"}.get(self.format, "plain texts")

    @property
    def answer(self) -> str:
        """The last answer, or the text."""
        return str(self.messages[-1].get("content") or "") if self.messages else self.text

    def conversation(self, file: str = "", line: int = 0) -> Conversation:
        """As a row again."""
        return Conversation(tuple(self.messages), tuple(self.tools), self.text, file, line, self.rejected, self.good)

    def with_answer(self, answer: str) -> Content:
        """The same with another last answer; a plain text is replaced as a whole."""
        if not self.messages:
            return self.model_copy(update={"text": answer})
        return self.model_copy(update={"messages": (*self.messages[:-1], {**self.messages[-1], "content": answer})})


class EditBase(Record):
    """One decision about a row: who took it, when (seconds since the epoch), and why."""

    label: ClassVar[str] = "edit"

    row: str
    """The row's id."""
    who: str = ""
    when: float = 0.0
    why: str = ""


class Approve(EditBase):
    """The row is good as it stands."""

    action: Literal["approve"] = "approve"


class Exclude(EditBase):
    """The row is left out of the next version."""

    action: Literal["exclude"] = "exclude"


class Rewrite(EditBase):
    """The row says something else. before: the digest of what was rewritten."""

    action: Literal["edit"] = "edit"
    after: Content
    before: str = ""


class Mask(EditBase):
    """Personal data in the row is replaced by tokens such as `<EMAIL_1>`. kinds: what was masked."""

    action: Literal["mask"] = "mask"
    after: Content
    kinds: tuple[str, ...] = ()
    before: str = ""


class Relabel(EditBase):
    """The row's answer is another label."""

    action: Literal["relabel"] = "relabel"
    answer: str


class KeepAnswer(EditBase):
    """Of rows that ask the same and answer differently this one is right; the others are left out."""

    action: Literal["keep_answer"] = "keep_answer"
    others: tuple[str, ...]
    """The ids of the rows with the other answers."""


class Join(EditBase):
    """The row goes on in others: they become one conversation in the place of this row."""

    action: Literal["join"] = "join"
    others: tuple[str, ...]
    """The ids of the rows that are joined to it, in order."""
    after: Content


class Add(EditBase):
    """A row that the version does not have: an answer that a person rated or corrected."""

    action: Literal["add"] = "add"
    after: Content
    source: CollectedRow


Edit: TypeAlias = Approve | Exclude | Rewrite | Mask | Relabel | KeepAnswer | Join | Add


@functools.cache
def _any_edit() -> TypeAdapter[Edit]:
    return TypeAdapter(Annotated[Edit, Field(discriminator="action")])


ACTIONS = ("approve", "exclude", "edit", "mask", "relabel", "keep_answer", "join", "add")


def parse(values: object, where: str = "") -> Edit:
    """The edit that `as_line` gave, or that a person wrote. Raises DataError."""
    try:
        return _any_edit().validate_python(values, extra="ignore")
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"] if part not in ACTIONS)
        message = f"required field `{field}` is missing" if problem["type"] == "missing" else str(problem["msg"])
        raise DataError(
            f"this is not an edit: {message[:1].lower()}{message[1:]}",
            hint=f'Write {{"action": "exclude", "row": "…"}}; actions are {", ".join(ACTIONS)}.',
            where=where,
        ) from None


def as_line(edit: Edit) -> dict[str, Any]:
    """An edit as the values of a JSON line, its action and row first."""
    values = edit.model_dump(mode="json", exclude_defaults=True)
    return {"action": edit.action, "row": edit.row, **values}


DECISIONS: dict[str, Status] = {"approve": "approved", "exclude": "excluded"}
"""Actions that change nothing but where a row stands."""


@dataclass(frozen=True)
class Effect:
    """What an edit does to one row; None leaves it as it is."""

    row: str
    status: Status | None = None
    content: Content | None = None


def effects(edit: Edit, content: Callable[[str], Content]) -> Iterator[Effect]:
    """What an edit does, row by row. content: what a row says at present."""
    match edit:
        case Approve():
            yield Effect(edit.row, "approved")
        case Exclude():
            yield Effect(edit.row, "excluded")
        case Rewrite():
            yield Effect(edit.row, "approved", edit.after)
        case Mask():
            yield Effect(edit.row, None, edit.after)
        case Relabel():
            yield Effect(edit.row, "approved", content(edit.row).with_answer(edit.answer))
        case KeepAnswer():
            yield Effect(edit.row, "approved")
            yield from (Effect(other, "excluded") for other in edit.others)
        case Join():
            yield Effect(edit.row, "approved", edit.after)
            yield from (Effect(other, "excluded") for other in edit.others)
        case Add():
            yield Effect(edit.row)


def rows_of(edit: Edit) -> tuple[str, ...]:
    """The ids of all rows an edit touches."""
    return (edit.row, *(edit.others if isinstance(edit, (KeepAnswer, Join)) else ()))


def checked_content(content: Content, turns: Turns, where: str) -> Content:
    """The content as a row that is read from a file has to be. Raises DataError for what could not be trained on."""
    notes = Notes()
    if not content.messages:
        if not content.text.strip():
            raise DataError("the row is empty", hint="Exclude it instead.", where=where)
        return content
    try:
        empty = next((turn for turn in content.messages if not turn.get("content") and not turn.get("tool_calls")), None)
        if empty is not None:
            raise Unusable(f"the {empty.get('role', '')} turn is empty")
        messages = checked(list(content.messages), "messages", Context(notes, {}, turns))
        tools = checked_tools(list(content.tools), "tools", notes)
    except Unusable as problem:
        raise DataError(
            f"this row could not be trained on: {problem.reason}",
            hint="User and assistant take turns, and the last turn is an answer that is trained.",
            where=where,
        ) from None
    other = content.rejected
    if other is not None and (not str(other.get("content") or "").strip() or other.get("content") == messages[-1]["content"]):
        raise DataError(
            "the rejected answer is empty or the same as the preferred one", hint="Write another, or exclude it.", where=where
        )
    return Content(messages=messages, tools=tools, rejected=other, good=content.good)


def joined(parts: list[Content]) -> Content:
    """Conversations one after another as one; a system prompt that stands again is left out."""
    if not parts[0].messages:
        return Content(text="\n\n".join(part.text for part in parts))
    messages = list(parts[0].messages)
    for part in parts[1:]:
        messages += [turn for turn in part.messages if turn["role"] != "system"]
    return Content(messages=tuple(messages), tools=next((part.tools for part in parts if part.tools), ()))
