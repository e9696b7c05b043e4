"""Chats as messengers and channels export them: who is user and who assistant is for a person to say (`data.roles`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from studio.core.plain import is_list, is_mapping, object_or_empty
from studio.core.text import plural
from studio.data.readers.facts import Facts
from studio.data.readers.faq import text_of_page
from studio.data.readers.shape import Shape, at, has_objects
from studio.data.readers.speakers import who
from studio.data.rows import Rejected, Row
from studio.data.speakers import known
from studio.data.times import oldest_first


def chat_of(values: Mapping[str, Any]) -> Shape | None:
    """The shape of a messenger's export that a row has, if any: the row is a whole chat."""
    return next((shape for shape in CHATS if shape.fits(values)), None)


def chats(rows: Iterable[Row | Rejected], shape: Shape, facts: Facts) -> Iterator[Row | Rejected]:
    """Each row, a whole chat, as a conversation."""
    facts.remarks.append(shape.remark)
    opened: list[Row] = []
    silent = 0
    for row in rows:
        if isinstance(row, Rejected):
            yield row
        else:
            spoken: list[dict[str, Any]] = shape.opened(row.values)["messages"] if shape.fits(row.values) else []
            said = [item for item in spoken if item["role"] and item["content"]]
            silent += len(spoken) - len(said)
            opened.append(Row({"messages": said}, row.file, row.line))
    if silent:
        facts.remarks.append(f"Left out: {plural(silent, 'message')} without text.")
    yield from _spoken(opened, facts)


def is_message(values: Mapping[str, Any]) -> bool:
    """Whether a row is a single message of a channel."""
    return _is_channel_message(values) or _is_team_message(values)


def threads(rows: Iterable[Row | Rejected], facts: Facts) -> Iterator[Row | Rejected]:
    """Conversations of a channel's export, whose rows are single messages: each thread is one; without threads, all."""
    found: dict[Any, list[tuple[str, Row, dict[str, Any]]]] = {}
    notices = 0
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        for values in (row.values, *(row.values.get("replies") or () if _is_team_message(row.values) else ())):
            if message := _message(values):
                when = str(values.get("createdDateTime") or values.get("ts") or "")
                found.setdefault(_thread(values), []).append((when, row, message))
            else:
                notices += 1
    parted = [spoken for spoken in found.values() if len(spoken) > 1]
    alone = len(found) - len(parted) if parted else 0
    parted = parted or [[item for spoken in found.values() for item in spoken]]
    text = f"Its rows are single messages of a channel; each of {plural(len(parted), 'thread')} became a conversation"
    left = [plural(number, what) for number, what in ((notices, "notice"), (alone, "unanswered message")) if number]
    facts.remarks.append(f"{text}; left out: {' and '.join(left)}." if left else f"{text}.")
    conversations: list[Row] = []
    for spoken in parted:
        if all(item[0] for item in spoken):  # some list the newest message first
            spoken.sort(key=lambda item: item[0])
        conversations.append(Row({"messages": [item[2] for item in spoken]}, spoken[0][1].file, spoken[0][1].line))
    yield from _spoken(conversations, facts)


def _spoken(rows: list[Row], facts: Facts) -> Iterator[Row]:
    """The conversations. Raises DataError if it is not clear who of their speakers is the assistant."""
    names = dict.fromkeys(
        item["role"] for row in rows for item in row.values.get("messages") or () if isinstance(item.get("role"), str)
    )
    unknown = [name for name in names if not known(name, facts.roles)]
    if unknown:
        raise who(unknown, facts, "its messages name their speakers")
    yield from rows


def _is_channel_message(values: Mapping[str, Any]) -> bool:
    return values.get("type") == "message" and {"user", "text", "ts"} <= values.keys()


def _is_team_message(values: Mapping[str, Any]) -> bool:
    return "messageType" in values and is_mapping(values.get("body"))


def _thread(values: Mapping[str, Any]) -> Any:
    """What the messages of a thread have in common."""
    if "ts" in values:
        return values.get("thread_ts") or values["ts"]
    return values.get("replyToId") or values.get("id")


def _message(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is said in a message of a channel, and by whom; None for a notice."""
    if _is_team_message(values):
        said = values["body"].get("content") or ""
        said = text_of_page(said) if values["body"].get("contentType") == "html" else said
        person = object_or_empty(at(values, "from", "user") or at(values, "from", "application"))
        name = person.get("displayName") or person.get("id")
        return {"role": name, "content": said} if name and said and values["messageType"] == "message" else None
    if values.get("subtype") not in (None, "bot_message", "thread_broadcast") or not values.get("text"):
        return None
    name = values.get("user") or values.get("username") or values.get("bot_id")
    return {"role": name, "content": values["text"]} if name else None


def _is_guild(values: Mapping[str, Any]) -> bool:
    return is_mapping(values.get("channel")) and is_mapping(at(values, "messages", "author"))


def _guild(values: Mapping[str, Any]) -> dict[str, Any]:
    """A channel whose messages name their author in an object."""
    spoken = [
        {"role": item["author"].get("nickname") or item["author"].get("name"), "content": item.get("content") or ""}
        for item in oldest_first(values["messages"])
        if item.get("type") in ("Default", "Reply", 0, 19)
    ]
    return {"messages": spoken}


def _is_history(values: Mapping[str, Any]) -> bool:
    return has_objects(values.get("messages")) and any(
        item.get("type") in ("message", "service") and "text" in item and "date" in item for item in values["messages"][:2]
    )


def _history(values: Mapping[str, Any]) -> dict[str, Any]:
    """A chat whose texts may be lists of plain and marked-up pieces; what the app itself says is left out."""
    spoken = [
        {"role": item.get("from") or item.get("from_id"), "content": _pieces(item.get("text"))}
        for item in oldest_first(values["messages"])
        if item.get("type") == "message"
    ]
    return {"messages": spoken}


def _pieces(text: Any) -> str:
    if is_list(text):
        return "".join(piece if isinstance(piece, str) else str(piece.get("text") or "") for piece in text)
    return text or ""


def _is_inbox_of_friends(values: Mapping[str, Any]) -> bool:
    return has_objects(values.get("participants")) and bool(at(values, "messages", "sender_name"))


def _inbox_of_friends(values: Mapping[str, Any]) -> dict[str, Any]:
    """A chat whose messages name their sender, the newest first, and whose texts are UTF-8 read as Latin-1."""
    spoken = [
        {"role": _repaired(item["sender_name"]), "content": _repaired(item.get("content") or "")}
        for item in sorted(values["messages"], key=lambda item: item.get("timestamp_ms") or 0)
    ]
    return {"messages": spoken}


def _repaired(text: str) -> str:
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


CHATS = (
    Shape(_is_guild, _guild, "It is an export of a channel; all of it became one conversation, notices are left out."),
    Shape(_is_history, _history, "It is an export of a chat; all of it became one conversation, notices are left out."),
    Shape(
        _is_inbox_of_friends,
        _inbox_of_friends,
        "It is an export of a chat; all of it became one conversation, oldest message first, and its letters were repaired.",
    ),
)
"""The messengers' shapes."""
