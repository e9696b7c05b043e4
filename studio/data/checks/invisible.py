"""Characters nobody sees: zero-width ones, changes of direction, control and escape codes."""

from __future__ import annotations

import re
import unicodedata

from studio.data.checks.base import Check, Said

_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u200b\u2060\u202a-\u202e\u2066-\u2069\ufeff]")


def look(said: Said) -> str:
    """The character's number and name. Joiners between letters are part of some scripts, and no finding."""
    text = said.whole
    match = None if text.isascii() and text.isprintable() else _INVISIBLE.search(text)
    return f"U+{ord(match[0]):04X} {unicodedata.name(match[0], 'control character')}" if match else ""


CHECK = Check("invisible", "warning", "texts hold characters that are not seen", "letters that look like others", look=look)
