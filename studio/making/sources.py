"""The material of a job: passages with whole documents held out, the user's questions, and what must not be repeated."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import DataError
from studio.core.text import nearest
from studio.data import prepare
from studio.data.curation import references
from studio.data.settings import Data
from studio.data.split import normal
from studio.documents.records import Passage
from studio.making.recipes.base import Material, Question
from studio.making.spec import MakingSpec

Units = dict[str, list[Passage]]
"""What is held out as a whole: the passages of each document, or of each chapter where there is one document only."""


@dataclass(frozen=True)
class Sources:
    """All that a job reads."""

    material: Material
    documents: tuple[str, ...]
    held_out_documents: tuple[str, ...]
    against: tuple[tuple[str, str], ...] = ()
    """Questions and answers of other held-out files."""
    cautions: tuple[str, ...] = ()


def gather(spec: MakingSpec, home: Path, passages_of: Callable[[Path, str], Sequence[Passage]]) -> Sources:
    """Read everything, and hold whole documents out. Raises DataError.

    passages_of gives the passages of a document collection by its name.
    """
    passages = [passage for name in spec.documents for passage in passages_of(home, name)]
    if spec.documents and not passages:
        raise DataError("these documents contain no text", hint="studio documents show NAME says why.", where="documents")
    units = _units(passages)
    held_out_names = _chosen(units, spec.holdout, spec.seed) if passages else ()
    held_out = [passage for name in held_out_names for passage in units[name]]
    same = {normal(passage.text) for passage in held_out}
    training = [
        passage
        for name, unit in units.items()
        if name not in held_out_names
        for passage in unit
        if normal(passage.text) not in same
    ]
    cautions = []
    repeated = len(passages) - len(training) - len(held_out)
    if repeated:
        cautions.append(f"{repeated} passages also occur word for word in held-out documents; no training row is made of them.")
    material = Material(tuple(training), tuple(held_out), tuple(own_questions(spec.questions)) if spec.questions else ())
    against = tuple(pair for name in spec.against for pair in _questions_of(name, home))
    return Sources(material, tuple(units), tuple(held_out_names), against, tuple(cautions))


def _units(passages: Sequence[Passage]) -> Units:
    units: Units = {}
    for passage in passages:
        units.setdefault(passage.document, []).append(passage)
    if len(units) != 1:
        return units
    chapters: Units = {}
    for passage in passages:
        depth = 2 if len({item.heading_path[:1] for item in passages}) == 1 else 1
        chapters.setdefault(" › ".join((passage.document, *passage.heading_path[:depth])), []).append(passage)
    return chapters


def _chosen(units: Units, holdout: float | list[str], seed: int) -> tuple[str, ...]:
    """The documents that are held out: those named, or a share by a hash of their text, so that order does not matter."""
    if isinstance(holdout, list):
        for name in holdout:
            if name not in units:
                near = nearest(name, units)
                hint = f"Did you mean {near}?" if near else f"Documents: {', '.join(list(units)[:8])}."
                raise DataError(f"there is no document `{name}` to hold out", hint=hint, where="holdout")
        return tuple(holdout)
    if not holdout:
        return ()
    if len(units) < 2:
        raise DataError(
            "a single document without headings cannot be split into training and held-out parts",
            hint="Add documents, or set holdout to 0 and use your own file of held-out rows for the run.",
            where="holdout",
        )

    def rank(name: str) -> str:
        content = "\0".join((str(seed), *(passage.sha256 for passage in units[name])))
        return hashlib.sha256(content.encode()).hexdigest()

    count = min(max(1, round(holdout * len(units))), len(units) - 1)
    return tuple(sorted(sorted(units, key=rank)[:count]))


def own_questions(file: str) -> Iterator[Question]:
    """The questions in a file of the user's. Raises DataError."""
    path = Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the questions cannot be read: {error}", hint="Give a UTF-8 file.", where=file) from None
    lines = list(_questions(path.suffix.lower(), text, file))
    if not lines:
        raise DataError(
            "the file contains no questions", hint="Write one question per line, or a column `question`.", where=file
        )
    seen = set()
    for number, question in lines:
        if question.strip() and normal(question) not in seen:
            seen.add(normal(question))
            yield Question(question.strip(), f"{path.name}, line {number}")


def _questions(suffix: str, text: str, file: str) -> Iterator[tuple[int, str]]:
    if suffix == ".csv":
        table = csv.DictReader(text.splitlines())
        if "question" not in (table.fieldnames or ()):
            raise DataError(
                f"there is no column `question`, only {', '.join(table.fieldnames or ())}", hint="Rename it.", where=file
            )
        yield from ((number, row["question"] or "") for number, row in enumerate(table, 2))
    elif suffix == ".jsonl":
        for number, line in enumerate(text.splitlines(), 1):
            try:
                value = json.loads(line) if line.strip() else {"question": ""}
                yield number, str(value["question"])
            except (ValueError, KeyError, TypeError):
                raise DataError(
                    "this line has no `question`", hint='Write {"question": "…"}.', where=f"{file}, line {number}"
                ) from None
    else:
        yield from enumerate(text.splitlines(), 1)


def _questions_of(name: str, home: Path) -> Iterator[tuple[str, str]]:
    """Questions and answers of a data file or a dataset of the library."""
    for file in references.files_of(name, home, "against"):
        for row in prepare.usable(Data(train=file, holdout=0.0)):
            asked = next((str(turn.get("content") or "") for turn in row.messages if turn["role"] == "user"), row.text)
            yield asked, row.answer
