"""The text of control tokens and of other templates' headers inside what people say."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, whole_text
from studio.data.rows import Conversation

_CONTROL = re.compile(
    r"<\|[\w ]{2,24}\|>|</s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|^###\s*(?:Instruction|Response|Human|Assistant)\b"
    r"|^(?:Human|Assistant): ",
    re.MULTILINE,
)


def look(row: Conversation) -> str:
    """The text of the token."""
    match = _CONTROL.search(whole_text(row))
    return match[0] if match else ""


CHECK = Check(
    "template_text", "warning", "texts hold a template's control tokens or headers", "other templates' marks", look=look
)
