"""Refusals and phrases of other assistants in the answers."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

_PHRASES = re.compile(
    r"\bas an? (?:ai|artificial intelligence|large)\b[^.]{0,20}\b(?:model|assistant|language)|\bi(?:'m| am) (?:just )?an ai\b"
    r"|\bmy (?:knowledge|training)(?: data)? (?:cut-?off|only goes)|\bals (?:ki|künstliche intelligenz|sprachmodell)\b"
    r"|\bi (?:cannot|can't|can not) (?:assist|help) with that\b|\b(?:openai|chatgpt|anthropic)\b",
    re.IGNORECASE,
)


def look(said: Said) -> str:
    """The phrase in the answer."""
    match = _PHRASES.search(said.answer)
    return match[0] if match else ""


CHECK = Check("boilerplate", "warning", "answers hold another assistant's phrases", "refusals in own words", look=look)
