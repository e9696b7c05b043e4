"""Markup of web pages in the texts."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, whole_text
from studio.data.rows import Conversation

_HTML = re.compile(
    r"</?(?:p|div|span|br|script|table|td|tr|li|ul|ol|h[1-6]|strong|font|style)\b[^>]{0,200}/?>|&(?:nbsp|amp|lt|gt|quot);", re.I
)


def look(row: Conversation) -> str:
    """The first piece of markup."""
    match = _HTML.search(whole_text(row))
    return match[0] if match else ""


CHECK = Check("html", "warning", "texts hold HTML", "Markdown and other markup", look=look)
