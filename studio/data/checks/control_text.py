"""The text of control tokens and of other templates' headers inside what people say."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

_CONTROL = re.compile(
    r"<\|[\w ]{2,24}\|>|</s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|^###\s*(?:Instruction|Response|Human|Assistant)\b"
    r"|^(?:Human|Assistant): ",
    re.MULTILINE,
)


def look(said: Said) -> str:
    """The text of the token."""
    match = _CONTROL.search(said.whole)
    return match[0] if match else ""


CHECK = Check(
    "template_text", "warning", "texts hold a template's control tokens or headers", "other templates' marks", look=look
)
