"""Placeholders that were never filled in."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

_PLACEHOLDER = re.compile(
    r"\{\{ ?[\w.]+ ?\}\}|\$\{\w+\}|\[(?:[A-Z][A-Z_]{2,}|(?:your|insert|company|customer|product) [\w ]{2,20})\]"
    r"|<(?:your|insert)[ _][\w ]+>|\blorem ipsum\b|\bTODO:",
)


def look(said: Said) -> str:
    """The placeholder."""
    match = _PLACEHOLDER.search(said.whole)
    return match[0] if match else ""


CHECK = Check("placeholders", "warning", "texts hold placeholders", "names that stand for others, such as John Doe", look=look)
