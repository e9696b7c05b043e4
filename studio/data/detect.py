"""Which format a file's rows have and which column plays which role: how sure, why, and what else it could be."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.core.errors import TO_FILL_IN, DataError
from studio.core.text import nearest
from studio.data.advice import guesses, preferences
from studio.data.choices import Choice, asking, choice, columns_line
from studio.data.columns import SHARED, Proposal, Table, worth
from studio.data.context import Context
from studio.data.formats import FORMATS
from studio.data.losses import (
    either,
    refuse_choices,
    refuse_list_of_tickets,
    refuse_mixed,
    refuse_several,
    refuse_template_text,
    refuse_untold,
)
from studio.data.notes import Unusable
from studio.data.paths import is_path, value_at
from studio.data.rows import Row
from studio.data.settings import Data
from studio.data.usual_names import FINAL

SAMPLE = 256
"""Rows at a file's beginning that detection looks at."""
SURE = 0.47
"""Confidence from which a format is taken without asking: a well-named format fits even if most rows are faulty."""
TABLES = ("alpaca", "prompt_completion", "question_answer")
"""Formats whose columns hold a text each."""
PAIRED = 0.6
"""Confidence below which the answers of preference pairs cannot be read with their prompts."""
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
    details: Mapping[str, str] = field(default_factory=dict[str, str])
    """What else is known of the file, e.g. its delimiter."""


def detect(sample: Sequence[Row], settings: Data, strict: bool = True) -> Detection:
    """The format and columns of a file from its first rows. `settings.format` and `settings.columns` override.

    strict: the named columns must be there; else a file that has none of them is detected on its own. Raises DataError
    if it is not clear; the hint is the line to write under `data:`.
    """
    if not sample:
        raise DataError("there are no rows to look at", hint="Give a file with at least a few rows.", where=_where(settings))
    table = _with_paths(Table.of(sample), settings.columns)
    file = sample[0].file
    if not table.names:
        raise DataError("its rows are empty", hint="Give a file with rows.", where=file)
    named = {role: name for role, name in settings.columns.items() if name in table.names}
    if named and len(named) < len(settings.columns):
        _missing_column(table, settings, file)
    if named or (settings.columns and strict):
        return _as_set(table, settings, file)
    proposals = [proposal for form in FORMATS.values() if (proposal := form.propose(table)) is not None]
    pairs = next((proposal for proposal in proposals if proposal.format == "preference"), None)
    if pairs and pairs.confidence < PAIRED and settings.format in (None, "preference"):
        raise _preferences(table, file)
    if not pairs and not settings.format:
        refuse_untold(table, file)
    if settings.format:
        return _as_named(table, settings.format, proposals, file)
    proposals.sort(key=lambda proposal: -proposal.confidence)
    refuse_mixed(table, file)
    refuse_several(table, file)
    proposals = [pairs] if pairs else proposals
    if not proposals:
        refuse_list_of_tickets(table, file)
        raise _unknown(table, file)
    if any(proposal.format == "templated" and proposal.confidence > 0.7 for proposal in proposals):
        proposals = [proposal for proposal in proposals if proposal.format != "text"]  # the same text, taken apart
    proposals = _without_rendered(table, proposals)
    best, *others = proposals
    rival = next((other for other in others if not _same_role(best, other) and _differ(table, best, other)), None)
    if best.unclear:
        raise _which_column(table, best, file)
    if rival and best.confidence - rival.confidence < MARGIN and best.format != "templated":
        raise _which_format(table, best, rival, file)
    more = next((other for other in others if other.unclear and not _columns_of(other) <= _columns_of(best)), None)
    if more:
        raise _which_column(table, more, file)
    if best.confidence <= 0.5 and not best.unclear and best.format in TABLES and (nested := _nested(table, best)) is not None:
        raise asking(f"the columns {_columns(best)} do not hold texts", table, file, nested, reasons=best.reasons)
    if best.confidence < SURE:
        raise _unsure(table, best, file)
    refuse_choices(table, best, file)
    refuse_template_text(table, best, file)
    second = others[0] if others else None
    return Detection(
        best.format,
        best.columns,
        best.confidence,
        best.reasons,
        second.format if second else "",
        second.confidence if second else 0.0,
    )


def _without_rendered(table: Table, proposals: list[Proposal]) -> list[Proposal]:
    """The proposals without the column that holds each Alpaca row once more, as its template writes it."""
    alpaca = next((proposal for proposal in proposals if proposal.format == "alpaca" and proposal.confidence > 0.9), None)
    rendered = next((proposal for proposal in proposals if proposal.format == "templated"), None)
    if alpaca is None or rendered is None:
        return proposals
    text, parts = rendered.columns["templated"], [alpaca.columns[role] for role in ("instruction", "output")]
    copies = all(str(row.values.get(part)) in str(row.values.get(text)) for row in table.rows for part in parts)
    if not copies:
        return proposals
    return [proposal for proposal in proposals if proposal.format in ("alpaca", "prompt_completion", "preference")]


def _with_paths(table: Table, columns: Mapping[str, str]) -> Table:
    """The table with the values of paths that the settings name as columns of their own, where there are such values."""
    paths = [name for name in columns.values() if name not in table.names and is_path(name)]
    if not paths:
        return table
    rows = [
        Row({**row.values, **{path: value_at(row.values, path) for path in paths}}, row.file, row.line) for row in table.rows
    ]
    paths = [path for path in paths if any(row.values[path] is not None for row in rows)]
    return Table(tuple(rows), (*table.names, *paths), {**table.plain, **{path: path for path in paths}})


def _as_set(table: Table, settings: Data, file: str) -> Detection:
    """The settings name the columns: the format is the one they name, or the first that has all these roles."""
    roles = settings.columns
    names = [settings.format] if settings.format else list(FORMATS)
    for name in names:
        form = FORMATS[name]
        if form.is_made_of(roles):
            _missing_column(table, settings, file)
            context = Context.of(settings.roles, settings.turns)
            confidence = worth(table, form.convert, roles, 1.0, context)
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
    """The settings name the format: its own proposal is taken, if it has one."""
    proposal = next((proposal for proposal in proposals if proposal.format == name), None)
    if proposal is None:
        needed = FORMATS[name].required
        choices = [item for item in guesses(table) if FORMATS[name].is_made_of(item.columns)]
        message = f"format {name} needs {' and '.join(f'`{role}`' for role in needed)}, and the columns are {_listed(table)}"
        sure = next((other for other in proposals if other.confidence >= 0.6 and not other.unclear), None)
        if sure is not None and not choices:
            raise DataError(message, hint=f"Leave data.format out: the columns are those of {sure.format}.", where=file)
        raise asking(message, table, file, choices)
    if proposal.unclear:
        raise _which_column(table, proposal, file)
    return Detection(name, proposal.columns, 1.0, (f"The settings say {name}.", *proposal.reasons))


def _same_role(best: Proposal, other: Proposal) -> bool:
    """Whether `prompt` and `completion` are taken as the same roles; only that format takes a written template apart."""
    return best.format == "prompt_completion" and set(best.columns.values()) == set(other.columns.values())


def _differ(table: Table, one: Proposal, other: Proposal) -> bool:
    """True if two proposals read the sample differently: `instruction, output` is the same as alpaca or as question."""
    return not other.unclear and any(_read(row, one) != _read(row, other) for row in itertools.islice(table.rows, 20))


def _columns_of(proposal: Proposal) -> set[str]:
    return {*proposal.columns.values(), *itertools.chain.from_iterable(proposal.unclear.values())}


def _read(row: Row, proposal: Proposal) -> Any:
    try:
        return FORMATS[proposal.format].convert(row, proposal.columns, Context())
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


def _preferences(table: Table, file: str) -> DataError:
    return asking(
        f"these are pairs of preferred and rejected answers, and it is not clear which column holds their prompts; columns: "
        f"{_listed(table)}. The preferred answers alone can be read",
        table,
        file,
        preferences(table),
    )


def _which_column(table: Table, best: Proposal, file: str) -> DataError:
    role, names = next(iter(best.unclear.items()))
    others = {key: candidates for key, candidates in best.unclear.items() if key != role}
    also = "".join(f", nor which is the {key}: {either(candidates)}" for key, candidates in others.items())
    required = FORMATS[best.format].required
    certain = {key: name for key, name in best.columns.items() if key in required or key in best.unclear or key in SHARED}
    choices: list[Choice] = []
    for name in sorted(names, key=lambda name: FINAL.isdisjoint(table.plain[name].split()))[:3]:
        rest = {
            key: max((other for other in candidates if other != name), key=lambda other: _alike(table, name, other))
            for key, candidates in others.items()
        }
        choices.append(choice(table, {**certain, **rest, role: name}))
    message = f"it is not clear which column is the {role}: {either(names)}{also}"
    return asking(message, table, file, choices, reasons=best.reasons)


def _alike(table: Table, one: str, other: str) -> int:
    """How many words two columns' names share: of `question_de` and `answer_de` one."""
    return len({*table.plain[one].split()} & {*table.plain[other].split()})


def _which_format(table: Table, best: Proposal, rival: Proposal, file: str) -> DataError:
    choices = [choice(table, proposal.columns, _needed(proposal)) for proposal in (best, rival)]
    return asking(
        f"the rows can be read in two ways: as {best.format} ({_columns(best)}) or as {rival.format} ({_columns(rival)})",
        table,
        file,
        choices,
        reasons=(*best.reasons, *rival.reasons),
    )


def _needed(proposal: Proposal) -> str:
    """The format's name where the columns alone would be taken for another's."""
    first = next(form.name for form in FORMATS.values() if form.is_made_of(proposal.columns))
    return "" if first == proposal.format else proposal.format


def _nested(table: Table, best: Proposal) -> list[Choice] | None:
    """Readings that reach into objects or lists, where no row of the sample can be read by the columns alone, or none that
    is sure; None where rows can be read, or where nothing stands in objects."""
    if any(not isinstance(_read(row, best), str) for row in table.rows[:20]):
        return None
    if not any(table.share(name, lambda value: isinstance(value, (dict, list))) > 0.5 for name in best.columns.values()):
        return None
    return [item for item in guesses(table) if any(is_path(name) for name in item.columns.values())]


def _unsure(table: Table, best: Proposal, file: str) -> DataError:
    choices = guesses(table)
    own = choice(table, best.columns, _needed(best))
    if own.sample and own.columns not in [item.columns for item in choices]:
        choices.append(own)
    return asking(
        f"these columns could be {best.format}, but that is not sure ({best.confidence:.2f}): {' '.join(best.reasons)}",
        table,
        file,
        choices,
        reasons=best.reasons,
    )


def _unknown(table: Table, file: str) -> DataError:
    message = f"it is not clear what to train on; the columns are {_listed(table)}"
    if any(_is_said(name) for name in table.names):
        return DataError(message, hint=_names_or_row(table), where=file)
    return asking(message, table, file, guesses(table))


def _names_or_row(table: Table) -> str:
    """What to do where the first line may be a row: name the columns above it, or say which of them ask and answer."""
    hint = "Its first line looks like a row, not like column names: put a line such as `question,answer` above it"
    if len(table.names) == 2:
        return f"{hint}."
    said = [name for name in table.names if _is_said(name)]
    names = said[:2] if len(said) > 1 else [TO_FILL_IN, TO_FILL_IN]
    example = columns_line(dict(zip(("question", "answer"), names, strict=True)))
    return (
        f"{hint}, with a name for each of its {len(table.names)} columns. If it does name them, write under data: which of "
        f"them ask and answer, such as {example}."
    )


def _is_said(name: str) -> bool:
    """Whether a column's name reads like something that is said."""
    return len(name.split()) > 5 or name.rstrip().endswith(("?", "!", "."))


def _columns(proposal: Proposal) -> str:
    return " and ".join(f"`{name}`" for name in proposal.columns.values())


def _listed(table: Table) -> str:
    return ", ".join(f"`{name}`" for name in table.names[:20]) + (" …" if len(table.names) > 20 else "")


def _where(settings: Data) -> str:
    return ", ".join(settings.files)
