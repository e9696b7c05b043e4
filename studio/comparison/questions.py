"""The questions of a comparison, what answers each, and which are to be refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.errors import DataError
from studio.core.messages import ChatMessage, chat_message
from studio.core.plain import object_or_empty
from studio.evaluation.overlap import normalise
from studio.retrieval.grounding import question_in, unmarked
from studio.retrieval.index import Index
from studio.retrieval.measure import gold_of, question_of
from studio.retrieval.words import terms

_REFUSAL = re.compile(
    r"\b(?:(?:documents?|passages?|sources?|text|handbook|information) (?:do(?:es)? not|don't|doesn't) "
    r"(?:say|state|mention|contain|specify|provide|answer)|(?:i )?(?:do not|don't|cannot|can't|could not) "
    r"(?:know|say|answer|find|tell|help)|no (?:information|answer|mention)|not (?:mentioned|stated|specified|known|available|"
    r"in the (?:documents|passages))|unable to (?:answer|find|say)|weiß (?:ich )?nicht|keine (?:angabe|information|antwort)|"
    r"steht nicht)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Question:
    """A question with its reference answer. gold: passages that hold it, where that is known; before: the turns before it."""

    text: str
    reference: str
    answerable: bool
    gold: frozenset[str] = frozenset()
    before: tuple[ChatMessage, ...] = ()


@dataclass(frozen=True)
class Questions:
    """The questions of a file. left_out: rows before the last of them without a question, or without an answer to compare."""

    usable: list[Question]
    left_out: int = 0


def refuses(answer: str) -> bool:
    """Whether an answer, in its first two sentences, says that there is none. Empty is no answer either."""
    return not answer.strip() or _REFUSAL.search(" ".join(re.split(r"(?<=[.!?])\s+", answer.strip())[:2])) is not None


def read(rows: Iterable[Any], where: str, most: int, index: Index | None) -> Questions:
    """The first questions that have an answer or are to be refused, of rows of JSON. Raises DataError for fewer than two."""
    passages = list(index.passages.values()) if index else []
    words = [f" {' '.join(terms(passage.text))} " for passage in passages]
    found: list[Question] = []
    left_out = 0
    for row in map(object_or_empty, rows):
        text, reference = question_in(question_of(row)), unmarked(_answer(row))
        if not text or not (reference or row.get("answerable") is False):
            left_out += 1
            continue
        answerable = row.get("answerable") is not False and not refuses(reference)
        gold = gold_of(row, passages, words) if answerable else frozenset[str]()
        found.append(Question(text, reference, answerable, gold, _before(row)))
        if len(found) == most:
            break
    if len(found) < 2:
        hint = "A row has `question` and `answer`; or `answerable: false`, where the documents do not say."
        raise DataError(f"it contains {len(found)} usable questions", hint=hint, where=where)
    return Questions(found, left_out)


def refuse_trained(questions: Sequence[Question], trained: Iterable[Any], where: str) -> None:
    """Raise DataError for questions that stand among the rows a run was trained on: they would measure its memory."""
    known = {normalise(question_in(question_of(row))) for row in trained}
    both = [question for question in questions if normalise(question.text) in known]
    if both:
        raise DataError(
            f"{len(both)} of {len(questions)} questions are among the rows that the run was trained on, first: {both[0].text}",
            hint="Compare on held-out questions; without `questions` they are the run's own.",
            where=where,
        )


def _before(row: Mapping[str, Any]) -> tuple[ChatMessage, ...]:
    """The turns of a conversation before its last question."""
    turns = [turn for turn in row.get("messages") or () if isinstance(turn, Mapping)]
    last = max((at for at, turn in enumerate(turns) if turn.get("role") == "user"), default=0)
    return tuple(chat_message(turn["role"], turn["content"]) for turn in turns[:last] if "content" in turn)


def _answer(row: Mapping[str, Any]) -> str:
    for name in ("answer", "completion", "output", "response"):
        if isinstance(row.get(name), str):
            return row[name].strip()
    turns = [turn for turn in row.get("messages") or () if isinstance(turn, Mapping) and turn.get("role") == "assistant"]
    return str(turns[-1].get("content") or "").strip() if turns else ""
