"""Text decoded with the wrong encoding, in any script."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

_RUN = re.compile(r"[^\x00-\x7f]{2,}")
_LATIN = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)
_CYRILLIC = re.compile(
    "[\u0420\u0421\u0432\u0440\u0441\u0413\u0414][\u0080-\u00bf\u0401-\u040f\u0451-\u045f\u0490\u0491\u2013-\u203a\u20ac\u2116\u2122\u0410-\u044f]"
)
_LOST = re.compile("\ufffd|锟斤拷|烫烫烫")
_OPEN = {chr(byte): byte for byte in range(0x80, 0xA0)}
_WESTERN, _RUSSIAN = (
    _OPEN | {bytes([byte]).decode(encoding): byte for byte in range(0x80, 0x100) if byte not in skipped}
    for encoding, skipped in (("cp1252", (0x81, 0x8D, 0x8F, 0x90, 0x9D)), ("cp1251", (0x98,)))
)
"""The byte that each character stands for. A control character stands for itself: bytes that an encoding leaves open."""
_CHANCE = 3
"""Characters of Cyrillic text that read as another encoding by chance; more of them do not."""


def look(said: Said) -> str:
    """The text, and what it should have been where that can be told."""
    if said.ascii:
        return ""
    text = said.whole
    if match := _LOST.search(text):
        return text[max(0, match.start() - 20) : match.end() + 20]
    latin = _LATIN.search(text)
    if not latin and not _CYRILLIC.search(text):
        return ""
    for run in _RUN.finditer(text):
        for table, chance in ((_WESTERN, 1), (_RUSSIAN, _CHANCE)):
            try:
                meant = bytes(table[letter] for letter in run[0]).decode("utf-8")
            except (KeyError, UnicodeError):
                continue
            if len(meant) > chance or (chance == 1 and meant.isprintable()):
                return f"{run[0]} (for {meant})"
    return latin[0] if latin and "â€" in text else ""


CHECK = Check(
    "mojibake",
    "warning",
    "texts were decoded with the wrong encoding",
    "wrong encodings other than Windows-1252, Latin-1 and Windows-1251 in place of UTF-8",
    look=look,
)
