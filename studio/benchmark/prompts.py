"""The questions that everything is asked: the same rows, in the same order, with the answers they should get."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import DataError
from studio.core.files import read_json_lines
from studio.core.messages import ChatMessage
from studio.core.text import plural
from studio.data.rows import Conversation
from studio.evaluation.answering import score_answers
from studio.evaluation.interval import Estimate


@dataclass(frozen=True)
class Row:
    """One question. reference: the answer it should get; empty if nobody knows."""

    messages: tuple[ChatMessage, ...]
    reference: str = ""


@dataclass(frozen=True)
class Chosen:
    """The rows, where they are from, and what was left out."""

    rows: list[Row]
    source: str
    left_out: str = ""


def held_out(folder: Path, name: str, most: int) -> Chosen | None:
    """Held-out rows of a run whose data lies in `folder`, spread over the file; None if it has none that can be asked."""
    every = [Conversation.from_dict(values) for values in read_json_lines(folder / "held-out.jsonl")]
    found = chosen(every, f"held-out rows of {name}", most)
    return found if found.rows else None


def from_file(file: Path, most: int) -> Chosen:
    """Rows of any file the studio reads, or the lines of a text file as questions. Raises DataError if none can be asked."""
    if file.suffix == ".txt" and file.is_file():
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = Chosen([Row(({"role": "user", "content": line},)) for line in lines[:most]], file.name)
    else:
        from studio.data.prepare import load_questions
        from studio.data.settings import Data

        found = chosen(load_questions(str(file), Data(train="-")), file.name, most)
    if not found.rows:
        raise DataError(
            "no row of this file can be asked over an API", hint="Give rows with a question in words.", where=str(file)
        )
    return found


def general(most: int, model: str = "") -> Chosen:
    """The general questions shipped with the studio; those of its own small world for the starter."""
    from studio.evaluation.general import builtin

    return chosen(builtin(model), "general questions", most)


def chosen(every: Iterable[Conversation], source: str, most: int) -> Chosen:
    """At most so many rows, evenly spread; those with tools, and plain texts, cannot be asked alike everywhere."""
    listed = list(every)
    asked = [row for row in listed if row.messages and not row.tools and row.prompt and _in_words(row)]
    out = len(listed) - len(asked)
    step = max(1.0, len(asked) / most)
    kept = [asked[int(place * step)] for place in range(min(most, len(asked)))]
    told = f"{plural(out, 'row')} with tools or without a question left out" if out else ""
    return Chosen([Row(row.prompt, row.answer) for row in kept], source, told)


def scores(rows: Sequence[Row], answers: Sequence[str]) -> dict[str, Estimate]:
    """Exact match, normalised match, token F1 and ROUGE-L with 95 % intervals; empty where no row has a reference."""
    pairs = [(row.reference, answer) for row, answer in zip(rows, answers, strict=True) if row.reference]
    return score_answers([one for one, _ in pairs], [other for _, other in pairs]) if pairs else {}


def _in_words(row: Conversation) -> bool:
    return all(isinstance(turn.get("content"), str) and not turn.get("tool_calls") for turn in row.messages)
