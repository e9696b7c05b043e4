"""Use cases of toolchains, the separate environments some exports need: list, install, remove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from studio.core.errors import JobError
from studio.core.text import size
from studio.export import toolchains
from studio.export.toolchains import Status
from studio.hardware.doctor import Finding
from studio.processes import tasks
from studio.processes.tasks import Task
from studio.tracking.reporter import ProgressListener

__all__ = ["Status", "as_dict", "begin_install", "findings", "install", "installations", "remove", "statuses"]


def statuses() -> list[Status]:
    """Every toolchain: ready, outdated or missing, with the command that makes it ready."""
    return toolchains.statuses()


def install(name: str, on_progress: Callable[[float, float, str], None] | None = None) -> Status:
    """Make a toolchain ready; one that is ready is left alone. on_progress: done, total, what. Raises StudioError."""
    return toolchains.install(name, ProgressListener(on_progress))


def begin_install(name: str, home: Path) -> Task:
    """Begin to install a toolchain in a process of its own; returns at once. Raises JobError if there is none of that name."""
    if name not in {item.name for item in statuses()}:
        raise JobError("there is no such toolchain to install", hint="See `studio exporters`.", where=name)
    return tasks.begin(home / "exporters" / ".work", "install", name, ["exporters", "install", name], home)


def installations(home: Path) -> list[Task]:
    """The installations that were begun from a page, newest first."""
    return tasks.tasks(home / "exporters" / ".work")


def remove(name: str) -> bool:
    """Remove a toolchain; False if there was none. Raises StudioError."""
    return toolchains.remove(name)


def findings() -> list[Finding]:
    """The toolchains as `studio doctor` lists them."""
    found: list[Finding] = []
    for item in statuses():
        ready = item.state == "ready"
        said = f"for {item.gives}" if ready else f"{_WORDS[item.state]}, {size(item.bytes)}: for {item.gives}"
        found.append(
            Finding(f"exporter {item.name}", True if ready else None, said, f"Run `{item.command}`." if not ready else "")
        )
    return found


def as_dict(status: Status) -> dict[str, object]:
    """A status as plain values, for `--json`."""
    return {**asdict(status), "folder": str(status.folder)}


_WORDS = {"outdated": "made for another version of the studio", "missing": "not installed"}
