"""Use cases of the keys of other services: where one is stored, storing it, removing it, hiding what looks like one."""

from __future__ import annotations

from studio.tracking import secrets


def source(name: str) -> str | None:
    """Where a key comes from: `environment`, `keyring` or `file`; None if there is none."""
    return secrets.source(name)


def save(name: str, value: str) -> None:
    """Store a key where only its owner can read it."""
    secrets.keep(name, value)


def remove(name: str) -> None:
    """Forget a stored key."""
    secrets.forget(name)


def redacted(text: str) -> str:
    """A text with everything hidden that looks like a key."""
    return secrets.redact(text)
