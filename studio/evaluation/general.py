"""The general question set shipped with the studio: does the tuned model still know what the base knew?"""

from __future__ import annotations

from importlib.resources import files
from io import StringIO

import orjson

from studio.data.rows import Conversation

NAME = "general"
"""The name of the set that the forgetting check reads."""


def builtin() -> list[Conversation]:
    """Forty short questions of general knowledge, arithmetic, spelling and rewriting, each with one short answer."""
    text = files("studio.evaluation").joinpath("builtin.jsonl").read_text(encoding="utf-8")
    rows = [orjson.loads(line) for line in StringIO(text) if line.strip()]
    return [
        Conversation(
            messages=(
                {"role": "user", "content": row["question"]},
                {"role": "assistant", "content": row["answer"]},
            ),
            file="builtin.jsonl",
            line=line,
        )
        for line, row in enumerate(rows, 1)
    ]
