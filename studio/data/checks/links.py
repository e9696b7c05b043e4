"""Answers that are only a link."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

_LINK = re.compile(r"(?:https?://|www\.)\S+|\[[^\]]*\]\([^)]*\)")


def look(said: Said) -> str:
    """The answer, if nothing of it is left without its links."""
    answer = said.answer
    if "://" not in answer and "www." not in answer and "](" not in answer:
        return ""
    return answer if not any(map(str.isalnum, _LINK.sub("", answer))) else ""


CHECK = Check("links_only", "warning", "answers are nothing but a link", "answers of a link and a few words", look=look)
