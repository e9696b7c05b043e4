"""Multiple-choice tables whose choices stand in a column each: they are put together, and the answer names the right one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.data.columns import plain, words
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row

_LETTERS = "abcdefgh"
_NAMED = re.compile(r"(?:option|choice|op|opt|answer option)? ?([a-h])")
_NUMBERED = re.compile(r"(option|choice|ending|sol|solution|opt|mc answer) ?(\d)")
_ANSWERS = (
    *words("answer label correct gold target key cop solution antwort lösung respuesta réponse answerkey"),
    *("correct answer", "correct option", "answer key", "right answer", "correct choice", "answer idx", "answer index"),
)
_ASKS = frozenset(words("question query instruction prompt input"))
_ASKED = words("goal stem sentence ctx sent premise startphrase")
"""What such tables call a question, where they have none by that name."""
_ABOVE = words("premise context passage article")
"""What is read before the question."""


@dataclass(frozen=True)
class Choices:
    """columns: of the choices, in order. answer: the column that names the right one. labels: how it names each of them.
    question and context: the columns that such a table calls by another name, if it has them."""

    columns: tuple[str, ...]
    answer: str
    labels: tuple[str, ...]
    question: str | None = None
    context: str | None = None


def choices_of(head: Sequence[Row]) -> Choices | None:
    """The columns of choices in a table's first rows.

    None for any other table: also for one without a question, for `answer_a, answer_b` (two answers that were compared), and
    where the answer's count may begin at 0 or at 1.
    """
    names = {plain(name): name for row in head for name in row.values}
    if not names.keys().isdisjoint(("choices", "options")):
        return None
    columns = _lettered(names) or _numbered(names)
    answer = next((names[name] for name in _ANSWERS if name in names and names[name] not in columns), None)
    if len(columns) < 2 or answer is None:
        return None
    if not all(isinstance(row.values.get(name), str | None) for row in head for name in columns):
        return None
    said = {str(row.values.get(answer)).strip() for row in head if row.values.get(answer) not in (None, "")}
    labels = _labels(said, len(columns))
    if labels is None and said and said <= set(columns):
        labels = tuple(columns)  # the answer names the column
    if labels is None and all(_is_a_choice(row, answer, columns) for row in head):
        labels = tuple(_LETTERS[: len(columns)].upper())
    if not labels:
        return None
    question = None if _ASKS & names.keys() else next((names[name] for name in _ASKED if name in names), None)
    if question is None and not _ASKS & names.keys():
        return None  # two texts and a label, as of pairs that are compared
    context = next((names[name] for name in _ABOVE if name in names and names[name] != question), None)
    return Choices(tuple(columns), answer, labels, question, context)


def _lettered(names: Mapping[str, str]) -> list[str]:
    """Columns such as `A, B, C` or `option_a, option_b`, from the first letter on without a gap."""
    found: dict[str, dict[str, str]] = {}
    for name, column in names.items():
        if match := _NAMED.fullmatch(name):
            found.setdefault(name[: match.start(1)], {})[match[1]] = column
    best = max(found.values(), key=len, default=dict[str, str]())
    letters = "".join(sorted(best))
    return [best[letter] for letter in letters] if _LETTERS.startswith(letters) else []


def _numbered(names: Mapping[str, str]) -> list[str]:
    """Columns such as `choice1, choice2` or `ending0, ending1`, without a gap."""
    found: dict[str, dict[int, str]] = {}
    for name, column in names.items():
        if match := _NUMBERED.fullmatch(name):
            found.setdefault(match[1], {})[int(match[2])] = column
    best = max(found.values(), key=len, default=dict[int, str]())
    numbers = sorted(best)
    return (
        [best[number] for number in numbers]
        if numbers and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        else []
    )


def _labels(said: set[str], count: int) -> tuple[str, ...] | None:
    """How answers name the choices: by letter, or by a number from 0 or from 1 where the answers tell which."""
    letters = _LETTERS[:count]
    for labels in (letters, letters.upper()):
        if said and said <= set(labels):
            return tuple(labels)
    from_0, from_1 = {str(number) for number in range(count)}, {str(number + 1) for number in range(count)}
    if "0" in said and said <= from_0:
        return tuple(sorted(from_0))
    if str(count) in said and said <= from_1:
        return tuple(sorted(from_1))
    return None


def _is_a_choice(row: Row, answer: str, columns: Sequence[str]) -> bool:
    return row.values.get(answer) in [row.values.get(name) for name in columns]


def put_together(rows: Iterable[Row | Rejected], choices: Choices, facts: Facts) -> Iterator[Row | Rejected]:
    """The rows with `choices` and `answer`; a choice that is empty is left out."""
    listed = ", ".join(f"`{name}`" for name in choices.columns)
    facts.remarks.append(f"Its choices stand in columns of their own ({listed}); each question is asked with them, by letter.")
    for row in rows:
        yield row if isinstance(row, Rejected) else Row(_values(row.values, choices), row.file, row.line)


def _values(values: Mapping[str, Any], choices: Choices) -> dict[str, Any]:
    given = [(label, text) for label, name in zip(choices.labels, choices.columns, strict=True) if (text := values.get(name))]
    called = {choices.question: "question", choices.context: "context"}
    beside = {
        called.get(name, name): value
        for name, value in values.items()
        if name not in choices.columns and name != choices.answer
    }
    written = values.get(choices.answer)
    return {
        **beside,
        "choices": {"text": [text for _, text in given], "label": [label for label, _ in given]},
        "answer": written.strip() if isinstance(written, str) else written,
    }
