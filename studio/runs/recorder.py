"""Recorder: the reporter a worker uses. It writes the run folder, and nothing else knows how."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from studio.core import events
from studio.core.errors import JobError, StudioError
from studio.core.events import Event, State
from studio.core.metrics import MetricsPoint
from studio.core.records import ErrorRecord, RecordError
from studio.processes.identity import ProcessId
from studio.runs import reserve
from studio.runs.folder import RunFolder
from studio.runs.status import Status


class FolderRemoved(JobError):
    """The run's folder is gone: there is nothing left to work on, and nowhere to say so."""


class Recorder:
    """Keeps status.json, events.jsonl and metrics.jsonl of the run this process works on."""

    def __init__(self, folder: RunFolder, on_metrics: Callable[[int, dict[str, float]], None] | None = None) -> None:
        self.folder = folder
        self.on_metrics = on_metrics
        """Called with each logged step as well, e.g. by a mirror of the metrics."""
        self.on_event: Callable[[Event], None] | None = None
        """Called with each event as well."""
        self.stop_asked = False
        self._written = 0.0
        before = _before(folder)
        self._status = Status(
            state="queued",
            started=(before and before.started) or time.time(),
            process=ProcessId.current(),
            process_started=time.time(),
            stages=before.stages if before else {},
        )
        self._write()

    def _require_folder(self) -> None:
        """Raise JobError if the run was removed: it must not come back as a folder that no list shows."""
        if not self.folder.asked.exists():
            raise FolderRemoved(
                "the run folder was removed while the run was running",
                hint="Stop a run before it is removed: studio runs stop RUN.",
                where=str(self.folder.path),
            )

    def event(self, event: Event) -> None:
        """Append to events.jsonl."""
        self._require_folder()
        self.folder.event(event)
        if self.on_event:
            self.on_event(event)

    def metrics(self, step: int, **values: float) -> None:
        """Append to metrics.jsonl, with the time."""
        self._require_folder()
        MetricsPoint.now(step, values).append(self.folder.metrics)
        if self.on_metrics:
            self.on_metrics(step, values)

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Keep how far the stage is: at once where something else is counted than before, else at most five times a second."""
        another = what != self._status.what
        self._change(done=done, total=total, what=what)
        if another or time.monotonic() - self._written > 0.2 or done >= total:
            self._write(durable=False)

    def should_stop(self) -> bool:
        """Whether a signal or the `stop` file asks the run to stop."""
        self._require_folder()
        return self.stop_asked or self.folder.stop.exists()

    @contextmanager
    def stage(self, state: State) -> Generator[None]:
        """A stage of the run: its state while it lasts, its seconds afterwards."""
        begun, computed = time.monotonic(), time.process_time()
        self._change(state=state, done=0, total=0, what="")
        self._write()
        self.event(events.Stage(stage=state))
        yield
        seconds = round(time.monotonic() - begun, 3)
        self._change(stages={**self._status.stages, state: round(self._status.stages.get(state, 0) + seconds, 3)})
        cpu_seconds = round(time.process_time() - computed, 3)
        self.event(events.StageDone(stage=state, seconds=seconds, cpu_seconds=cpu_seconds))

    def end(self, state: State, error: StudioError | ErrorRecord | None = None) -> None:
        """Write how the run ended; the last thing a worker does."""
        reserve.release(self.folder.reserve)
        record = ErrorRecord.of(error) if isinstance(error, StudioError) else error
        self._change(state=state, ended=time.time(), error=record)
        self._write()
        self.event(events.Ended(state=state, error=record))

    def _change(self, **values: object) -> None:
        self._status = self._status.model_copy(update=values)

    def _write(self, durable: bool = True) -> None:
        self._require_folder()
        self._status.write(self.folder.status, durable)
        self._written = time.monotonic()


def _before(folder: RunFolder) -> Status | None:
    """What the run's last process wrote; None for a new run, and for a file that cannot be read: it is written anew."""
    try:
        return Status.read(folder.status)
    except (FileNotFoundError, RecordError):
        return None
