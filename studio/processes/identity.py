"""The one identity of a process: what tells it from every other, on this boot and after the next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from studio.processes import system


@dataclass(frozen=True)
class ProcessId:
    """A process named beyond doubt: a pid alone may belong to another process by now.

    Its start is counted in the kernel's ticks since boot, never as a time of day: when the clock is set (time sync on a
    fresh virtual machine, WSL2 after sleep) every time of day moves, and a live process would look like another one.
    """

    pid: int
    start_ticks: int
    """Kernel clock ticks from boot to its start."""
    boot_id: str
    """Which boot those ticks are counted from."""

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The process that has this pid now; one that has ended already gets ticks that no process has."""
        ticks = system.start_ticks(pid)
        return cls(pid, -1 if ticks is None else ticks, system.boot_id())

    @classmethod
    def current(cls) -> ProcessId:
        """This very process."""
        return cls.of(os.getpid())

    @classmethod
    def parse(cls, text: str) -> ProcessId:
        """What `str` gave. Raises ValueError."""
        pid, ticks, boot = text.split(":")
        return cls(int(pid), int(ticks), boot)

    @classmethod
    def from_record(cls, values: Mapping[str, object]) -> ProcessId:
        """A process as a record holds it. One of an older version (pid and a time of day) names nobody."""
        ticks, boot = values.get("start_ticks", -1), values.get("boot_id", "")
        return cls(int(str(values.get("pid", 0))), int(str(ticks)), str(boot))

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return self.start_ticks >= 0 and self.boot_id == system.boot_id() and system.start_ticks(self.pid) == self.start_ticks

    def __str__(self) -> str:
        return f"{self.pid}:{self.start_ticks}:{self.boot_id}"


def process_of(value: object) -> object:
    """The process as a record's file has it, for a record's field; whatever is no mapping is left to the field's type."""
    if not isinstance(value, dict):
        return value
    return ProcessId.from_record({str(name): item for name, item in value.items()}) if value else None
