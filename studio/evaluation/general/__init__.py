"""The general sets shipped with the studio: does the tuned model still know what the base knew?

One is answered: short questions with one short answer each. The other is only read: answers of whole sentences and plain
text, whose likelihood tells of forgetting also where a small base answers none of the short questions word for word.
"""

from __future__ import annotations

from pathlib import Path

from studio.data.rows import Conversation, shipped
from studio.models import starter

NAME = "general"
"""The name of the answered set that the forgetting check reads."""

TEXT = "general-text"
"""The name of the set that is not answered: how likely the model finds general answers and text."""


SKILLS = {
    "facts.jsonl": "facts",
    "arithmetic.jsonl": "arithmetic",
    "wording.jsonl": "wording",
    "format.jsonl": "format",
    "instructions.jsonl": "following instructions",
    "refusal.jsonl": "not answering what it cannot know",
    "languages.jsonl": "other languages",
}
"""What the files of short questions ask for."""


def builtin(model: str = "") -> list[Conversation]:
    """Short questions with one short answer each: facts, arithmetic, wording, format, instructions, what nobody can know,
    four more languages.

    The starter, which knows only its own small world, is asked about that.
    """
    folder = Path(__file__).parent
    files = [starter.general()] if model == "starter" else [folder / name for name in SKILLS]
    return [row for file in files for row in shipped(file)]


def text() -> list[Conversation]:
    """Thirty-two answers of whole sentences (instructions, arithmetic, formats, refusals, four languages) and ten texts."""
    return shipped(Path(__file__).parent / "text.jsonl")
