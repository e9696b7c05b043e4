"""Markup of web pages in the texts."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

_HTML = re.compile(
    r"</?(?:p|div|span|br|hr|script|table|t[dhr]|li|[uo]l|h[1-6]|strong|em|b|i|u|font|style|img|iframe|form|input|button|meta)"
    r"(?:\s[^<>]{0,200})?/?>|<a\s[^<>]{0,200}>|</a>|&(?:nbsp|amp|lt|gt|quot|apos|#x?[0-9a-f]{2,6});",
    re.IGNORECASE,
)


def look(said: Said) -> str:
    """The first piece of markup."""
    text = said.whole
    match = _HTML.search(text) if "<" in text or "&" in text else None
    return match[0] if match else ""


CHECK = Check("html", "warning", "texts hold HTML", "Markdown and other markup", look=look)
