"""The general sets shipped with the studio: does the tuned model still know what the base knew?

One is answered: short questions with one short answer each. The other is only read: answers of whole sentences and plain
text, whose likelihood tells of forgetting also where a small base answers none of the short questions word for word.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from studio.data.rows import Conversation
from studio.models import starter

NAME = "general"
"""The name of the answered set that the forgetting check reads."""

TEXT = "general-text"
"""The name of the set that is not answered: how likely the model finds general answers and text."""


def builtin(model: str = "") -> list[Conversation]:
    """Forty short questions of general knowledge, arithmetic, spelling and rewriting, each with one short answer.

    The starter, which knows only its own small world, is asked about that.
    """
    return _rows(starter.general() if model == "starter" else Path(__file__).parent / "builtin.jsonl")


def text() -> list[Conversation]:
    """Thirty-two answers of whole sentences (instructions, arithmetic, formats, refusals, four languages) and ten texts."""
    return _rows(Path(__file__).parent / "general-text.jsonl")


def _rows(file: Path) -> list[Conversation]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [_row(orjson.loads(line), file.name, number) for number, line in enumerate(lines, 1) if line.strip()]


def _row(row: dict[str, Any], file: str, line: int) -> Conversation:
    if "text" in row:
        return Conversation(text=row["text"], file=file, line=line)
    question, answer = ({"role": role, "content": row[name]} for role, name in (("user", "question"), ("assistant", "answer")))
    return Conversation(messages=(question, answer), file=file, line=line)
