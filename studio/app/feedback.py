"""Use cases of feedback: rate, correct and flag answers of Chat, Evidence and served models, and make dataset rows of them.

Nothing is kept unless it was turned on: for the pages by `turn`, for a server by `studio serve --collect`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from studio.app import runs
from studio.core import people
from studio.core.errors import DataError, JobError, SpecError, StudioError
from studio.core.files import make_home, studio_home
from studio.core.messages import ChatMessage, chat_message
from studio.core.text import plural, slug
from studio.data import prepare
from studio.data.curation import store, write
from studio.data.curation.desk import open_desk
from studio.data.curation.edits import checked_content
from studio.data.curation.masking import Tokens
from studio.feedback import rows
from studio.feedback.masking import NAMES_NOT_COVERED, mask
from studio.feedback.records import SETTINGS, CollectedAnswer, Collecting, Opinion, collecting
from studio.feedback.rows import INTO, Into, Row
from studio.feedback.store import FILE, Feedback, Query, State

if TYPE_CHECKING:
    from studio.app.runs import Run

__all__ = ["INTO", "NAMES_NOT_COVERED", "CollectedAnswer", "Into", "Opinion", "Query", "State", "collecting"]
Side: TypeAlias = Literal["base", "tuned"]
_RECENT = 50
"""Answers, the newest, that are looked at to tell which dataset feedback belongs to."""


def turn(on: bool, home: str | Path | None = None) -> Collecting:
    """Turn rating on the pages Chat and Evidence on or off; what was collected stays."""
    settings = Collecting(pages=on, since=round(time.time(), 3), by=people.who())
    root = make_home(studio_home(home))
    settings.write(root / SETTINGS)
    return settings


def list_feedback(
    query: Query | None = None, home: str | Path | None = None, start: int = 0, most: int = -1
) -> list[CollectedAnswer]:
    """The collected answers of a query, the newest first; all without one."""
    root = studio_home(home)
    if not (root / FILE).exists():
        return []
    with Feedback(root) as feedback:
        return list(feedback.find(query, start, most))


def count(query: Query | None = None, home: str | Path | None = None) -> int:
    """How many collected answers a query has."""
    root = studio_home(home)
    if not (root / FILE).exists():
        return 0
    with Feedback(root) as feedback:
        return feedback.count(query)


def find(name: str | int, home: str | Path | None = None) -> CollectedAnswer:
    """One collected answer, by its number or the id a server gave it. Raises DataError."""
    with Feedback(studio_home(home)) as feedback:
        return feedback.get(name)


def rate_answer(
    name: str | int,
    rating: Literal["good", "bad", ""] | None = None,
    correction: str | None = None,
    flag: str | None = None,
    home: str | Path | None = None,
) -> CollectedAnswer:
    """Rate, correct or flag a collected answer, by its number or the id a server gave it. None leaves what was said before,
    an empty text takes it back. Raises DataError."""
    root = studio_home(home)
    with Feedback(root) as feedback:
        opinion = Opinion(rating=rating, correction=correction, flag=flag)
        return feedback.say(name, opinion, people.who(), _regions(feedback.get(name).run, root))


def delete(names: Sequence[str | int], home: str | Path | None = None) -> int:
    """Delete collected answers; rows that were made of them stay in their datasets. Raises DataError."""
    with Feedback(studio_home(home)) as feedback:
        return feedback.delete(names)


def delete_older(days: float, home: str | Path | None = None, query: Query | None = None) -> int:
    """Delete the answers of a query that were given more than so many days ago; how many."""
    with Feedback(studio_home(home)) as feedback:
        return feedback.delete_before(time.time() - days * 86400, query)


def say_in_chat(
    home: Path,
    model: str,
    is_run: bool,
    side: Side,
    messages: Sequence[ChatMessage],
    answer: str,
    opinion: Opinion,
    index: str = "",
) -> CollectedAnswer:
    """Keep an answer of the page Chat and what a person says of it. model: a run's id, or a model's name. Raises SpecError
    while collecting is off."""
    run = runs.find(model, home) if is_run else None
    name = model if run is None else run.spec.name if side == "tuned" else run.spec.model.name
    item = _item("chat", name, messages, answer)
    item = item.model_copy(update={"run": run.id if run else "", "side": side if run else "", "index": index})
    return _keep(home, item, opinion, run)


def say_of_evidence(home: Path, run: Run, part: str, index: int, side: Side, opinion: Opinion) -> CollectedAnswer:
    """Keep an answer of a run's evidence and what a person says of it. part: the name of its question set. Raises JobError
    for an answer that is not there, SpecError while collecting is off."""
    return _keep(home, _of_evidence(run, part, index, side), opinion, run)


def said_of_evidence(home: Path, run: Run, part: str, indices: Sequence[int]) -> dict[tuple[int, Side], CollectedAnswer]:
    """What was said of some answers of a run's evidence."""
    if not (home / FILE).exists():
        return {}
    sides: tuple[Side, ...] = ("base", "tuned")
    with Feedback(home) as feedback:
        known = {item.key: item for item in feedback.find(Query(origin="evidence", run=run.id))}
    if not known:
        return {}
    wanted: list[tuple[int, Side]] = [(index, side) for index in indices for side in sides]
    found = {where: _named(_of_evidence(run, part, *where), run, {}).key for where in wanted}
    return {where: known[key] for where, key in found.items() if key in known}


def _of_evidence(run: Run, part: str, index: int, side: Side) -> CollectedAnswer:
    found = run.report.set(part) if run.folder.report.exists() else None
    if found is None or not 0 <= index < len(found.answers):
        raise JobError("this answer is not in the evidence", hint="Load the page again.", where=run.id)
    answered = found.answers[index]
    system = [chat_message("system", run.spec.data.system)] if run.spec.data.system else []
    messages = [*system, chat_message("user", answered.question)]
    if answered.earlier:
        messages = _asked_before(run, answered.file, answered.line) or messages
    name = run.spec.name if side == "tuned" else run.spec.model.name
    item = _item("evidence", name, messages, (answered.tuned if side == "tuned" else answered.base).text)
    return item.model_copy(update={"run": run.id, "side": side, "held_out": True})


@dataclass(frozen=True)
class AddedRows:
    """What became of collected answers. reference: the dataset whose desk has them; written: the version that was saved."""

    reference: str
    key: str
    """The version's `name/id`, as pages name it."""
    added: int
    unchanged: int
    """Rows that were there already."""
    new: bool
    """Whether the dataset was made."""
    written: str = ""
    left_out: tuple[str, ...] = ()
    """Answers that make no row that could be trained on, each with the reason."""
    held_out: str = ""
    """The dataset of the rows whose questions are held out: for evaluation, not for training."""


def usual_dataset(home: Path) -> str:
    """The dataset that the run was trained on whose answers were collected last: feedback belongs there, and never into its
    held-out rows. Empty where none is known."""
    for item in list_feedback(home=home, most=_RECENT):
        with contextlib.suppress(StudioError):  # the run, or its dataset, is gone
            named = runs.find(item.run, home).spec.data.train if item.run else []
            for reference in filter(store.is_reference, [named] if isinstance(named, str) else named or []):
                return store.named(home, reference).path.parent.name
    return ""


def feedback_dataset(
    name: str,
    into: Into = "rows",
    numbers: Sequence[str | int] = (),
    home: str | Path | None = None,
    write_it: bool = False,
) -> AddedRows:
    """Rows of collected answers in a dataset: those of `numbers`, else all whose rows are in no dataset yet.

    A dataset of the library gets them as edits on its desk, to be reviewed there; `write_it` saves the next version at once. A
    name that the library does not have becomes a dataset. Questions that are held out go into `NAME held out`. Raises
    DataError if no answer makes a row.
    """
    root = studio_home(home)
    if into not in INTO:
        raise SpecError(f"there are no {into} of feedback", hint=f"Choose one of {', '.join(INTO)}.", where="--as")
    with Feedback(root) as feedback:
        if numbers:
            answers = [feedback.get(number) for number in numbers]
        else:
            answers = [item for item in feedback.find(Query(state="rated")) if into not in item.datasets][::-1]
        left_out: list[str] = []
        made = [row for row in rows.rows(answers, into) if _usable(row, left_out)]
        by_number = {item.number: item for item in answers}
        training = [row for row in made if not by_number[row[1].number].held_out]
        held_out = [row for row in made if by_number[row[1].number].held_out]
        if not made:
            raise DataError(
                f"no {into} can be made of {plural(len(answers), 'answer')}"
                if answers
                else f"there are no rated answers whose {into} are in no dataset yet",
                hint=left_out[0] if left_out else _NEEDS[into],
                where="feedback",
            )
        added: AddedRows | None = None
        for some, title in ((training, name), (held_out, f"{_plain(name)} held out")):
            if some:
                one = _add(root, title, some, write_it)
                reference = one.written or one.reference
                feedback.used([source.number for _, source in some], into, reference)
                added = one if added is None else replace(added, held_out=reference)
        assert added is not None
        if not training:
            added = replace(added, held_out=added.written or added.reference)
        return replace(added, left_out=tuple(left_out))


_NEEDS: dict[Into, str] = {
    "rows": "Correct an answer, or rate one good.",
    "labels": "Rate an answer good or bad.",
    "pairs": "Correct an answer, or rate two answers to one question, one good and one bad.",
}


def _add(home: Path, name: str, rows: list[Row], write_it: bool) -> AddedRows:
    reference = _reference(home, name)
    if reference is None:
        from studio.app import library

        title = library.clean_title(_plain(name))
        item = write.first_version(home / "datasets" / slug(title), title, rows, "feedback")
        return AddedRows(item.reference, item.key, item.record.rows, len(rows) - item.record.rows, True, item.reference)
    item = store.named(home, reference)
    with open_desk(item) as desk:
        batch = desk.add(rows, "feedback")
        saved = write.write_version(desk, why="feedback") if write_it else None
    return AddedRows(
        item.reference, (saved or item).key, batch.count, batch.unchanged, False, saved.reference if saved else ""
    )  # fmt: skip


def _reference(home: Path, name: str) -> str | None:
    """The dataset that a name means, by its own name or its title; None if there is none."""
    if store.is_reference(name):
        return name
    plain, _, number = name.partition("@")
    folder = home / "datasets" / slug(plain)
    return f"{store.PREFIX}{slug(plain)}{'@' + number if number else ''}" if store.versions_of(folder) else None


def _plain(name: str) -> str:
    return name.removeprefix(store.PREFIX).partition("@")[0]


def _usable(row: Row, left_out: list[str]) -> bool:
    content, source = row
    try:
        checked_content(content, "strict", f"feedback {source.number}")
    except DataError as error:
        left_out.append(f"{error.where}: {error.message}")
        return False
    return True


def _item(origin: Literal["chat", "evidence"], model: str, messages: Sequence[ChatMessage], answer: str) -> CollectedAnswer:
    return CollectedAnswer(
        key="", origin=origin, model=model, messages=tuple(messages),
        answer=chat_message("assistant", answer),
    )  # fmt: skip


def _keep(home: Path, item: CollectedAnswer, opinion: Opinion, run: Run | None) -> CollectedAnswer:
    if not collecting(home).pages:
        raise SpecError(
            "collecting is off: this answer is not stored", hint="Turn it on on this page, or: studio feedback on.", where=""
        )
    tokens: Tokens = {}
    named = _named(item, run, tokens)
    opinion, regions = opinion.checked(), _regions_of(run)
    with Feedback(home) as feedback:
        kept = feedback.add(named, regions)
        return feedback.say(kept.number, opinion, people.who(), regions, tokens)


def _named(item: CollectedAnswer, run: Run | None, tokens: Tokens) -> CollectedAnswer:
    """The answer masked, under a key that its content gives it: rated twice it is the same answer."""
    masked = mask(item, _regions_of(run), tokens)
    content = json.dumps([masked.origin, masked.model, masked.run, masked.side, masked.messages, masked.answer])
    return masked.model_copy(update={"key": f"{item.origin}-{hashlib.sha256(content.encode()).hexdigest()[:24]}"})


def _regions_of(run: Run | None) -> tuple[str, ...]:
    return tuple(run.spec.data.regions) if run else ()


def _asked_before(run: Run, file: str, line: int) -> list[ChatMessage]:
    rows_of_run = run.folder.data / "held-out.jsonl"
    if not rows_of_run.exists():
        return []
    for row in prepare.conversations(rows_of_run):
        if (row.file, row.line) == (file, line):
            return list(row.prompt)
    return []


def _regions(run: str, home: Path) -> tuple[str, ...]:
    """The countries whose numbers are personal data, as the run's data say; none for a run that is gone."""
    try:
        return _regions_of(runs.find(run, home) if run else None)
    except StudioError:
        return ()
