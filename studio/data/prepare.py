"""Prepare: from files to `train.jsonl` and `held-out.jsonl`, with a report in which every row is accounted for."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from array import array
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import orjson

from studio.core.errors import DataError, Stopped
from studio.core.files import need_room
from studio.core.text import plural
from studio.data import near_groups, split
from studio.data.check import check
from studio.data.detect import detect
from studio.data.gather import beginning_of, gather, lacks_columns
from studio.data.gathered import Gathered
from studio.data.near import Signatures, number_mark, plain
from studio.data.read import opened
from studio.data.report import LISTED, DataReport, Removed, Split
from studio.data.rows import Conversation, Needs
from studio.data.settings import Data
from studio.data.sources import Source, find
from studio.tracking.reporter import Reporter, Silent

TRAIN, HELD_OUT, DUPLICATE, LEAKED = range(4)
DOCUMENTS = 10
"""Files of text from which whole ones are held out, where documents are learned; with fewer, passages are."""


def inspect(settings: Data, reporter: Reporter | None = None) -> DataReport:
    """Read and check all rows and write nothing. `usable` and `problems` say whether training can start.

    Raises DataError where no report can be made: a file is missing or damaged, or its columns must be asked for; and
    Stopped when the reporter asks to stop.
    """
    gathered = gather(_sources(settings.files, settings), settings, reporter or Silent())
    problem = gathered.problem(settings)
    cautions: tuple[str, ...] = ()
    if not problem and settings.holdout == 0 and len(np.unique(gathered.table[:, 1])) < 2:
        cautions = ("all its usable rows ask one question, so none can be held out: training needs other questions, too",)
    if isinstance(settings.holdout, str):
        own = _settings_for(settings.holdout, settings.of_held_out)
        problem = problem or gather(_sources((settings.holdout,)), own, Silent(), strict=False).problem(own)
    elif not problem:
        try:
            split.hold_out(gathered.table[_unique(gathered), 1], settings.holdout, seed=0)
        except DataError as found:
            problem = found
    problems, hints = ((problem.sentence,), (problem.hint,)) if problem else ((), ())
    return gathered.report(settings).model_copy(update={"problems": problems, "hints": hints, "cautions": cautions})


def prepare(
    settings: Data, seed: int, out: Path, reporter: Reporter | None = None, needs: Needs = "conversations"
) -> DataReport:
    """Read, check and split all rows into `out`: train.jsonl, held-out.jsonl, rejected.jsonl, removed.jsonl, report.json.

    Files appear whole or not at all, report.json last; the same settings, seed and files give the same bytes.
    needs: what the training method learns from.
    Raises DataError if the data cannot be used (rejected.jsonl is then left for the person), Stopped when asked to.
    """
    reporter = reporter or Silent()
    sources = _sources(settings.files, settings)
    need_room(out, 3 * sum({source.path: source.bytes for source in sources}.values()), "Preparing the data")
    with _aside(out) as aside:
        with (aside / "usable.jsonl").open("wb") as usable, (aside / "rejected.jsonl").open("wb") as refused:
            gathered = gather(sources, settings, reporter, usable.write, refused.write, needs=needs)
        if problem := gathered.problem(settings):
            os.replace(aside / "rejected.jsonl", out / "rejected.jsonl")
            raise DataError(
                problem.message, hint=f"{problem.hint} All are listed in {out / 'rejected.jsonl'}.", where=problem.where
            )
        fates = np.full(len(gathered.lines), DUPLICATE, dtype=np.uint8)
        fates[_unique(gathered)] = TRAIN
        held = _hold_out(gathered, fates, settings, seed, aside, reporter, needs)
        removed = _write_parts(gathered, fates, aside, held is None, reporter)
        counts = np.bincount(fates, minlength=4).tolist()
        if not counts[TRAIN]:
            raise DataError(
                "no row is left to train on: every question is also in the held-out file",
                hint="Give training rows of their own, or hold out a share such as 0.1.",
                where="data.holdout",
            )
        parts = Split(
            train=counts[TRAIN],
            held_out=held.rows if held else counts[HELD_OUT],
            holdout=settings.holdout,
            seed=seed,
            leaked=counts[LEAKED],
            held_out_duplicates=held.duplicates if held else 0,
            held_out_rejected=held.rejected if held else 0,
        )
        report = gathered.report(settings)
        remarks = (*report.remarks, *(held.remarks if held else ()))
        report = report.model_copy(update={"split": parts, "removed": tuple(removed), "remarks": remarks})
        report.write(aside / "report.json")
        for name in ("train.jsonl", "held-out.jsonl", "rejected.jsonl", "removed.jsonl", "report.json"):
            os.replace(aside / name, out / name)
    return report


def conversations(path: Path) -> Iterator[Conversation]:
    """The conversations in a file that `prepare` wrote, one by one."""
    with open(path, "rb") as lines:
        for line in lines:
            yield Conversation.from_dict(orjson.loads(line))


def usable(settings: Data, reporter: Reporter | None = None, needs: Needs = "conversations") -> Iterator[Conversation]:
    """The usable rows of the training files one by one, before duplicates are removed and rows held out; for previews.

    needs: as in `prepare`; with `labels` rows that are marked as bad are among them.
    """
    reporter = reporter or Silent()
    sources = _sources(settings.files, settings)
    total, done = sum({source.path: source.bytes for source in sources}.values()), 0
    for place, source in enumerate(sources):
        with opened(source, settings) as stream:
            sample, rows = beginning_of(stream.rows, stream)
            if source.in_collection and len(sources) > 1 and lacks_columns(sample, settings):
                continue
            detection = detect(sample, settings, strict=len(sources) == 1)
            for number, row in enumerate(check(rows, detection, settings, needs=needs)):
                if number % 1_000 == 0:
                    reporter.progress(done + stream.position(), total, "Reading rows")
                if isinstance(row, Conversation):
                    yield row
        if place + 1 == len(sources) or sources[place + 1].path != source.path:
            done += source.bytes


def held_out(settings: Data) -> Iterator[Conversation]:
    """The usable rows of the held-out file, if it is one of its own."""
    return usable(_settings_for(settings.holdout, settings.of_held_out)) if isinstance(settings.holdout, str) else iter(())


def load_questions(file: str, settings: Data) -> list[Conversation]:
    """The conversations of an evaluation file, read, detected and checked as training data is, and not split.

    Raises DataError as `prepare` does.
    """
    found: list[Conversation] = []
    own = _settings_for(file, settings)
    gathered = gather(
        _sources((file,)),
        own,
        Silent(),
        strict=False,
        keep=lambda line: found.append(Conversation.from_dict(orjson.loads(line))),
    )
    if problem := gathered.problem(own):
        raise problem
    return found


@dataclass(frozen=True)
class _HeldOutFile:
    """What came of a held-out file of its own."""

    rows: int
    duplicates: int
    rejected: int
    remarks: tuple[str, ...]


def _hold_out(
    gathered: Gathered, fates: np.ndarray, settings: Data, seed: int, aside: Path, reporter: Reporter, needs: Needs
) -> _HeldOutFile | None:
    """Decide which rows are held out, in `fates`; or read the held-out file and mark training rows it asks about."""
    groups = gathered.table[:, 1]
    if not isinstance(settings.holdout, str):
        unique = np.flatnonzero(fates == TRAIN)
        if needs == "texts" and len(gathered.files) >= DOCUMENTS:  # a passage tells of its neighbours: whole files
            groups = np.asarray(gathered.origins, dtype=np.uint64)
        together, remark = _together(gathered, unique, groups, aside, reporter) if settings.holdout else (groups[unique], "")
        fates[unique[split.hold_out(together, settings.holdout, seed)]] = HELD_OUT
        gathered.remarks += [remark] if remark else []
        return None
    own = _settings_for(settings.holdout, settings.of_held_out)
    with (aside / "held.jsonl").open("wb") as usable, (aside / "rejected.jsonl").open("ab") as refused:
        held = gather(_sources((settings.holdout,)), own, reporter, usable.write, refused.write, strict=False, needs=needs)
    if problem := held.problem(own):
        raise problem
    theirs = set(_unique(held).tolist())
    with (aside / "held.jsonl").open("rb") as lines, (aside / "held-out.jsonl").open("wb") as out:
        out.writelines(line for row, line in enumerate(lines) if row in theirs)
    fates[(fates == TRAIN) & np.isin(groups, held.table[:, 1])] = LEAKED
    remarks = [f"Held-out file {file.name}: {plural(file.rows, 'row')}, {file.format}." for file in held.files]
    remarks += [f"Held-out file: {finding}." for finding in held.notes.findings(len(held.lines))]
    return _HeldOutFile(len(theirs), len(held.lines) - len(theirs), held.rejected, tuple(remarks))


def _together(
    gathered: Gathered, unique: np.ndarray, groups: np.ndarray, aside: Path, reporter: Reporter
) -> tuple[np.ndarray, str]:
    """Groups of the unique rows that must be on one side: those of a group of `groups`, and near-duplicates."""
    groups = groups[unique]
    if len(unique) > near_groups.ROWS:
        return groups, f"Near-duplicates may be on both sides of the split: there are over {near_groups.ROWS:,} rows."
    wanted, offsets, numbers, signatures = set(unique.tolist()), array("Q"), array("Q"), Signatures()
    with (aside / "usable.jsonl").open("rb") as lines:

        def said(row: int) -> tuple[str, str]:
            lines.seek(offsets[row])
            return _said(lines.readline())

        at = 0
        for index, line in enumerate(lines):
            if index in wanted:
                offsets.append(at)
                text, answer = _said(line)
                signatures.add(text)
                numbers.append(number_mark(answer))
            at += len(line)
        marks = np.frombuffer(numbers, dtype=np.uint64)
        return near_groups.joined(signatures, marks, said, gathered.table[unique, 0], groups, reporter)


def _said(line: bytes) -> tuple[str, str]:
    """What a row of `usable.jsonl` says without its system prompt, as near-duplicates are told by, and its answer."""
    row = Conversation.from_dict(orjson.loads(line))
    texts = [turn["content"] for turn in row.messages if turn["role"] != "system"]
    return plain("\n".join(texts) or row.text), row.answer or row.text


def _write_parts(gathered: Gathered, fates: np.ndarray, aside: Path, with_held_out: bool, reporter: Reporter) -> list[Removed]:
    """Send each usable row to its file. Gives the first removed ones."""
    removed: list[Removed] = []
    first = gathered.first_of_each()
    with contextlib.ExitStack() as files:
        usable = files.enter_context((aside / "usable.jsonl").open("rb"))
        sorted_out = files.enter_context((aside / "removed.jsonl").open("wb"))
        parts: dict[int, Callable[[bytes], object]] = {TRAIN: files.enter_context(_new(aside / "train.jsonl")).write}
        if with_held_out:
            parts[HELD_OUT] = files.enter_context(_new(aside / "held-out.jsonl")).write
        for row, (line, fate) in enumerate(zip(usable, fates.tolist(), strict=True)):
            if row % 10_000 == 0:
                if reporter.should_stop():
                    raise Stopped
                reporter.progress(row, len(fates), "Writing rows")
            if fate in parts:
                parts[fate](line)
                continue
            item = gathered.leaked(row) if fate == LEAKED else gathered.same_as(row, int(first[row]))
            sorted_out.write(orjson.dumps({"file": item.file, "line": item.line, "reason": item.reason}) + b"\n")
            if len(removed) < LISTED:
                removed.append(item)
    return removed


def _unique(gathered: Gathered) -> np.ndarray:
    """Places of the rows that are no duplicate of an earlier one."""
    first = gathered.first_of_each()
    return np.flatnonzero(first == np.arange(len(first)))


def _sources(files: tuple[str, ...], settings: Data | None = None) -> list[Source]:
    """All sources of some files. Files of the same name go by their whole path, so that places are never ambiguous."""
    if not files:
        raise DataError("no file is given", hint="Give at least one file.", where="data.train")
    twice = next((file for place, file in enumerate(files) if file in files[:place]), None)
    if twice:
        raise DataError("the same file is given twice", hint="Remove one of them.", where=twice)
    names = [Path(file).name for file in files]
    return [
        source
        for file, name in zip(files, names, strict=True)
        for source in find(file, file if names.count(name) > 1 else "", settings)
    ]


def _settings_for(file: str, settings: Data) -> Data:
    """The settings for a file beside the training data: all rows of it, nothing held out."""
    return Data.model_validate({**settings.model_dump(exclude_unset=True), "train": file, "holdout": 0.0, "limit": None})


def _new(path: Path) -> BinaryIO:
    return path.open("wb")


@contextlib.contextmanager
def _aside(out: Path) -> Generator[Path]:
    """A folder in `out` that vanishes in the end; also what a killed predecessor left behind."""
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(".preparing-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".preparing-", dir=out) as aside:
        yield Path(aside)
