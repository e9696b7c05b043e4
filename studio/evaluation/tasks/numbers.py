"""Numbers: the answer is a figure, perhaps after its reasoning."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from studio.core.numerals import NUMERAL, numerals
from studio.evaluation.overlap import spoken
from studio.evaluation.tasks.task import Scorer, Task, mostly, share_metric

CLOSE = 0.05
"""How far a number may be off, as a share of the reference, to count as near."""

MATCH = share_metric("number_match", "Number right", "share of answers whose last number equals the reference's, units aside")
NEAR = share_metric("number_near", "Number within 5 %", "share of answers whose last number is within 5 % of the reference's")

_BARE = re.compile(rf"(?:[$€£¥]\s?)?{NUMERAL.pattern}\s?(?:%|‰|[$€£¥])?\.?", re.IGNORECASE)
_MARKED = re.compile(r"####\s*(\S.*)")
"""The final answer as GSM8K (Cobbe et al. 2021) marks it."""


def number(text: str) -> float | None:
    """The number an answer ends with: behind `####`, else the last one in it."""
    marked = _MARKED.findall(text)
    found = numerals(marked[-1] if marked else spoken(text))
    return found[-1] if found else None


def _is_number(reference: str) -> bool:
    return bool(_BARE.fullmatch(spoken(reference)) or _MARKED.search(reference)) and number(reference) is not None


def recognise(references: Sequence[str]) -> bool:
    """Each reference is a number, with no more than a sign of its unit, or ends with one behind `####`."""
    return mostly(references, _is_number)


def scorer(references: Sequence[str]) -> Scorer:
    """Both figures of one answer."""
    return _score


def _score(reference: str, answer: str) -> dict[str, float]:
    wanted, answered = number(reference), number(answer)
    if wanted is None or answered is None:
        equal = near = float(spoken(reference) == spoken(answer))
    else:
        equal = float(math.isclose(wanted, answered, rel_tol=1e-6, abs_tol=1e-9))
        near = float(equal or abs(wanted - answered) <= CLOSE * abs(wanted))
    return {MATCH.name: equal, NEAR.name: near}


TASK = Task(
    "numbers", (MATCH, NEAR), "the references are numbers: what counts is the number, however it is written", recognise, scorer
)
