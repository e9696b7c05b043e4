"""The questions of a comparison, what answers each, and which are to be refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.errors import DataError
from studio.core.files import read_json_lines
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
    """A question with its reference answer. gold: passages that hold it, where that is known."""

    text: str
    reference: str
    answerable: bool
    gold: frozenset[str] = frozenset()
    system: str = ""


def refuses(answer: str) -> bool:
    """Whether an answer, in its first two sentences, says that there is none. Empty is no answer either."""
    return not answer.strip() or _REFUSAL.search(" ".join(re.split(r"(?<=[.!?])\s+", answer.strip())[:2])) is not None


def read(path: Path, most: int, index: Index | None) -> list[Question]:
    """The first questions of a JSONL file that have an answer or are to be refused. Raises DataError without any."""
    if not path.is_file():
        raise DataError("there is no such file", hint="Name a JSONL file of held-out questions.", where=str(path))
    passages = list(index.passages.values()) if index else []
    words = [f" {' '.join(terms(passage.text))} " for passage in passages]
    found: list[Question] = []
    for row in read_json_lines(path):
        text, reference = question_of(row), _answer(row) if isinstance(row, Mapping) else ""
        if not text or not (reference or row.get("answerable") is False):
            continue
        answerable = row.get("answerable") is not False and not refuses(reference)
        found.append(Question(text, reference, answerable, gold_of(row, passages, words) if answerable else frozenset()))
        if len(found) == most:
            break
    if len(found) < 2:
        raise DataError(
            f"it contains {len(found)} usable questions", hint="A row has `question` and `answer`.", where=str(path)
        )
    return found


def _answer(row: Mapping[str, Any]) -> str:
    for name in ("answer", "completion", "output", "response"):
        if isinstance(row.get(name), str):
            return row[name].strip()
    turns = [turn for turn in row.get("messages") or () if isinstance(turn, Mapping) and turn.get("role") == "assistant"]
    return str(turns[-1].get("content") or "").strip() if turns else ""
