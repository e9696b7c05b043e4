"""Secrets: where they come from (environment, then the system keyring), and how they are kept out of every text."""

from __future__ import annotations

import os
import re
from pathlib import Path

from studio.core.files import studio_home

SERVICE = "studio"
"""The keyring service secrets are stored under: `keyring set studio WANDB_API_KEY`."""

_TOKENS = re.compile(
    r"\b(?:"
    r"hf_[A-Za-z0-9]{16,}"  # Hugging Face
    r"|wandb_v\d+_[A-Za-z0-9_-]{16,}"  # W&B, since 2025
    r"|local-[0-9a-f]{40}"  # W&B, own server
    r"|(?:sk-|gsk_)[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic, OpenRouter, Groq and their like
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|AKIA[0-9A-Z]{16}"  # AWS
    r"|[0-9a-f]{40}"  # W&B, before 2025; a git commit looks the same, and is masked as well
    r")(?![A-Za-z0-9])"
)

_NAMED = re.compile(
    r"(?i)((?:api[_-]?key|token|secret|password|authorization)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?)([^\s\"',;]{6,})"
)

_NAMES = (
    "WANDB_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY",
    "GROQ_API_KEY", "TOGETHER_API_KEY", "VLLM_API_KEY",
)  # fmt: skip


_in_memory: set[str] = set()
"""Names that `keep` put into this process's environment."""
_given: set[str] = set()
"""Secrets that this process has read, whatever they look like: `redact` masks them, too."""


def get(name: str) -> str | None:
    """The secret of that name, from the environment, the system keyring or `<home>/secrets`; None if none has it."""
    found = os.environ.get(name, "").strip() or _from_keyring(name) or _from_file(name)
    if found:
        _given.add(found)
    return found


def redact(text: str) -> str:
    """The text with everything that looks like a secret, and every secret in the environment, masked as `[hidden]`."""
    for value in {*(os.environ.get(name, "") for name in _NAMES), *_given}:
        if len(value) >= 6:
            text = text.replace(value, "[hidden]")
    return _NAMED.sub(r"\1[hidden]", _TOKENS.sub("[hidden]", text))


def _from_keyring(name: str) -> str | None:
    """A keyring may be missing, locked or broken; none of these may cost a run."""
    try:
        import keyring

        return keyring.get_password(SERVICE, name) or None
    except Exception:
        return None


def keep(name: str, value: str, in_file: bool = True) -> str:
    """Keep a secret in the system keyring; where there is none in a file only its owner can read, or, without in_file, in
    the memory of this process and those that it starts. Says where it is, as `source` does."""
    try:
        import keyring

        keyring.set_password(SERVICE, name, value)
        if keyring.get_password(SERVICE, name) == value:
            _file(name).unlink(missing_ok=True)
            _forget_memory(name)
            return source(name)
    except Exception:  # no keyring, or a locked one
        pass
    if not in_file:
        os.environ[name] = value
        _in_memory.add(name)
        return "memory"
    file = _file(name)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = file.with_name(f".{name}.{os.getpid()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(value)
    os.replace(aside, file)
    return "file"


def forget(name: str) -> None:
    """Remove a kept secret, wherever it is."""
    import contextlib

    _forget_memory(name)
    _file(name).unlink(missing_ok=True)
    with contextlib.suppress(Exception):
        import keyring

        keyring.delete_password(SERVICE, name)


def source(name: str) -> str:
    """Where `get` finds a secret: `environment`, `memory`, `keyring`, `file`, or nothing."""
    if name in _in_memory:
        return "memory"
    if os.environ.get(name, "").strip():
        return "environment"
    return "keyring" if _from_keyring(name) else "file" if _from_file(name) else ""


def stored(name: str) -> bool:
    """Whether a secret is kept in the keyring or a file, for processes without this one's environment."""
    return bool(_from_keyring(name) or _from_file(name))


def _forget_memory(name: str) -> None:
    if name in _in_memory:
        _in_memory.discard(name)
        os.environ.pop(name, None)


def _from_file(name: str) -> str | None:
    try:
        return _file(name).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _file(name: str) -> Path:
    return studio_home() / "secrets" / name
