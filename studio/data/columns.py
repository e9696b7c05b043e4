"""Columns and the roles they play: what a sample of rows has, and which column a format would take for which role."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from studio.data.notes import Notes, Unusable
from studio.data.rows import Conversation, Row

LOOKED_AT = 50
"""Rows of the sample that are tried in each proposed format."""

METADATA = frozenset(
    (
        *(
            "id",
            "ids",
            "uid",
            "uuid",
            "index",
            "idx",
            "row",
            "line",
            "number",
            "nr",
            "no",
            "key",
            "url",
            "uri",
            "link",
            "source",
        ),
        *(
            "origin",
            "dataset",
            "file",
            "filename",
            "path",
            "title",
            "name",
            "author",
            "lang",
            "language",
            "locale",
            "date",
            "time",
        ),
        *("timestamp", "created", "updated", "at", "year", "category", "categories", "topic", "topics", "tag", "tags", "type"),
        *("domain", "section", "split", "license", "licence", "meta", "metadata", "score", "rating", "difficulty", "version"),
        *("length", "tokens", "num", "quelle", "sprache", "datum", "kategorie", "thema"),
    )
)
"""Words that columns beside the text usually carry; they are not trained on."""


Convert: TypeAlias = Callable[[Row, Mapping[str, str], Notes], Conversation]


@dataclass(frozen=True)
class Proposal:
    """What a format makes of a table. unclear: roles that several columns could play; then it must be asked."""

    format: str
    columns: dict[str, str]
    confidence: float
    reasons: tuple[str, ...]
    unclear: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Format:
    """A row format: what a file in `formats/` declares."""

    name: str
    title: str
    example: dict[str, Any]
    """A row as people write it; shown in the docs, tried in the tests."""
    roles: Mapping[str, tuple[str, ...]]
    """Role -> column names it is known by, in plain words, the usual one first."""
    required: tuple[str, ...]
    propose: Callable[[Table], Proposal | None]
    """What this format makes of a table, or None if it is nothing of its kind."""
    convert: Convert
    """A row as a conversation. Raises Unusable."""


@dataclass(frozen=True)
class Table:
    """A sample of rows and the columns they have, in the order they first appear."""

    rows: tuple[Row, ...]
    names: tuple[str, ...]
    plain: dict[str, str]
    """Each column's name in plain words: lower case, `systemPrompt` and `system_prompt` as `system prompt`."""

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Table:
        """The table of a sample."""
        names: dict[str, None] = {}
        for row in rows:
            names.update(dict.fromkeys(row.values))
        return cls(tuple(rows), tuple(names), {name: plain(name) for name in names})

    def share(self, column: str, test: Callable[[Any], bool]) -> float:
        """Of the rows that have something in `column`, the share whose value passes `test`; 0 if none has."""
        there = [value for row in self.rows if (value := row.values.get(column)) not in (None, "")]
        return sum(map(test, there)) / len(there) if there else 0.0

    def is_text(self, column: str) -> bool:
        """True if the column mostly holds texts or numbers rather than lists or objects."""
        return self.share(column, lambda value: isinstance(value, (str, int, float)) and not isinstance(value, bool)) > 0.5

    def texts(self) -> list[str]:
        """Columns with texts that are not mere metadata."""
        return [
            name
            for name in self.names
            if not METADATA.issuperset(self.plain[name].split())
            and self.share(name, lambda value: isinstance(value, str)) > 0.5
        ]


def plain(name: str) -> str:
    """A column's name in plain words."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", str(name)))
    return re.sub(r"[\W_]+", " ", spaced).strip().casefold()


def matches(table: Table, known: tuple[str, ...], loose: bool = False) -> list[str]:
    """Columns whose name is one of `known` (best first), or with `loose` is of few words with such a one among them."""
    exact = [name for word in known for name in table.names if table.plain[name] == word]
    if exact or not loose:
        return exact
    words = {word for word in known if len(word) > 2}
    return [
        name
        for name in table.texts()
        if words.intersection(parts := table.plain[name].split()) and not METADATA.intersection(parts) and len(parts) <= 4
    ]


def worth(table: Table, convert: Convert, columns: Mapping[str, str], strength: float) -> float:
    """The strength of a proposal lowered by the share of sample rows that do not fit it."""
    tried = table.rows[:LOOKED_AT]
    fit = sum(_fits(convert, row, columns) for row in tried) / len(tried) if tried else 0.0
    return round(strength * (0.5 + 0.5 * fit), 3)


def _fits(convert: Convert, row: Row, columns: Mapping[str, str]) -> bool:
    try:
        convert(row, columns, Notes())
    except Unusable:
        return False
    return True


def by_name(
    table: Table,
    format: str,
    roles: Mapping[str, tuple[str, ...]],
    required: tuple[str, ...],
    convert: Convert,
    strength: float,
    loose: float = 0.0,
) -> Proposal | None:
    """The proposal of a format whose columns are known by name: strength for known names, `loose` (0: never) for names
    that merely contain such a word. None unless every required role has a column; several columns for it are unclear.
    """
    columns: dict[str, str] = {}
    unclear: dict[str, tuple[str, ...]] = {}
    for role, known in roles.items():
        found = matches(table, known, loose=bool(loose) and role in required)
        found = [name for name in found if name not in columns.values()]
        if not found and role in required:
            return None
        if found:
            columns[role] = found[0]
            if table.plain[found[0]] not in known:
                strength = loose
            if len(found) > 1:
                unclear[role] = tuple(found)
    reasons = tuple(f"`{name}` is the {role}." for role, name in columns.items() if role not in unclear)
    confidence = worth(table, convert, columns, 0.4 if unclear else strength)
    return Proposal(format, columns, confidence, (*reasons, *unused(table, columns)), unclear)


def lists_of_objects(table: Table, keys: tuple[str, ...], names: tuple[str, ...]) -> list[str]:
    """Columns that mostly hold lists of objects with `keys` (or the JSON text of such). Well-named ones win over others."""
    found = [name for name in table.names if table.share(name, lambda value: _has_keys(value, keys)) > 0.5]
    named = [name for word in names for name in found if table.plain[name] == word]
    return named or found


def _has_keys(value: Any, keys: tuple[str, ...]) -> bool:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return False
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and all(key in value[0] for key in keys)


def unused(table: Table, columns: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence on the columns that play no role, if there are any."""
    rest = [name for name in table.names if name not in columns.values()]
    listed = ", ".join(f"`{name}`" for name in rest[:8]) + (f" and {len(rest) - 8} more" if len(rest) > 8 else "")
    return (f"Not used: {listed}.",) if rest else ()
