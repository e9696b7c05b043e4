"""Which format a file's rows have and which column plays which role: how sure, why, and what else it could be."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.core.errors import DataError
from studio.core.text import nearest
from studio.data.columns import Proposal, Table, worth
from studio.data.formats import FORMATS
from studio.data.notes import Notes, Unusable
from studio.data.rows import Row
from studio.data.settings import Data

SAMPLE = 256
"""Rows at a file's beginning that detection looks at."""
SURE = 0.47
"""Confidence from which a format is taken without asking: a well-named format fits even if most rows are faulty."""
MARGIN = 0.2
"""A runner-up this near that would read the rows differently makes the answer unclear."""


@dataclass(frozen=True)
class Detection:
    """What a file was found to hold. columns: role -> column. confidence: 0 to 1; 1 when the settings say so."""

    format: str
    columns: Mapping[str, str]
    confidence: float
    reasons: tuple[str, ...] = ()
    runner_up: str = ""
    runner_up_confidence: float = 0.0
    encoding: str = ""
    container: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    """What else is known of the file, e.g. its delimiter."""


def detect(sample: Sequence[Row], settings: Data, strict: bool = True) -> Detection:
    """The format and columns of a file from its first rows. `settings.format` and `settings.columns` override.

    strict: the named columns must be there; else a file that has none of them is detected on its own. Raises DataError
    if it is not clear; the hint is the line to write under `data:`.
    """
    if not sample:
        raise DataError("there are no rows to look at", hint="Give a file with at least a few rows.", where=_where(settings))
    table = Table.of(sample)
    file = sample[0].file
    wanted = {role: name for role, name in settings.columns.items() if name in table.names}
    if wanted and len(wanted) < len(settings.columns):
        _missing_column(table, settings, file)
    if wanted or (settings.columns and strict):
        return _as_told(table, settings, file)
    proposals = [found for form in FORMATS.values() if (found := form.propose(table)) is not None]
    if settings.format:
        return _as_named(table, settings.format, proposals, file)
    proposals.sort(key=lambda found: -found.confidence)
    if not proposals:
        raise _unknown(table, file)
    best, *others = proposals
    rival = next((other for other in others if _differ(table, best, other)), None)
    if best.unclear:
        raise _which_column(table, best, file)
    if rival and best.confidence - rival.confidence < MARGIN:
        raise _which_format(best, rival, file)
    more = next((other for other in others if other.unclear and not _columns_of(other) <= _columns_of(best)), None)
    if more:
        raise _which_column(table, more, file)
    if best.confidence < SURE:
        raise _unsure(table, best, file)
    second = others[0] if others else None
    return Detection(
        best.format,
        best.columns,
        best.confidence,
        best.reasons,
        second.format if second else "",
        second.confidence if second else 0.0,
    )


def columns_line(columns: Mapping[str, str]) -> str:
    """The line that names columns in a spec, e.g. `columns: {question: Frage, answer: "Antwort, kurz"}`."""
    return "columns: {" + ", ".join(f"{role}: {_quoted(name)}" for role, name in columns.items()) + "}"


def _as_told(table: Table, settings: Data, file: str) -> Detection:
    """The columns are given: the format is the given one, or the first that has all these roles."""
    roles = settings.columns
    names = [settings.format] if settings.format else list(FORMATS)
    for name in names:
        form = FORMATS[name]
        if set(form.required) <= roles.keys() <= form.roles.keys():
            _missing_column(table, settings, file)
            confidence = worth(table, form.convert, roles, 1.0)
            reasons = (f"The settings name the columns: {columns_line(roles)}.",)
            return Detection(name, dict(roles), 1.0 if confidence >= 0.6 else confidence, reasons)
    known = sorted({role for name in names for role in FORMATS[name].roles})
    wrong = next((role for role in roles if role not in known), None)
    if wrong:
        near = nearest(wrong, known)
        message = f"`{wrong}` is not a role that a column can play" + (
            f" in format {settings.format}" if settings.format else ""
        )
        hint = f"Did you mean `{near}`?" if near else f"Roles are: {', '.join(known)}."
    else:
        message = f"the roles {', '.join(f'`{role}`' for role in roles)} do not make up a format"
        needs = "; ".join(f"{FORMATS[name].name} needs {' and '.join(FORMATS[name].required)}" for name in names)
        hint = f"Name all that one needs: {needs}."
    raise DataError(message, hint=hint, where="data.columns")


def _as_named(table: Table, name: str, proposals: list[Proposal], file: str) -> Detection:
    """The format is given: its own proposal is taken, if it has one."""
    found = next((proposal for proposal in proposals if proposal.format == name), None)
    if found is None:
        needed = FORMATS[name].required
        raise DataError(
            f"format {name} needs {' and '.join(f'`{role}`' for role in needed)}, and the columns are {_listed(table)}",
            hint=f"Write under data: {columns_line(_in_order(table, needed))} with the right names, or leave the format empty.",
            where=file,
        )
    if found.unclear:
        raise _which_column(table, found, file)
    return Detection(name, found.columns, 1.0, (f"The settings say {name}.", *found.reasons))


def _differ(table: Table, one: Proposal, other: Proposal) -> bool:
    """True if two proposals read the sample differently: `instruction, output` is the same as alpaca or as question."""
    return not other.unclear and any(_read(row, one) != _read(row, other) for row in itertools.islice(table.rows, 20))


def _columns_of(proposal: Proposal) -> set[str]:
    return {*proposal.columns.values(), *itertools.chain.from_iterable(proposal.unclear.values())}


def _read(row: Row, proposal: Proposal) -> Any:
    try:
        return FORMATS[proposal.format].convert(row, proposal.columns, Notes())
    except Unusable as problem:
        return problem.reason


def _missing_column(table: Table, settings: Data, file: str) -> None:
    for role, name in settings.columns.items():
        if name not in table.names:
            near = nearest(name, table.names)
            raise DataError(
                f"there is no column `{name}` for `{role}`; the columns are {_listed(table)}",
                hint=f"Did you mean {columns_line({**settings.columns, role: near})}?" if near else "Correct data.columns.",
                where=file,
            )


def _which_column(table: Table, proposal: Proposal, file: str) -> DataError:
    role, candidates = next(iter(proposal.unclear.items()))
    others = {key: names for key, names in proposal.unclear.items() if key != role}
    also = "".join(f", nor which is the {key}: {_either(names)}" for key, names in others.items())
    required = FORMATS[proposal.format].required
    lines = []
    for name in candidates[:3]:
        chosen = {key: column for key, column in proposal.columns.items() if key in required or key in proposal.unclear}
        rest = {key: next((column for column in names if column != name), names[0]) for key, names in others.items()}
        lines.append(columns_line({**chosen, **rest, role: name}))
    return DataError(
        f"it is not clear which column is the {role}: {_either(candidates)}{also}",
        hint=f"Write the right one of these under data: {'  or  '.join(lines)}",
        where=file,
    )


def _which_format(best: Proposal, rival: Proposal, file: str) -> DataError:
    return DataError(
        f"it is not clear which columns to train on: {_columns(best)} ({best.format}, {best.confidence:.2f}) "
        f"or {_columns(rival)} ({rival.format}, {rival.confidence:.2f})",
        hint=f"Write the right one of these under data: {columns_line(best.columns)}  or  {columns_line(rival.columns)}",
        where=file,
    )


def _unsure(table: Table, best: Proposal, file: str) -> DataError:
    return DataError(
        f"these columns could be {best.format}, but that is not sure ({best.confidence:.2f}): {' '.join(best.reasons)}",
        hint=f"If it is right, write under data: {columns_line(best.columns)}. If not: {_guess(table)}",
        where=file,
    )


def _unknown(table: Table, file: str) -> DataError:
    names = set(table.plain.values())
    if {"chosen", "rejected"} <= names:
        message = f"these are pairs of preferred and rejected answers, which are not trained on here; columns: {_listed(table)}"
    else:
        message = f"it is not clear what to train on; the columns are {_listed(table)}"
    return DataError(message, hint=_guess(table), where=file)


def _guess(table: Table) -> str:
    texts = table.texts()
    if any(_is_said(name) for name in table.names):
        return "Its first line looks like a row, not like column names: put a line such as `question,answer` above it."
    if len(texts) == 1:
        return f"Write under data: {columns_line({'text': texts[0]})} to train on that text, or name question and answer."
    order = _in_order(table, ("question", "answer"))
    return f"Write under data: {columns_line(order)} with the right names (a table needs a first line with column names)."


def _is_said(name: str) -> bool:
    """Whether a column's name reads like something that is said."""
    return len(name.split()) > 5 or name.rstrip().endswith(("?", "!", "."))


def _in_order(table: Table, roles: Sequence[str]) -> dict[str, str]:
    """Roles and columns in their order, for a line a person then corrects."""
    names = [*table.texts(), *(name for name in table.names if name not in table.texts())]
    return {role: names[place] if place < len(names) else "COLUMN" for place, role in enumerate(roles)}


def _columns(proposal: Proposal) -> str:
    return " and ".join(f"`{name}`" for name in proposal.columns.values())


def _either(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _listed(table: Table) -> str:
    return ", ".join(f"`{name}`" for name in table.names[:20]) + (" …" if len(table.names) > 20 else "")


def _quoted(name: str) -> str:
    """A name as YAML flow text: quoted only where it must be."""
    safe = re.fullmatch(r"[^\W\d][\w \-./]*(?<! )", name) and name.lower() not in (
        "yes",
        "no",
        "true",
        "false",
        "null",
        "on",
        "off",
    )
    return name if safe else json.dumps(name, ensure_ascii=False)


def _where(settings: Data) -> str:
    return ", ".join(settings.files)
