"""EventReporter: the reporter of work on a finished run, e.g. an export. Events are kept; the run's state is not touched."""

from __future__ import annotations

from collections.abc import Callable

from studio.core.events import Event
from studio.runs.folder import RunFolder


class EventReporter:
    """Appends events to the run's story and passes progress to whoever looks."""

    def __init__(self, folder: RunFolder, on_progress: Callable[[float, float, str], None] | None = None) -> None:
        self.folder, self.on_progress = folder, on_progress

    def event(self, event: Event) -> None:
        """Append to events.jsonl."""
        self.folder.event(event)

    def metrics(self, step: int, **values: float) -> None:
        """Nothing is trained here."""

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Pass on how far the work is."""
        if self.on_progress:
            self.on_progress(done, total, what)

    def should_stop(self) -> bool:
        """Such work is ended by ending its process."""
        return False
