"""Conversations whose messages have keys of their own: which key names the speaker and which holds what is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.core.plain import is_list, is_object
from studio.data.columns import Table, identifies
from studio.data.context import Role
from studio.data.paths import parsed
from studio.data.speakers import known
from studio.data.turns import EVERYBODY

SPEAKERS_MOST = 12
"""More different values than these under a key are no names of speakers."""
LOOKED_AT = 50
"""Rows that are looked at."""


@dataclass(frozen=True)
class Speech:
    """Messages in a column. columns: how to name them under `data.columns`; roles: which speaker has which role."""

    column: str
    columns: dict[str, str]
    roles: dict[str, Role]


def speech(table: Table) -> Speech | None:
    """What the values of a column say if they are lists of messages: objects with the same keys, one of which holds names
    that change within a list, another long texts; or objects whose only key is the speaker's name."""
    looked_at = table.rows[:LOOKED_AT]
    for name in table.names:
        lists = [messages for row in looked_at if (messages := _objects(row.values.get(name)))]
        if sum(len(messages) > 1 for messages in lists) <= len(looked_at) / 2:
            continue
        columns, spoken = {"messages": name}, [[speaker for item in each for speaker in item] for each in lists]
        if any(len(item) != 1 or not isinstance(next(iter(item.values())), str) for each in lists for item in each):
            keys = _texts(lists)
            said = max(keys, key=lambda key: sum(len(item[key]) for each in lists for item in each), default="")
            speaker = next((key for key in keys if key != said and not identifies(key) and _changes(lists, key)), None)
            if speaker is None:
                continue
            columns = {"content": f"{name}[].{said}", "role": f"{name}[].{speaker}"}
            spoken = [[item[speaker].strip() for item in each] for each in lists]
        if roles := _roles(spoken):
            return Speech(name, columns, roles)
    return None


def is_among_others(table: Table, path: str) -> bool:
    """Whether a path such as `turns.0.text` takes the first of several objects of a list, so that the others are lost."""
    column, _, rest = path.partition(".0.")
    return bool(rest) and table.share(column, lambda value: len(_objects(value)) > 1) > 0.5


def _objects(value: object) -> list[Mapping[str, Any]]:
    value = parsed(value) if isinstance(value, str) else value
    return [item for item in value if is_object(item)] if is_list(value) else []


def _texts(lists: list[list[Mapping[str, Any]]]) -> list[str]:
    """The keys that every message has with a text."""
    return [key for key in lists[0][0] if all(isinstance(item.get(key), str) for each in lists for item in each)]


def _changes(lists: list[list[Mapping[str, Any]]], key: str) -> bool:
    """Whether a key holds short texts that differ within most lists and come again."""
    changing = sum(len({item[key] for item in each}) > 1 for each in lists)
    if any(item[key].rstrip().endswith(("?", "？")) for each in lists for item in each):
        return False  # what is asked, and nobody's name
    return changing > len(lists) / 2 and all(0 < len(item[key].strip()) <= 60 for each in lists for item in each)


def _roles(spoken: list[list[str]]) -> dict[str, Role]:
    """The roles of the speakers' names. Usual names have the role they are known by; of the others those that begin a
    conversation are users. Of many names those that speak in most conversations are assistants, and everybody else a user.
    Empty where nobody would answer."""
    counted = Counter(name for each in spoken for name in set(each))
    if len(counted) > SPEAKERS_MOST or len(counted) > max(2, len(spoken) // 2):
        answering = [name for name, count in counted.items() if count > len(spoken) / 2]
        return {**dict.fromkeys(answering, "assistant"), EVERYBODY: "user"} if answering else {}
    first = {each[0] for each in spoken}
    roles: dict[str, Role] = {}
    for name in dict.fromkeys(name for each in spoken for name in each):
        usual = known(name, {})
        roles[name] = usual if usual in ("system", "user", "assistant", "tool") else "user" if name in first else "assistant"
    return roles if {"user", "assistant"} <= set(roles.values()) else {}
