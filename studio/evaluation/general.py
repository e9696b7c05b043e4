"""The general question set shipped with the studio: does the tuned model still know what the base knew?"""

from __future__ import annotations

from pathlib import Path

import orjson

from studio.data.rows import Conversation
from studio.models import starter

NAME = "general"
"""The name of the set that the forgetting check reads."""


def builtin(model: str = "") -> list[Conversation]:
    """Forty short questions of general knowledge, arithmetic, spelling and rewriting, each with one short answer.

    The starter, which knows only its own small world, is asked about that.
    """
    file = starter.general() if model == "starter" else Path(__file__).parent / "builtin.jsonl"
    rows = [orjson.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [
        Conversation(
            messages=(
                {"role": "user", "content": row["question"]},
                {"role": "assistant", "content": row["answer"]},
            ),
            file=file.name,
            line=line,
        )
        for line, row in enumerate(rows, 1)
    ]
