"""Lists: several items, one a line or separated by commas."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from studio.evaluation.overlap import normalise, spoken, words
from studio.evaluation.tasks.task import Scorer, Task, mostly, share_metric

LONGEST = 4
"""Words of an item in a line with commas; longer ones are clauses of a sentence."""

F1 = share_metric("list_f1", "List F1", "2PR / (P + R) over the items shared with the reference, in any order")
MATCH = share_metric("list_match", "List right", "share of answers with the same items in the same order")

_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+(.*\S)\s*$")


def items(text: str) -> list[str]:
    """The items of a list, normalised: its bullets if it has two, else its lines, else what commas part."""
    lines = [line for line in spoken(text).splitlines() if line.strip()]
    bullets = [match.group(1) for line in lines if (match := _BULLET.match(line))]
    if len(bullets) > 1:
        parts = bullets
    elif len(lines) > 1:
        parts = lines
    else:
        parts = re.split(r"\s*[,;]\s*(?:and\s+|or\s+)?|\s+and\s+", spoken(text).rstrip("."))
    return [item for item in map(normalise, parts) if item]


def _is_list(reference: str) -> bool:
    text = spoken(reference)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return all(_BULLET.match(line) for line in lines)
    parts = re.split(r"\s*[,;]\s*", text)
    return len(parts) > 1 and not text.endswith((".", "!", "?")) and all(0 < len(words(part)) <= LONGEST for part in parts)


def recognise(references: Sequence[str]) -> bool:
    """Each reference has bullets, or short items between commas."""
    return mostly(references, _is_list)


def scorer(references: Sequence[str]) -> Scorer:
    """Both figures of one answer."""
    return _score


def _score(reference: str, answer: str) -> dict[str, float]:
    wanted, answered = items(reference), items(answer)
    common = sum((Counter(wanted) & Counter(answered)).values())
    total = len(wanted) + len(answered)
    return {F1.name: 2 * common / total if total else 1.0, MATCH.name: float(wanted == answered)}


TASK = Task("lists", (F1, MATCH), "the references are lists: each item is right or missing, in any order", recognise, scorer)
