"""The judge: a model that scores a row as right, complete and grounded, with the reason first."""

from __future__ import annotations

from collections.abc import Sequence

from studio.core.messages import chat_message
from studio.documents.records import Passage
from studio.making.recipes.base import ROLE, Draft, shown
from studio.remote.completion import Request

PROMPT = "judge/1"
MARKS = ("right", "complete", "grounded")
_SCHEMA = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "description": "what is wrong with it, or why nothing is; one or two sentences"},
        "right": {"type": "integer", "description": "1 to 5: what the answer says is true"},
        "complete": {"type": "integer", "description": "1 to 5: it answers all that is asked"},
        "grounded": {"type": "integer", "description": "1 to 5: everything in it is in the passages"},
    },
    "required": ["reason", *MARKS],
    "additionalProperties": False,
}
MAX_TOKENS = 300


def request(draft: Draft, passages: Sequence[Passage]) -> Request:
    """The request that a row is judged by."""
    sources = "\n\n".join(map(shown, passages)) or "(There is no passage: judge by what you know.)"
    rule = (
        "The answer refuses, because the passages do not say it. It is right and complete if they really do not, and wrong if "
        "they do."
        if draft.refuses
        else "Score it strictly: 5 is without fault, 3 has a fault that matters, 1 is wrong."
    )
    instruction = (
        f"Judge this answer. {rule} Give the reason before the scores.\n\n"
        f"Question: {draft.question}\nAnswer: {draft.answer}\n\n{sources}"
    )
    messages = [chat_message("system", ROLE), chat_message("user", instruction)]
    return Request(messages, MAX_TOKENS, 0.0, None, _SCHEMA)


def score(value: object) -> tuple[float, str] | None:
    """The lowest of the scores and the reason; None if the answer holds none."""
    if not isinstance(value, dict):
        return None
    marks = [float(mark) for mark in map(value.get, MARKS) if isinstance(mark, int | float) and 1 <= mark <= 5]
    if len(marks) < len(MARKS):
        return None
    return min(marks), str(value.get("reason") or "")
