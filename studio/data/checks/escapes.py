"""Line breaks and letters that are written out as escapes, as they are left when a text is encoded once too often."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

_BREAK = re.compile(r"\\r?\\n|(?<=[\w.,!?:;)\"'])\\n(?=\s*[A-Z\d*\-#\"'(])|\\u[0-9a-fA-F]{4}")
_CODE = ("```", "    ", "print(", "printf(", "regex", "re.")


def look(said: Said) -> str:
    """The first escape, unless the text has line breaks of its own or shows code, where escapes are meant."""
    text = said.whole
    if "\\" not in text or any(mark in text for mark in _CODE):
        return ""
    match = _BREAK.search(text)
    if match is None or (match[0].startswith("\\n") and "\n" in said.answer):
        return ""
    return match[0]


CHECK = Check(
    "escapes", "warning", r"texts hold written escapes (\n, \u00e4) in place of line breaks or letters", "code", look=look
)
