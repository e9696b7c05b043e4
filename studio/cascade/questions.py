"""Questions whose right answers are known, where they come from, and what counts as right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.cascade.calibration import Kind
from studio.core.errors import DataError, SpecError
from studio.core.messages import ChatMessage
from studio.core.records import Record
from studio.data.rows import Conversation
from studio.evaluation.answering import text_scores
from studio.evaluation.metrics import METRICS, TEXT_METRICS
from studio.evaluation.overlap import are_short, contains_reference, normalise, spoken
from studio.evaluation.tasks.choose import choose

CONTAINS = "contains_reference"
"""What makes a short answer right: a large model answers in a sentence, and is not wrong for that."""
LIKE = 0.8
"""Token F1 from which a longer answer counts as right."""
_QUESTION = ("question", "prompt", "instruction", "input", "query")


@dataclass(frozen=True)
class Question:
    """A conversation up to its last question. reference: the right answer; empty where none is."""

    messages: tuple[ChatMessage, ...]
    reference: str
    kind: Kind
    file: str = ""
    line: int = 0

    @property
    def text(self) -> str:
        """The last thing that was asked."""
        return next((str(turn.get("content") or "") for turn in reversed(self.messages) if turn["role"] == "user"), "")

    @property
    def key(self) -> str:
        """What makes two questions the same: every turn, without case and punctuation."""
        return "\n".join(normalise(str(turn.get("content") or "")) for turn in self.messages if turn["role"] != "system")


class Right(Record):
    """What counts as right: a figure of the answer that reaches a value."""

    metric: str
    at_least: float

    def __str__(self) -> str:
        return f"{METRICS[self.metric].label} of at least {METRICS[self.metric].show(self.at_least)}"


def of_conversations(rows: Iterable[Conversation], kind: Kind) -> list[Question]:
    """The questions of checked rows. Plain text asks nothing and is left out."""
    return [Question(row.prompt, spoken(row.answer), kind, row.file, row.line) for row in rows if row.messages]


def read_unanswerable(file: Path) -> list[Question]:
    """Questions out of scope: a line of text each, or JSON lines with a question and perhaps a right answer (a refusal).

    Raises DataError for a file that cannot be read or a line without a question.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"the file cannot be read: {error}", hint="Check the path; it is text in UTF-8.", where=str(file)
        ) from None
    found = [_unanswerable(line, file.name, number) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise DataError("the file contains no questions", hint="Write one question per line.", where=str(file))
    return found


def _unanswerable(line: str, file: str, number: int) -> Question:
    if not line.lstrip().startswith("{"):
        return Question(({"role": "user", "content": line.strip()},), "", "out-of-scope", file, number)
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError(f"not valid JSON: {error}", hint="Correct the line.", where=f"{file}:{number}") from None
    name = next((name for name in _QUESTION if isinstance(row.get(name), str) and row[name].strip()), None)
    if name is None:
        raise DataError("the line has no question", hint='Write {"question": "..."}.', where=f"{file}:{number}")
    answer = row.get("answer") or row.get("completion") or row.get("output") or ""
    return Question(({"role": "user", "content": row[name].strip()},), str(answer), "out-of-scope", file, number)


def right_rule(references: Sequence[str], wanted: str = "") -> Right:
    """What counts as right. wanted: `METRIC>=VALUE`; else by what the references are. Raises SpecError for no such metric."""
    if wanted:
        match = re.fullmatch(r"(\w+)\s*>=\s*([0-9.]+)", wanted)
        known = (*TEXT_METRICS, CONTAINS, *choose(references).names)
        if not match or match[1] not in known or match[1] == "macro_f1" or not 0 < float(match[2]) <= 1:
            names = ", ".join(name for name in known if name != "macro_f1")
            raise SpecError(
                "expected a metric and its minimum",
                hint=f"Write METRIC>=VALUE with one of {names}.",
                where=f"--right {wanted}",
            )
        return Right(metric=match[1], at_least=float(match[2]))
    task = choose(references)
    if task.metrics:
        return Right(metric=task.names[0], at_least=1.0)
    if are_short(references):
        return Right(metric=CONTAINS, at_least=1.0)
    return Right(metric="token_f1", at_least=LIKE)


class AnswerChecker:
    """Says whether an answer is right, by the rule of the cascade."""

    def __init__(self, rule: Right, references: Sequence[str]) -> None:
        known = [reference for reference in references if reference]
        self._rule, self._score = rule, choose(known).scorer(known)

    def __call__(self, reference: str, answer: str) -> bool:
        """Whether the answer is right; none is where there is no reference."""
        if not reference:
            return False
        scores = {**self._score(reference, answer), **text_scores(reference, answer)}
        scores[CONTAINS] = contains_reference(reference, answer)
        return scores[self._rule.metric] >= self._rule.at_least - 1e-9
