"""What could play a role in rows of an unknown layout: columns of texts or numbers, and such values inside objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.core.plain import is_list, is_mapping
from studio.core.text import shorten
from studio.data.columns import Table, identifies, plain, words
from studio.data.paths import parsed, value_at

_CODES = frozenset(words("""close zip post postal country status error product item currency language"""))
"""Words beside which `code` is a mark, not something that is written."""
_NEVER = frozenset(words("""rejected rejects reject wrong incorrect negative bad"""))
_VALUES = frozenset(("value", "text", "content"))
"""Keys that hold what a typed object is about."""
_TAGS = re.compile(r"<[^<>]{1,200}>")


@dataclass(frozen=True)
class Leaf:
    """A column, or a value inside one, that could play a role."""

    path: str
    words: tuple[str, ...]
    text: bool
    """It mostly holds texts; else numbers or flags."""
    sample: str = field(compare=False, default="")


def leaves(table: Table) -> list[Leaf]:
    """What could play a role: columns of texts or numbers, and such values inside objects and lists."""
    listed: list[Leaf] = []
    for name in table.names:
        named = tuple(plain(name).split())
        if _NEVER.intersection(named) or ("code" in named and _CODES.intersection(named)):
            continue
        held = (value for row in table.rows if (value := row.values.get(name)) not in (None, "", [], {}))
        for path, value in next(filter(None, (_inside(name, value) for value in held)), list[tuple[str, Any]]()):
            own = (*named, *plain(path[len(name) :]).split())
            if isinstance(value, (str, int, float)):
                texts = table.share(name, lambda item: isinstance(item, str)) > 0.5 if path == name else isinstance(value, str)
                listed.append(Leaf(path, own, texts, shorten(str(value), 40)))
    return listed


def marks(table: Table) -> list[str]:
    """The columns of true and false, or of 1 and 0, that hold both: what each row may be asked for."""
    found: list[str] = []
    for name in table.names:
        said = {str(value).strip().lower() for row in table.rows if (value := row.values.get(name)) not in (None, "")}
        if said == {"true", "false"} or (said == {"0", "1"} and not identifies(name)):
            found.append(name)
    return found


def only_mark(table: Table) -> Leaf | None:
    """The column of true and false, if there is one only."""
    found = marks(table)
    return Leaf(found[0], tuple(plain(found[0]).split()), False) if len(found) == 1 else None


def without_copies(table: Table, candidates: list[Leaf]) -> list[Leaf]:
    """The candidates without those that say what another says, as `body_text` and `body` (HTML) do; the plainer one stays."""
    kept: list[Leaf] = []
    said: set[tuple[str, ...]] = set()
    for leaf in sorted(candidates, key=lambda leaf: "<" in leaf.sample):
        values = tuple(_TAGS.sub("", str(value_at(row.values, leaf.path) or "")).strip() for row in table.rows[:20])
        if not leaf.text or not any(values) or values not in said:
            kept.append(leaf)
        said.add(values)
    return [leaf for leaf in candidates if leaf in kept]


def has_text(candidates: Sequence[Leaf], leaf: Leaf) -> bool:
    """Whether another part of the same column holds text: then a number in it is only about that text."""
    column = leaf.path.partition(".")[0]
    return any(other.text and other.path.startswith(f"{column}.") for other in candidates)


def _inside(path: str, value: object, depth: int = 0) -> list[tuple[str, Any]]:
    """A value's plain parts with their paths, also inside JSON text; of a list only the first element."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") and depth < 3:
        value = parsed(value)
    if is_mapping(value) and depth < 3:
        typed = "type" in value and bool(value.keys() & _VALUES)  # of {"type": "text", "value": …} the value
        parts = [(key, inner) for key, inner in value.items() if not (typed and key == "type")]
        return [part for key, inner in parts for part in _inside(f"{path}.{key}", inner, depth + 1)]
    if is_list(value) and value and depth < 3 and not is_list(value[0]):
        return _inside(f"{path}.0", value[0], depth + 1)
    return [] if isinstance(value, (Mapping, list, bool)) or value is None else [(path, value)]
