"""Keys and passwords."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

_SECRETS = {
    "AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_\w{20,}\b"),
    "API key": re.compile(r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}|\bhf_[A-Za-z0-9]{30,}\b"),
    "Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "web token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "password": re.compile(r"\b(?:password|passwd|pwd|secret|api[_-]?key|token)\s*[:=]\s*[^\s,;]{6,}", re.IGNORECASE),
}


def look(said: Said) -> str:
    """The kind of what is found; never the value itself."""
    text = said.whole
    return next((kind for kind, pattern in _SECRETS.items() if pattern.search(text)), "")


CHECK = Check("secrets", "error", "texts hold keys or passwords", "passwords in running text", look=look)
