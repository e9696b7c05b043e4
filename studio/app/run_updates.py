"""What is new of a run since the last look at it: its state, events, figures and the end of its log."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core import events
from studio.core.events import Event
from studio.core.files import whole_lines
from studio.core.metrics import MetricsPoint
from studio.core.text import size
from studio.runs import status as statuses
from studio.runs.folder import RunFolder
from studio.runs.status import Status

Place = dict[Path, int]
"""How far the files of a run were read, in bytes."""


@dataclass(frozen=True)
class Update:
    """What is new since the last look at a run."""

    status: Status
    events: list[Event]
    metrics: list[MetricsPoint]
    position: Place
    """Where the next look begins."""


def now(folder: RunFolder) -> Place:
    """The present end of a run's story, to watch from there."""
    files = (folder.events, folder.metrics)
    return {file: file.stat().st_size if file.exists() else 0 for file in files}


def watch(folder: RunFolder, every: float = 0.25, since: Place | None = None) -> Iterator[Update]:
    """Follow a run until it has ended: what is new, every so many seconds. since leaves out what came before."""
    places = dict(since or {folder.events: 0, folder.metrics: 0})
    while True:
        status = statuses.read(folder)  # read before the files: what came before the end is then never missed
        new: dict[Path, list[bytes]] = {}
        for file, place in places.items():
            new[file] = list(whole_lines(file, place))
            places[file] = place + sum(len(line) for line in new[file])
        happened = [events.parse_line(line) for line in new[folder.events]]
        logged = [point for line in new[folder.metrics] if (point := MetricsPoint.parse_line(line))]
        yield Update(status, happened, logged, dict(places))
        if not status.active:
            return
        time.sleep(every)


BYTES = ("Reading rows", "Encoding rows", "Downloading")
"""What counts bytes while it goes on: how many rows a file has is not known before its end."""


def how_far(status: Status) -> str:
    """What a run does now, and how much of it is done."""
    done, total = status.done, status.total
    if not (total and status.what):
        return status.what or status.state
    if status.what in BYTES:
        return f"{status.what}: {size(done)} of {size(total)}"
    whole = float(done).is_integer() and float(total).is_integer()
    return f"{status.what} {done:,.0f} of {total:,.0f}" if whole else f"{status.what} {done:,.4g} of {total:,.4g}"


LOG_BYTES, LOG_LINES = 16_000, 200
"""How much of a log's end is shown."""


def log_tail(folder: RunFolder) -> str:
    """The end of a run's log as a terminal would show it, with everything hidden that looks like a key."""
    from studio.app import keys

    with contextlib.suppress(OSError), open(folder.log, "rb") as log:
        length = log.seek(0, 2)
        log.seek(max(0, length - LOG_BYTES))
        lines = log.read().decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
        lines = [line.rsplit("\r", 1)[-1] for line in (lines[1:] if length > LOG_BYTES else lines)]
        return keys.redacted("\n".join(lines[-LOG_LINES:]).strip())
    return ""
