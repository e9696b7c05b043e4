"""The answers that rows bring with them, for what compares others with them."""

from __future__ import annotations

from pathlib import Path

import orjson

from studio.core.messages import ChatMessage, chat_message
from studio.data.encode import Tokens
from studio.data.rows import numbered_lines


def expected(tokens: Tokens) -> list[ChatMessage]:
    """The last message of each row: the answer that a verifier compares with."""
    if not len(tokens):
        return []
    rows = ((line, orjson.loads(text)) for line, text in numbered_lines(*map(Path, tokens.meta["source"])))
    messages = {line: row["messages"][-1] for line, row in rows if row.get("messages")}
    return [messages.get(int(line), chat_message("assistant", "")) for line in tokens.positions[:, 2]]
