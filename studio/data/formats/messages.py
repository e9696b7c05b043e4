"""Format `messages`: OpenAI chat messages, with tools and tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.core.plain import is_list, is_object
from studio.data.columns import SHARED, Format, Proposal, Table, lists_of_objects, matches, shared_columns, unused, worth
from studio.data.context import Context
from studio.data.notes import Unusable
from studio.data.rows import Conversation, Row
from studio.data.texts import is_absent, kind_of
from studio.data.turn_pairs import is_pair
from studio.data.turns import CONTENT_KEYS, ROLE_KEYS, SPEAKERS, checked, from_json, is_said
from studio.data.turntext import turn_of

EXAMPLE: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "You help the customers of a lamp shop."},
        {"role": "user", "content": "Is the Aria lamp in stock?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "stock", "arguments": '{"product": "Aria lamp"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": '{"pieces": 12}'},
        {"role": "assistant", "content": "Yes, there are 12 in stock."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "stock",
                "description": "Pieces in stock.",
                "parameters": {"type": "object", "properties": {"product": {"type": "string"}}},
            },
        }
    ],
}
ROLES = {
    "messages": ("messages", "conversation", "conversations", "chat", "dialog", "dialogue", "turns"),
    "role": (),
    "content": (),
    "answer": (),
    **SHARED,
}


_SPOKEN = (*ROLES["messages"], "utterances", "texts", "data")
_ANSWERS = (
    *("answer", "response", "completion", "output", "reply"),
    *("ideal", "expected", "expected output", "expected answer", "reference", "target", "gold"),
)
_SPEAKERS = ("speakers", "roles", "speaker", "role", "from", "authors")


def propose(table: Table) -> Proposal | None:
    """A column whose values are lists of objects that name a speaker and hold what is said."""
    columns_found = lists_of_objects(table, _is_message, ROLES["messages"]) or [
        name for name in lists_of_objects(table, is_pair, ROLES["messages"]) if table.plain[name] in ROLES["messages"]
    ]
    if not columns_found:
        return _texts_in_turn(table)
    columns = {"messages": columns_found[0]}
    beside = [name for name in matches(table, _ANSWERS) if table.share(name, lambda value: isinstance(value, str)) > 0.5]
    if len(beside) == 1 and table.share(columns_found[0], _ends_asking) > 0.5:
        columns["answer"] = beside[0]
    columns |= shared_columns(table, columns.values(), ROLES)
    reasons = (
        f"`{columns_found[0]}` holds lists of objects with {_said_by(table, columns_found[0])}.",
        *unused(table, columns),
    )
    unclear = {"messages": tuple(columns_found)} if len(columns_found) > 1 else {}
    strength = 0.99 if table.plain[columns_found[0]] in ROLES["messages"] else 0.9
    return Proposal("messages", columns, worth(table, convert, columns, strength), reasons, unclear)


def _ends_asking(value: object) -> bool:
    """Whether a list of messages ends with the user's, so that the answer is to be looked for beside it."""
    last = value[-1] if is_list(value) and value else None
    return is_object(last) and any(SPEAKERS.get(str(last.get(key)).lower()) == "user" for key in ROLE_KEYS)


def _said_by(table: Table, name: str) -> str:
    return "a question and an answer" if table.share(name, _is_pairs) > 0.5 else "`role` and `content`"


def _is_pairs(value: object) -> bool:
    return is_list(value) and bool(value) and is_object(value[0]) and is_pair(value[0])


def _texts_in_turn(table: Table) -> Proposal | None:
    """A column of a dialogue's name whose values are lists of texts, with or without a list of their speakers beside it."""
    names = [name for name in table.names if table.share(name, _is_texts) > 0.5]
    content = next((name for name in names if table.plain[name] in _SPOKEN), None)
    if content is None:
        return None
    role = next((name for name in names if name != content and table.plain[name] in _SPEAKERS), None)
    columns = {"content": content, **({"role": role} if role else {})}
    columns |= shared_columns(table, columns.values(), ROLES)
    who = f"`{role}` says who speaks" if role else "user and assistant are taken to speak in turn, the user first"
    reasons = (f"`{content}` holds lists of texts; {who}.", *unused(table, columns))
    return Proposal("messages", columns, worth(table, convert, columns, 0.9), reasons)


def _is_texts(value: object) -> bool:
    return is_list(value) and len(value) > 1 and all(isinstance(item, str) for item in value)


def convert(row: Row, columns: Mapping[str, str], context: Context) -> Conversation:
    """The row's messages, checked; `role` and `content` may also be lists side by side; `answer` comes after them."""
    values = row.values
    if "messages" in columns:
        column = columns["messages"]
        raw = from_json(values.get(column), column)
    else:
        column = columns["content"]
        raw = _side_by_side(values, columns)
    if "answer" in columns:
        raw = with_answer(raw, values.get(columns["answer"]), columns["answer"])
    return Conversation(checked(raw, column, context), (), "", row.file, row.line)


def with_answer(raw: object, answer: object, column: str) -> Any:
    """The turns with an answer that stands in a column of its own behind them."""
    if not is_list(raw):
        return raw
    if is_list(answer):
        return [*raw, *answer]
    if is_absent(answer):
        raise Unusable("missing answer", column)
    return [*raw, answer if is_object(answer) else {"role": "assistant", "content": answer}]


def _side_by_side(values: Mapping[str, Any], columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Messages from a list of texts, and a list of their speakers; without one, user and assistant take turns."""
    texts = from_json(values.get(columns["content"]), columns["content"])
    if not is_list(texts):
        raise Unusable(f"wrong type: the texts of the turns are {kind_of(texts)}, not a list", columns["content"])
    if "role" not in columns:
        named = [turn_of(text) if isinstance(text, str) else None for text in texts]
        if turns := [turn for turn in named if turn is not None]:
            if len(turns) < len(texts):
                raise Unusable(
                    "not known who speaks: some of the turns begin with a name, and others do not", columns["content"]
                )
            return turns
        return [{"role": ("user", "assistant")[index % 2], "content": text} for index, text in enumerate(texts)]
    speakers = from_json(values.get(columns["role"]), columns["role"])
    if not is_list(speakers) or len(speakers) != len(texts):
        raise Unusable("wrong type: there is not one speaker for each text", columns["role"])
    return [{"role": speaker, "content": text} for speaker, text in zip(speakers, texts, strict=True)]


def _is_message(item: Mapping[str, Any]) -> bool:
    """Whether an object names a speaker and may hold what is said; ShareGPT's `from` and `value` are a format of their own."""
    if "role" in item or (is_said(item) and next(iter(item)).lower() in SPEAKERS):
        return True
    return bool(item.keys() & set(ROLE_KEYS)) and bool(item.keys() & set(CONTENT_KEYS)) and not {"from", "value"} <= item.keys()


FORMAT = Format("messages", "OpenAI messages", EXAMPLE, ROLES, ("messages",), propose, convert, alternatives=(("content",),))
