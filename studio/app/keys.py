"""Use cases of the keys of other services: where one is stored, storing it, removing it, hiding what looks like one."""

from __future__ import annotations

import re
from pathlib import Path

from studio.app import hosts
from studio.core.errors import SpecError
from studio.core.records import Record
from studio.remote.endpoint import key_name
from studio.tracking import secrets

IN_A_FILE = ("WANDB_API_KEY", "HF_TOKEN")
"""Keys that may lie in a private file where there is no keyring, as these services' own programs do it; those of models may
not."""
SOURCES = {
    "environment": "set in the environment",
    "memory": "in memory until this studio ends, as this machine has no keyring",
    "keyring": "stored in the system keyring",
    "file": "stored in a private file",
}
"""In words where a key comes from."""
_HOST = re.compile(r"(?:https?://)?([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?)(?:/.*)?")


class KeyHosts(Record):
    """`<home>/ui/key-hosts.json`: other hosts that a key was saved for; the keys are elsewhere."""

    label = "list of hosts with keys"
    remedy = "Delete the file; keys stay where they are."

    hosts: tuple[str, ...] = ()


def source(name: str) -> str | None:
    """Where a key comes from: `environment`, `memory`, `keyring` or `file`; None if there is none."""
    return secrets.source(name)


def save(name: str, value: str) -> None:
    """Store a key where only its owner can read it: in the keyring; the key of a model never in a file."""
    secrets.keep(name, value, in_file=name in IN_A_FILE)


def remove(name: str) -> None:
    """Forget a stored key."""
    secrets.forget(name)


def of_hosts(home: Path) -> list[tuple[str, str, str | None]]:
    """Other hosts of models: (host, what for, where its key comes from); those asked before, and those with a saved key."""
    found = hosts.with_keys(home)
    for host in _saved(home):
        found.setdefault(host, "")
    return [(host, purpose, source(key_name(f"//{host}"))) for host, purpose in sorted(found.items())]


def save_for(host: str, value: str, home: Path) -> str:
    """Store the key of a host, given as its name or its API's address; the name it is kept under. Raises SpecError."""
    plain = _plain(host)
    name = key_name(f"//{plain}")
    save(name, value)
    if plain not in _saved(home):
        KeyHosts(hosts=(*_saved(home), plain)).write(_file(home))
    return name


def remove_for(host: str, home: Path) -> None:
    """Forget the key of a host. Raises SpecError."""
    plain = _plain(host)
    remove(key_name(f"//{plain}"))
    KeyHosts(hosts=tuple(item for item in _saved(home) if item != plain)).write(_file(home))


def redacted(text: str) -> str:
    """A text with everything hidden that looks like a key."""
    return secrets.redact(text)


def _plain(host: str) -> str:
    matched = _HOST.fullmatch((host or "").strip())
    if matched is None:
        raise SpecError(
            "this is not the name of a host",
            hint="Write for example api.mistral.ai, or its API's address.",
            where="API host",
        )
    return matched[1].lower()


def _saved(home: Path) -> tuple[str, ...]:
    return KeyHosts.read(_file(home)).hosts if _file(home).exists() else ()


def _file(home: Path) -> Path:
    return home / "ui" / "key-hosts.json"
