"""Columns and the roles they play: what a sample of rows has, and which column a format would take for which role."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from studio.core.plain import is_list, is_object
from studio.data.context import Context
from studio.data.marks import flags_of, is_number
from studio.data.notes import Unusable
from studio.data.paths import root
from studio.data.rows import Conversation, Row
from studio.data.texts import python_literal

LOOKED_AT = 50
"""Rows of the sample that are tried in each proposed format."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text, for lists of names that are long."""
    return tuple(text.split())


IDENTIFIERS = frozenset(
    words(
        """id ids uid uuid guid index idx row line number nr no key hash md5 url uri link href source origin dataset file
    filename path lang language locale date time timestamp created updated modified at year split license licence
    meta metadata length tokens num version quelle sprache datum user session conversation message count"""
    )
)
"""Words of columns that say where a row comes from; leaving them out loses nothing that could be learned."""
DESCRIPTIONS = frozenset(
    words(
        """title name author category categories topic topics tag tags type domain section score rating difficulty
    kategorie thema"""
    )
)
"""Words of columns that describe a row; they are not trained on unless a person says so."""
METADATA = IDENTIFIERS | DESCRIPTIONS
LABELS = frozenset(
    words(
        """label labels class classes category categories topic target sentiment intent emotion rating stars score
    polarity genre kategorie etikett"""
    )
)
"""Words of columns that beside a single text say what the text is: then it is a classification, not a text to learn."""


Convert: TypeAlias = Callable[[Row, Mapping[str, str], Context], Conversation]


@dataclass(frozen=True)
class Proposal:
    """What a format makes of a table. unclear: roles that several columns could play; then it must be asked."""

    format: str
    columns: dict[str, str]
    confidence: float
    reasons: tuple[str, ...]
    unclear: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


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
    alternatives: tuple[tuple[str, ...], ...] = ()
    """Roles that do in place of the required ones."""

    def is_made_of(self, roles: Iterable[str]) -> bool:
        """Whether these roles, and no unknown one, make up a row of this format."""
        named = set(roles)
        return named <= self.roles.keys() and any(named.issuperset(need) for need in (self.required, *self.alternatives))


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


_SAYINGS = (["message"], ["conversation"])
"""Names that beside `id` identify a row, and alone hold what is said."""
_KEYS = frozenset(words("id ids uid uuid guid url uri count date time at"))
"""Last words of names that identify or count something, whatever stands before them."""


def identifies(name: str) -> bool:
    """Whether a column only says where or when a row comes from, so that nothing to learn stands in it."""
    said = plain(name).split()
    return bool(said) and said not in _SAYINGS and (said[-1] in _KEYS or IDENTIFIERS.issuperset(said))


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


def worth(table: Table, convert: Convert, columns: Mapping[str, str], strength: float, context: Context | None = None) -> float:
    """The strength of a proposal lowered by the share of sample rows that do not fit it."""
    tried, context = table.rows[:LOOKED_AT], context or Context()
    fit = sum(_fits(convert, row, columns, context) for row in tried) / len(tried) if tried else 0.0
    return round(strength * (0.5 + 0.5 * fit), 3)


def _fits(convert: Convert, row: Row, columns: Mapping[str, str], context: Context) -> bool:
    try:
        convert(row, columns, context)
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
        if role in SHARED:
            continue
        candidates = matches(table, known, loose=bool(loose) and role in required)
        candidates = [name for name in candidates if name not in columns.values()]
        if not candidates and role in required:
            return None
        if candidates:
            columns[role] = candidates[0]
            if table.plain[candidates[0]] not in known:
                strength = loose
            if len(candidates) > 1:
                unclear[role] = tuple(candidates)
    columns |= shared_columns(table, columns.values(), roles)
    reasons = tuple(_reason(name, role) for role, name in columns.items() if role not in unclear)
    confidence = worth(table, convert, columns, 0.4 if unclear else strength)
    return Proposal(format, columns, confidence, (*reasons, *unused(table, columns)), unclear)


def _reason(name: str, role: str) -> str:
    marks = {"keep": "marks the rows to keep", "drop": "marks the rows to leave out", "split": "parts training from evaluation"}
    return f"`{name}` {marks.get(role, f'is the {role}')}."


SHARED: Mapping[str, tuple[str, ...]] = {
    "system": ("system", "system prompt", "system message", "system instruction", "sys prompt", "meta instruction"),
    "history": ("history", "chat history", "conversation history", "previous turns"),
    "tools": ("tools", "functions"),
    "reasoning": (
        *(
            "reasoning",
            "reasoning content",
            "thinking",
            "chain of thought",
            "cot",
            "complex co t",
            "complex cot",
            "thinking trajectory",
        ),
        *("deepseek reasoning", "deepseek thinking trajectory", "think"),
    ),
    "keep": (
        *("label", "keep", "accepted", "approved", "is good", "desirable", "thumbs", "thumb", "feedback", "liked"),
        *("is correct", "correct", "is valid", "valid", "is approved", "is accepted", "ok", "okay", "usable"),
        *("freigegeben", "geprüft", "korrekt", "aprobado", "válido", "validé", "approuvé", "approvato", "aprovado"),
    ),
    "drop": (
        *("deleted", "is deleted", "spam", "is spam", "rejected", "is rejected", "excluded", "exclude", "discarded"),
        *("is bad", "toxic", "is toxic", "incorrect", "is incorrect", "hidden", "is hidden", "obsolete", "is obsolete"),
        *("delete", "remove", "to delete", "to remove", "do not use", "löschen", "gelöscht", "eliminar", "supprimer"),
    ),
    "split": ("split", "fold", "partition", "subset"),
    "weight": ("weight", "sample weight", "row weight"),
}
"""Roles that columns beside a conversation can play in every format but plain text, and the names they are known by."""


def shared_columns(table: Table, taken: Iterable[str], roles: Iterable[str]) -> dict[str, str]:
    """The columns of a sample that play one of the `SHARED` roles, of those the format has."""
    taken = set(taken)
    columns: dict[str, str] = {}
    for role, known in SHARED.items():
        candidates = [name for name in matches(table, known) if name not in taken]
        if role in ("keep", "drop"):
            candidates = [name for name in candidates if table.share(name, flags_of(role, table.plain[name])) == 1.0]
        elif role == "reasoning":
            candidates = [name for name in candidates if name in table.texts()]
        elif role == "split":
            candidates = [name for name in candidates if _parts_rows(table, name)]
        elif role == "weight":
            candidates = [name for name in candidates if table.share(name, is_number) == 1.0]
        if candidates and role in roles:
            columns[role] = candidates[0]
    return columns


TRAINING = frozenset(("train", "training", "trn"))
EVALUATION = frozenset(("test", "testing", "eval", "evaluation", "val", "valid", "validation", "dev", "holdout", "held out"))
"""Words, in lower case, by which a column says that a row is for training or for evaluation."""


def _parts_rows(table: Table, name: str) -> bool:
    """Whether a column says of each row whether it is for training or for evaluation, and some are for training."""
    said = {str(row.values.get(name)).strip().lower() for row in table.rows}
    return bool(said & TRAINING) and said <= TRAINING | EVALUATION


def lists_of_objects(table: Table, fits: Callable[[Mapping[str, Any]], bool], names: tuple[str, ...]) -> list[str]:
    """Columns that mostly hold lists of objects that fit (or the JSON text of such). Well-named ones win over others."""
    columns = [
        name
        for name in table.names
        if table.plain[name] not in SHARED["history"] and table.share(name, lambda value: _holds(value, fits)) > 0.5
    ]
    named = [name for word in names for name in columns if table.plain[name] == word]
    return named or columns


def _holds(value: object, fits: Callable[[Mapping[str, Any]], bool]) -> bool:
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            value = python_literal(value)
    return is_list(value) and bool(value) and is_object(value[0]) and fits(value[0])


def unused(table: Table, columns: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence on the columns that play no role, if there are any."""
    roots = {root(name, table.names) for name in columns.values()}
    rest = [name for name in table.names if name not in roots]
    listed = ", ".join(f"`{name}`" for name in rest[:8]) + (f" and {len(rest) - 8} more" if len(rest) > 8 else "")
    return (f"Not used: {listed}.",) if rest else ()
