"""Use cases of curation: open the desk of a dataset version, compare versions, write and export them, delete them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.app import library, scoring
from studio.core.errors import DataError, JobError
from studio.core.files import studio_home
from studio.data import surprise
from studio.data.curation import edits, store, write
from studio.data.curation.desk import Desk, Which, open_desk
from studio.data.curation.differences import Difference, differences
from studio.data.curation.edits import Content, Edit
from studio.data.curation.masking import Masked, masked
from studio.data.curation.store import DatasetVersion
from studio.data.curation.views import Batch, DeskRow, Query
from studio.models.settings import Model
from studio.processes import tasks
from studio.processes.tasks import Task
from studio.tracking.reporter import Reporter

LOSSES, NAMES = "losses", "names"
"""The kinds of the tasks in which a model reads rows: for its loss in each answer, or for the names of people in them."""
__all__ = ["Batch", "Content", "Desk", "DeskRow", "Query", "Which"]


def meant(names: Sequence[str], home: str | Path | None = None) -> str | None:
    """The dataset of the library that a command's files name, where they are just that; None for files."""
    return store.reference_of(studio_home(home), names[0]) if len(names) == 1 else None


def find(reference: str, home: str | Path | None = None) -> DatasetVersion:
    """The dataset version that is named `NAME`, `NAME@3` or with `dataset:` before it. Raises DataError."""
    name = reference if store.is_reference(reference) else store.PREFIX + reference
    return store.named(studio_home(home), name)


def desk(reference: str, home: str | Path | None = None, reporter: Reporter | None = None, model: Model | None = None) -> Desk:
    """The desk of a version, open; the first time its rows are read and checked. Raises DataError.

    model: its tokenizer counts the lengths of rows, which are then checked again if another one did.
    """
    count, name = (scoring.token_counter(model), model.name) if model else (None, "")
    return open_desk(find(reference, home), reporter, count, name)


def ready_desk(item: DatasetVersion, home: Path) -> Desk | Task:
    """The desk of a version, open; or, while its rows are still read and checked, the process that does it, which this
    begins. Raises StudioError if that failed."""
    desk = Desk(item)
    if desk.ready:
        stop_reading(item)
        return desk
    desk.close()
    task = tasks.task(item.path / library.TASKS, "desk", item.version)
    if task is None or task.state == "done":  # done, and its rows are read otherwise by now
        task = tasks.begin(item.path / library.TASKS, "desk", item.version, ["data", "desk", item.reference], home)
    if task.error is not None:
        stop_reading(item)  # the next look tries again
        raise task.error
    return task


def stop_reading(item: DatasetVersion) -> None:
    """End the process that reads and checks the rows of a version."""
    tasks.stop(item.path / library.TASKS, "desk", item.version)


def begin_scoring(item: DatasetVersion, model: str, home: Path) -> Task:
    """Begin the process in which a base model reads the rows of a version. Raises JobError if a model already does."""
    return _begin_reading(item, LOSSES, ["--losses", "--model", model], home)


def begin_names(item: DatasetVersion, model: str, home: Path) -> Task:
    """Begin the process in which a token-classification model looks for names of people in the rows of a version.

    Raises DataError without a model, JobError if a model already reads them.
    """
    if not model:
        raise DataError("no model was named", hint="Name a token-classification model.", where="Model that finds names")
    return _begin_reading(item, NAMES, [f"--names={model}"], home)


def _begin_reading(item: DatasetVersion, kind: str, options: list[str], home: Path) -> Task:
    before = reading_of(item)
    if before is not None and before.state == "running":
        raise JobError("a model is already reading the rows", hint="Wait for it to end, or stop it.", where=item.title)
    end_reading(item)
    return tasks.begin(item.path / library.TASKS, kind, item.version, ["data", "desk", item.reference, *options], home)


def reading_of(item: DatasetVersion) -> Task | None:
    """The process in which a model reads the rows of a version, if one was begun and not yet seen to its end."""
    found = (tasks.task(item.path / library.TASKS, kind, item.version) for kind in (LOSSES, NAMES))
    return next((task for task in found if task is not None), None)


def end_reading(item: DatasetVersion) -> None:
    """End that process, or forget it where it has ended."""
    for kind in (LOSSES, NAMES):
        tasks.stop(item.path / library.TASKS, kind, item.version)


def mask_preview(row: DeskRow, item: DatasetVersion) -> Masked | None:
    """A row with its personal data masked, of the regions that its version names; None where it has none."""
    return masked(row.content, (), item.data.regions)


def read_edits(file: Path) -> list[Edit]:
    """The edits in a JSONL file. Raises DataError with the line that is none."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise DataError("there is no such file", hint="Give a file with one edit a line.", where=str(file)) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise DataError(f"it cannot be read: {problem}", hint="Give a file of UTF-8 text.", where=str(file)) from None
    found: list[Edit] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            values = json.loads(line)
        except ValueError as problem:
            raise DataError(f"not valid JSON ({problem})", hint="Write one edit a line.", where=where) from None
        found.append(edits.parse(values, where))
    return found


def write_version(desk: Desk, only_approved: bool = False, why: str = "") -> DatasetVersion:
    """A new version of the dataset with the desk's edits. Raises DataError if nothing would differ."""
    return write.write_version(desk, only_approved, why=why)


def score(desk: Desk, model: Model, most: int | None, reporter: Reporter) -> None:
    """Let a base model read rows (at most so many, spread evenly) and keep the hardest and most surprising ones as findings.

    Loads the model: not for a web server's own process. Raises ModelError, HardwareError, Stopped.
    """
    total = desk.progress().total
    chosen = set(surprise.spread(total, most).tolist())
    rows = ((row.number - 1, row.original.conversation(row.file, row.line)) for row in desk.rows() if row.number - 1 in chosen)
    desk.keep_scores(scoring.scores(rows, total, len(chosen), model, reporter))


def find_names(desk: Desk, model: str, reporter: Reporter) -> None:
    """Let a token-classification model look for names of people in all rows, and keep what it says as a finding.

    Loads the model: not for a web server's own process. Raises ModelError, Stopped.
    """
    rows = ((row.number - 1, row.original.conversation(row.file, row.line)) for row in desk.rows())
    desk.keep_names(scoring.named_people(rows, desk.progress().total, model, reporter))


def parent_of(item: DatasetVersion) -> DatasetVersion:
    """The version whose edits made this one, or the one with the number before. Raises DataError if there is none."""
    others = store.versions_of(item.path.parent)
    parent = next((other for other in others if other.version == item.record.parent), None)
    parent = parent or next((other for other in reversed(others) if other.number < item.number), None)
    if parent is None:
        raise DataError(f"{item.reference} is the first version", hint="Name two versions to compare.", where=item.title)
    return parent


def compare(before: DatasetVersion, after: DatasetVersion, reporter: Reporter | None = None) -> Difference:
    """What differs between two versions, of one dataset or of two. Raises DataError."""
    return differences(write.version_rows(before, reporter), write.version_rows(after, reporter))


def export(desk: Desk, file: Path, present: bool = False) -> int:
    """Write a version's rows to a .jsonl or .csv file; how many. present: with edits that are in no version yet."""
    kinds: dict[str, Literal["jsonl", "csv"]] = {".jsonl": "jsonl", ".csv": "csv"}
    kind = kinds.get(file.suffix.lower())
    if kind is None:
        raise DataError(f"rows are not written as `{file.suffix}`", hint="Name a .jsonl or .csv file.", where=str(file))
    return write.export(desk, file, kind, present)


@dataclass(frozen=True)
class Deleted:
    """A version that was deleted: the bytes that were freed, and the ended runs that can no longer be run again."""

    freed: int
    runs: tuple[str, ...]


def delete(reference: str, home: str | Path | None = None, confirmed: bool = False) -> Deleted:
    """Delete a version. Raises JobError that names the runs which use it: those that still need it, and without
    `confirmed` those that have ended and could then not be run again."""
    item = find(reference, home)
    users = library.users(studio_home(home), item)
    if users.finished and not users.unfinished and not confirmed:
        raise JobError(
            f"{item.reference} was used by {', '.join(users.finished[:5])}"
            + (f" and {len(users.finished) - 5} more" if users.finished[5:] else ""),
            hint="Their results stay, but they could not be run again. Say --yes to delete it all the same.",
            where=item.title,
        )
    return Deleted(library.delete(studio_home(home), item.key), users.finished)
