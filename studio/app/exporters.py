"""Use cases of the exporters that live in environments of their own: list, install, remove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from studio.core.text import size
from studio.export import toolchains as environments
from studio.export.toolchains import Status
from studio.hardware.doctor import Finding
from studio.tracking.reporter import Silent

__all__ = ["Status", "as_dict", "findings", "install", "remove", "statuses"]


def statuses() -> list[Status]:
    """Every exporter: ready, outdated or missing, with the command that makes it ready."""
    return environments.statuses()


def install(name: str, on_progress: Callable[[float, float, str], None] | None = None) -> Status:
    """Make an exporter ready; one that is ready is left alone. on_progress: done, total, what. Raises StudioError."""
    return environments.install(name, _Listener(on_progress))


def remove(name: str) -> bool:
    """Remove an exporter's environment; False if there was none. Raises StudioError."""
    return environments.remove(name)


def findings() -> list[Finding]:
    """The exporters as `studio doctor` lists them."""
    found = []
    for item in statuses():
        ready = item.state == "ready"
        said = f"for {item.gives}" if ready else f"{_WORDS[item.state]}, {size(item.bytes)}: for {item.gives}"
        found.append(
            Finding(f"exporter {item.name}", True if ready else None, said, f"Run `{item.command}`." if not ready else "")
        )
    return found


def as_dict(status: Status) -> dict[str, Any]:
    """A status as plain values, for `--json`."""
    return {**asdict(status), "folder": str(status.folder)}


_WORDS = {"outdated": "made for another version of the studio", "missing": "not installed"}


class _Listener(Silent):
    """A reporter that passes progress on."""

    def __init__(self, on_progress: Callable[[float, float, str], None] | None) -> None:
        self._on_progress = on_progress

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Passed on."""
        if self._on_progress:
            self._on_progress(done, total, what)
