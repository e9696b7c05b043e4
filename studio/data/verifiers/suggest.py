"""Which verifier suits some rows, from the answers they have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from studio.core.numerals import numerals
from studio.core.text import plural
from studio.data.verifiers.choice import Choice
from studio.data.verifiers.exact import Exact
from studio.data.verifiers.json_fields import JsonFields
from studio.data.verifiers.json_text import whole_json
from studio.data.verifiers.number import Number
from studio.data.verifiers.tool_call import ToolCall
from studio.data.verifiers.verifier import Message, Verifier, content

NEARLY_ALL = 0.95
"""Share of the rows that must be of a kind."""
FEW = 20
"""Different answers that are choices, at most."""
SHORT = 12
"""Words of an answer that is right or wrong as a whole."""


def suggest(expected: Sequence[Message]) -> tuple[Verifier, str] | None:
    """A verifier for rows with these answers, and why; None where the answers are too long for a rule to judge."""
    total = len(expected)
    if not total:
        return None
    texts = [content(message) for message in expected]
    words = [len(text.split()) for text in texts]
    if _share(bool(message.get("tool_calls")) for message in expected) >= NEARLY_ALL:
        return ToolCall(), "the answers call tools"
    if _share(_is_object(text) for text in texts) >= NEARLY_ALL:
        return JsonFields(), "the answers are JSON objects"
    if _share(count <= 2 and len(numerals(text)) == 1 for text, count in zip(texts, words, strict=True)) >= NEARLY_ALL:
        return Number(), "the answers are numbers"
    distinct = Counter(texts)
    if 2 <= len(distinct) <= FEW and total >= 5 * len(distinct) and max(words) <= 4:
        return Choice(
            choices=sorted(distinct)
        ), f"the answers are {len(distinct)} different ones: {', '.join(sorted(distinct))}"
    if sorted(words)[math.ceil(0.9 * total) - 1] <= SHORT and all(texts):
        return Exact(), f"nine in ten answers have at most {plural(SHORT, 'word')}: right or wrong as a whole"
    return None


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)


def _is_object(text: str) -> bool:
    try:
        return isinstance(whole_json(text), dict)
    except (ValueError, RecursionError):
        return False
