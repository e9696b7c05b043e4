"""What every conversation format can have in columns beside it: a system prompt, earlier turns, tools, reasoning, a mark of
bad rows."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from studio.core.messages import ChatMessage
from studio.core.plain import is_items, is_list, is_object
from studio.data.columns import EVALUATION
from studio.data.context import Context
from studio.data.marks import CROSSES, DENIALS, YES, is_number
from studio.data.notes import Unusable
from studio.data.reasoning import reasoned
from studio.data.rows import Conversation, Row
from studio.data.texts import is_absent, joined_parts, kind_of, optional_text, sound
from studio.data.turns import checked, checked_tools, from_json, note_unknown_tools
from studio.data.turntext import turns_of_text
from studio.data.verdicts import TIE, better

BAD = "marked as bad"
"""Why a row is left out whose `keep` column says false."""

FOR_EVALUATION = "for evaluation"
"""Why a row is left out whose `split` column says that it is for evaluation."""
NO_WEIGHT = "weight of zero"
"""Why a row is left out whose `weight` column says 0."""
EXCLUDED = {BAD: "marks as bad", FOR_EVALUATION: "marks for evaluation", NO_WEIGHT: "gives no weight", TIE: "calls a tie"}
"""Reasons for which sound rows are left out, and what the column does with them."""

BAD_WORDS = frozenset(("false", "0", "no", "bad", "undesirable", "👎", "thumbs_down", "thumbs down", "down", "-1"))
"""How a column says that a row is bad, in lower case."""

GOOD_WORDS = frozenset(("true", "1", "yes", "good", "desirable", "👍", "thumbs_up", "thumbs up", "up", "+1"))
"""How such a column says that a row is good, in lower case."""


_SAID_BAD = BAD_WORDS.union(DENIALS, ("0.0", "-1.0"))
"""Further words by which a column that is known to mark rows says that a row is bad."""


_SYSTEM = re.compile(r"\s*(?:SYSTEM|System)\s*:\s+")
"""How a column of system prompts says once more that it is one."""


_MARKED = frozenset(("true", "1", "1.0", *YES, *CROSSES))
"""How a column of rows to leave out marks one."""


def labels(rows: Sequence[Row], taken: Collection[str]) -> list[str]:
    """The columns beside those taken that say of every row of a sample whether it is good or bad, and not the same of all."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return [name for name in names if name not in taken and _labels([row.values.get(name) for row in rows])]


def _labels(values: Sequence[object]) -> bool:
    """Whether values are marks of both kinds and nothing else; an empty cell is no mark, and leaves the column to be named."""
    said = {_mark(value) for value in values}
    return bool(said & BAD_WORDS) and bool(said & GOOD_WORDS) and said <= BAD_WORDS | GOOD_WORDS


def _mark(value: object) -> str:
    """A value as a mark is written, in lower case; 1.0, as tables write an integer, is 1."""
    return f"{value:g}" if isinstance(value, float) else str(value).strip().lower()


def is_marked_bad(values: Mapping[str, Any], column: str | None) -> bool:
    """Whether the column that marks rows as good or bad says bad."""
    if column is None:
        return False
    value = values.get(column)
    return value is False or value in (0, -1) or (isinstance(value, str) and value.strip().lower() in _SAID_BAD)


def is_marked(values: Mapping[str, Any], column: str) -> bool:
    """Whether the column that marks rows to leave out marks this one."""
    value = values.get(column)
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in _MARKED)


def excluded(values: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[str, str] | None:
    """The reason and the column for which a sound row is not for training, if there is one; bad rows are told apart."""
    if (column := columns.get("split")) and str(said := values.get(column)).strip().lower() in EVALUATION:
        return f"{FOR_EVALUATION}: `{column}` says {said}", column
    if (column := columns.get("drop")) and is_marked(values, column):
        return f"{BAD}: `{column}` says so", column
    if (column := columns.get("weight")) and is_number(weight := values.get(column)) and float(weight or 0) == 0:
        return f"{NO_WEIGHT}: in `{column}`", column
    if "first" in columns and _is_tie(values, columns):
        column = columns.get("winner") or columns["strength"]
        return f"{TIE}: in `{column}`", column
    return None


def _is_tie(values: Mapping[str, Any], columns: Mapping[str, str]) -> bool:
    with contextlib.suppress(Unusable):
        return better(values, columns) is None
    return False


def completed(
    conversation: Conversation, values: Mapping[str, Any], columns: Mapping[str, str], context: Context
) -> Conversation:
    """The conversation with what the shared columns say: earlier turns first, the system prompt before them, the tools."""
    messages = conversation.messages
    if not messages:
        return conversation
    if column := columns.get("history"):
        earlier = _history(values.get(column), column)
        if earlier:
            lead = 1 if messages[0]["role"] == "system" else 0
            messages = checked([*messages[:lead], *earlier, *messages[lead:]], column, context)
    if column := columns.get("reasoning"):
        messages = _with_reasoning(messages, optional_text(values, column, "reasoning", context.notes), column, context)
    if column := columns.get("system"):
        messages = _with_system(messages, _system(values.get(column), column, context), column, context)
    tools = conversation.tools
    if column := columns.get("tools"):
        tools = checked_tools(values.get(column), column, context.notes) or tools
        note_unknown_tools(messages, tools, context.notes)
    return replace(conversation, messages=messages, tools=tools)


def _with_reasoning(
    messages: tuple[ChatMessage, ...], reasoning: str, column: str, context: Context
) -> tuple[ChatMessage, ...]:
    """With what the assistant thought before its last answer, unless that answer brings its own."""
    last = messages[-1]
    if not reasoning:
        return messages
    if reasoned(last):
        context.notes.add("an answer has reasoning of its own and some beside it: its own is used", column)
        return messages
    return (*messages[:-1], {**last, "reasoning_content": reasoning})


def _with_system(messages: tuple[ChatMessage, ...], system: str, column: str, context: Context) -> tuple[ChatMessage, ...]:
    if not system:
        return messages
    if messages[0]["role"] != "system":
        return ({"role": "system", "content": system}, *messages)
    own = messages[0]["content"]
    if own.strip() == system.strip():
        return messages
    context.notes.add("a row has a system prompt of its own and one beside it: both are used, one below the other", column)
    return ({**messages[0], "content": f"{system}\n\n{own}"}, *messages[1:])


def _system(value: Any, column: str, context: Context) -> str:
    if is_absent(value):
        return ""
    if isinstance(value, str):
        if value.lstrip().startswith(("[{", '["', "{")):
            value = _parts_or_text(value)
        if isinstance(value, str):
            return sound(_SYSTEM.sub("", value), column, context.notes)
    if is_object(value) and "content" in value:
        value = value["content"]
        if isinstance(value, str):
            return sound(value, column, context.notes)
    if not isinstance(value, (list, dict)):
        raise Unusable(f"wrong type: the system prompt is {kind_of(value)}, not a text", column)
    return joined_parts(value, "the system prompt", column, context.notes)


def _parts_or_text(text: str) -> Any:
    """A cell that may be JSON parts of text; a system prompt may also simply begin with a brace."""
    try:
        value = from_json(text, "")
    except Unusable:
        return text
    parts = value if is_list(value) else [value]
    return value if all(is_object(part) and part.keys() & {"text", "value"} for part in parts) else text


def _history(value: object, column: str) -> list[Any]:
    """Earlier turns as messages: pairs of question and answer, messages, texts in turn, or a transcript."""
    if is_absent(value):
        return []
    if isinstance(value, str):
        turns = turns_of_text(value)
        if turns is not None:
            return list(turns)
        if not value.lstrip().startswith("["):
            raise Unusable("wrong type: the history is a text, not a list of turns", column)
        value = from_json(value, column)
    if not is_list(value):
        raise Unusable(f"wrong type: the history is {kind_of(value)}, not a list of pairs", column)
    if all(isinstance(item, str) for item in value):
        if len(value) % 2:
            raise Unusable("wrong type: the history is an odd number of texts, so who speaks is not clear", column)
        value = list(zip(value[::2], value[1::2], strict=True))
    earlier: list[Any] = []
    for item in value:
        if is_object(item) and not item.keys() & {"question", "answer"}:
            earlier.append(item)
            continue
        pair = [item.get("question"), item.get("answer")] if is_object(item) else item
        if not is_items(pair) or len(pair) != 2 or not all(isinstance(text, str) and text.strip() for text in pair):
            raise Unusable("wrong type: the history is not made of pairs of two texts", column)
        earlier += [{"role": role, "content": text} for role, text in zip(("user", "assistant"), pair, strict=True)]
    return earlier
