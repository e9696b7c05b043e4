"""Layouts that are known and would still lose meaning if they were read as they stand; they are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from studio.core.errors import DataError
from studio.core.plain import is_list, is_object
from studio.core.text import plural
from studio.data import verdicts
from studio.data.choices import asking, choice
from studio.data.columns import Proposal, Table, words
from studio.data.formats import FORMATS
from studio.data.rows import Row
from studio.data.turntext import template_of


def refuse_mixed(table: Table, file: str) -> None:
    """Raise DataError if the sample holds rows of several layouts, each sure on its own: one reading would lose the rest."""
    layouts: dict[frozenset[str], list[Row]] = {}
    for row in table.rows:
        layouts.setdefault(frozenset(name for name, value in row.values.items() if value not in (None, "", [])), []).append(row)
    if len(layouts) < 2:
        return
    formats: Counter[str] = Counter()
    first: dict[str, int] = {}
    for rows in layouts.values():
        part = Table.of(rows)
        proposals = [proposal for form in FORMATS.values() if (proposal := form.propose(part)) is not None]
        best = max(proposals, key=lambda proposal: proposal.confidence, default=None)
        if best is not None and best.confidence >= 0.75:
            columns = [best.columns[role] for role in FORMATS[best.format].required if role in best.columns]
            kind = f"{best.format} ({', '.join(columns)})"
            formats[kind] += len(rows)
            first[kind] = min(first.get(kind, rows[0].line), rows[0].line)
    needed = {kind.partition(" (")[2] for kind in formats}
    if len(formats) > 1 and len(needed) > 1:
        listed = ", ".join(
            f"{plural(count, 'row')} of {kind}, first in line {first[kind]}" for kind, count in formats.most_common()
        )
        raise DataError(
            f"the file holds rows of several layouts: {listed}",
            hint="Write each layout into a file of its own and give all of them: train: [one.jsonl, two.jsonl].",
            where=file,
        )


def refuse_choices(table: Table, best: Proposal, file: str) -> None:
    """Raise DataError for multiple-choice questions whose choices stand in columns that would not be used."""
    used = set(best.columns.values())
    letters = [
        name
        for name in table.names
        if table.plain[name] in ("a", "b", "c", "d", "option a", "option b", "choice a") and name not in used
    ]
    answers = best.columns.get("answer") or best.columns.get("completion")
    short = answers is not None and table.share(answers, lambda value: len(str(value).strip()) <= 2) > 0.5
    if len(letters) >= 2 and short:
        raise asking(
            f"the answers in `{answers}` are letters, and the choices they stand for ({either(letters, ', ')}) are not used",
            table,
            file,
            [choice(table, best.columns)],
        )


_SCORES = frozenset(
    ("score", "scores", "rank", "rating", "votes", "upvotes", "pm_score", "reward", "is_accepted", "accepted", "overall_score")
)
_ANSWERS = frozenset(words("answers responses completions candidates outputs generations replies options samples comments"))
_OF_TICKETS = frozenset(
    words("number status priority department queue agent assignee group team created updated due sla requester category topic")
)


def refuse_untold(table: Table, file: str) -> None:
    """Raise DataError for two answers a row where it is not known, or is said of none, which of them is better: either column
    taken alone would train answers that somebody called worse."""
    roles = verdicts.not_told(table)
    if not roles:
        return
    column = roles.get("winner") or roles["strength"]
    said = {str(value): None for row in table.rows if (value := row.values.get(column)) not in (None, "")}
    listed = ", ".join(f"{value[:40]!r}" for value in list(said)[:3])
    first, second = (f"`{roles[side]}`" for side in ("first", "second"))
    raise DataError(
        f"each row has two answers, {first} and {second}, and `{column}` ({listed}{', …' if len(said) > 3 else ''}) does not "
        f"say of enough rows which of them is better",
        hint=f"Write a name of the better one's column into `{column}`, or tie; numbers say it as a strength: below 0 the "
        f"first is better, above 0 the second. To train on the answers of one column alone, name it in data.columns.",
        where=file,
    )


def refuse_several(table: Table, file: str) -> None:
    """Raise DataError if each row holds a list of several answers with scores: the first may well be the worst."""
    for name in table.names:
        if _ANSWERS.intersection(table.plain[name].split()) and table.share(name, _is_scored) > 0.5:
            raise DataError(
                f"`{name}` holds several answers with a score each, of which one must be chosen",
                hint="Write the best one into a column `answer`; or, with the worst one as `rejected`, train on pairs.",
                where=file,
            )


def _is_scored(value: object) -> bool:
    if not is_list(value) or len(value) < 2 or not is_object(first := value[0]):
        return False
    return not _SCORES.isdisjoint(first) and {"role", "from"}.isdisjoint(first)


def refuse_list_of_tickets(table: Table, file: str) -> None:
    """Raise DataError for a help desk's list of tickets, which has their subjects and none of their messages."""
    about = [name for name in table.names if _OF_TICKETS.intersection(table.plain[name].split())]
    titled = any(table.plain[name] in ("subject", "title", "summary") for name in table.names)
    said = [name for name in table.texts() if table.share(name, lambda value: len(str(value).split()) > 6) > 0.3]
    if len(about) >= 5 and titled and not said:
        raise DataError(
            "it is a list of tickets with their subjects, and without their messages",
            hint="Export the tickets with their messages: a row for each message, or a column for the reply.",
            where=file,
        )


def refuse_template_text(table: Table, best: Proposal, file: str) -> None:
    """Raise DataError if the texts of a layout of several columns are themselves written by a chat template."""
    if best.format in ("templated", "prompt_completion", "messages", "sharegpt"):
        return
    for name in best.columns.values():
        markup = next(
            (kind for row in table.rows if isinstance(text := row.values.get(name), str) and (kind := template_of(text))), ""
        )
        if markup and table.share(name, lambda value: isinstance(value, str) and bool(template_of(value))) > 0.5:
            raise DataError(
                f"the texts in `{name}` are already written by a chat template ({markup}), so its control tokens would be "
                "learned as characters",
                hint="Take the template's tokens out of that column, or name the columns in data.columns to learn them so.",
                where=file,
            )


def either(names: Sequence[str], word: str = " or ") -> str:
    """Names in backticks with a word between them."""
    return word.join(f"`{name}`" for name in names)
