"""Events: what a run reports while it works, one class a kind. `events.jsonl` holds one a line.

`str(event)` is the event in words, so no reader can meet a kind it has no words for.
"""

from __future__ import annotations

import functools
import json
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError

from studio.core.plain import is_object
from studio.core.records import ErrorRecord, Record
from studio.core.text import duration, plural, shorten, size

State = Literal["queued", "preparing", "training", "evaluating", "exporting", "done", "failed", "stopped", "interrupted"]
"""The states of a run. The four in the middle are its stages."""


class EventBase(Record):
    """Something that happened to a run and that a person may want to read later."""

    label: ClassVar[str] = "event"

    time: float | None = None
    """Seconds since the epoch, set when it is written to the run folder."""

    def as_line(self) -> dict[str, Any]:
        """As a line of `events.jsonl`: time and kind first."""
        kind: str = type(self).model_fields["kind"].default
        return {**({} if self.time is None else {"time": self.time}), "kind": kind, **super().as_line()}


class Created(EventBase):
    """The run folder was made."""

    kind: Literal["created"] = "created"
    name: str = ""

    def __str__(self) -> str:
        return "created"


class Queued(EventBase):
    """The run was put into the queue."""

    kind: Literal["queued"] = "queued"
    position: int
    who: str = ""

    def __str__(self) -> str:
        return f"queued at position {self.position}" + (f" by {self.who}" if self.who else "")


class Resumed(EventBase):
    """A process was started again for a run that had ended."""

    kind: Literal["resumed"] = "resumed"
    before: State
    """The state it was in."""

    def __str__(self) -> str:
        return f"resumed (it was {self.before})"


class Stage(EventBase):
    """A stage began."""

    kind: Literal["stage"] = "stage"
    stage: State

    def __str__(self) -> str:
        return f"{self.stage} started"


class StageDone(EventBase):
    """A stage ended well."""

    kind: Literal["stage-done"] = "stage-done"
    stage: State
    seconds: float
    cpu_seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.stage} finished in {duration(self.seconds)}"


class DataReady(EventBase):
    """The dataset was read, checked and split."""

    kind: Literal["data"] = "data"
    message: str
    """The counts in words."""

    def __str__(self) -> str:
        return self.message


class Decision(EventBase):
    """The planner decided the value of a field."""

    kind: Literal["decision"] = "decision"
    field: str
    value: Any = None
    reason: str

    def __str__(self) -> str:
        return f"{self.field} = {self.value}: {self.reason}"


class Warning(EventBase):
    """Something the user should know and may act on."""

    kind: Literal["warning"] = "warning"
    message: str
    hint: str = ""
    """What to do."""
    field: str = ""
    """The spec field that was changed to go on, if one was."""
    value: Any = None
    """The new value of `field`."""
    rows: tuple[Any, ...] = ()
    """Dataset rows it is about: file, line and reason each."""

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class Note(EventBase):
    """Something worth knowing that needs no action."""

    kind: Literal["note"] = "note"
    message: str

    def __str__(self) -> str:
        return self.message


class Waiting(EventBase):
    """The run waits for something, e.g. the device."""

    kind: Literal["waiting"] = "waiting"
    message: str

    def __str__(self) -> str:
        return self.message


class CheckpointLoaded(EventBase):
    """Training continues from a checkpoint."""

    kind: Literal["resume"] = "resume"
    step: int

    def __str__(self) -> str:
        return f"continued from the checkpoint of step {self.step:,}"


class CheckpointSaved(EventBase):
    """A checkpoint is complete on disk."""

    kind: Literal["checkpoint"] = "checkpoint"
    step: int

    def __str__(self) -> str:
        return f"checkpoint saved at step {self.step:,}"


class BestLoss(EventBase):
    """The held-out loss is the lowest so far."""

    kind: Literal["best"] = "best"
    step: int
    eval_loss: float

    def __str__(self) -> str:
        return f"lowest held-out loss so far: {self.eval_loss:.4g} at step {self.step:,}"


class EarlyStop(EventBase):
    """Training ended because the held-out loss no longer fell."""

    kind: Literal["early_stop"] = "early_stop"
    step: int
    best_step: int

    def __str__(self) -> str:
        return f"stopped early at step {self.step:,}: no lower held-out loss since step {self.best_step:,}"


class Trained(EventBase):
    """Training ended; the fields are those of `training.json`."""

    kind: Literal["trained"] = "trained"
    steps: int
    epochs: float
    best_step: int
    kept_step: int
    base_loss: float | None = None
    best_loss: float | None = None
    last_loss: float | None = None
    train_loss: float | None = None
    seconds: float
    tokens: int
    peak_memory_bytes: int
    stopped_early: bool = False

    def __str__(self) -> str:
        best = f", lowest held-out loss {self.best_loss:.4g} at step {self.best_step:,}" if self.best_loss is not None else ""
        return f"trained {plural(self.steps, 'step')} in {duration(self.seconds)}{best}"


class Tracking(EventBase):
    """Metrics are mirrored to a tracker."""

    kind: Literal["tracking"] = "tracking"
    tracker: str = "W&B"
    mode: Literal["online", "offline"]
    url: str = ""
    """The page of the run, if online."""
    upload: str = ""
    """The command that uploads or shows later what is kept offline."""

    def __str__(self) -> str:
        if self.mode == "online":
            return f"tracked at {self.url}"
        does = "upload it" if self.tracker == "W&B" else "look at it"
        return f"tracked offline by {self.tracker}; {does} with: {self.upload}"


class Verdict(EventBase):
    """The evaluation compared base and tuned model."""

    kind: Literal["verdict"] = "verdict"
    text: str
    verdict: str = ""
    """The kind of verdict."""

    def __str__(self) -> str:
        return self.text


class Exported(EventBase):
    """An export was written and verified, or its verification failed."""

    kind: Literal["exported"] = "exported"
    target: str = ""
    folder: str
    path: str = ""
    bytes: int
    status: str
    note: str = ""
    checks: dict[str, Any] = Field(default_factory=dict)
    serve: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"exported {self.folder}: {size(self.bytes)}, {self.status}"


class Ended(EventBase):
    """The last event of a process of the run."""

    kind: Literal["ended"] = "ended"
    state: State
    error: ErrorRecord | None = None

    def __str__(self) -> str:
        return f"the run is {self.state}" + (f": {self.error}" if self.error else "")


class Unreadable(EventBase):
    """A line that is damaged, or an event that this release does not know."""

    kind: Literal["unreadable"] = "unreadable"
    line: str
    """The beginning of the line."""

    def __str__(self) -> str:
        return f"an event that this release cannot read: {self.line}"


Event = Annotated[
    Created
    | Queued
    | Resumed
    | Stage
    | StageDone
    | DataReady
    | Decision
    | Warning
    | Note
    | Waiting
    | CheckpointLoaded
    | CheckpointSaved
    | BestLoss
    | EarlyStop
    | Trained
    | Tracking
    | Verdict
    | Exported
    | Ended
    | Unreadable,
    Field(discriminator="kind"),
]
_any_event = functools.cache(lambda: TypeAdapter[Event](Event))


def parse_line(line: bytes) -> Event:
    """The event of a line of `events.jsonl`. What cannot be read becomes an `Unreadable`; nothing is raised."""
    try:
        return parse(json.loads(line))
    except ValueError:  # not JSON, or not UTF-8
        return Unreadable(line=shorten(line.decode("utf-8", "replace"), 200))


def parse(values: object) -> Event:
    """The event that `as_line` gave. What cannot be read becomes an `Unreadable`; nothing is raised."""
    if is_object(values):
        values = {name: value for name, value in values.items() if name != "version"}
        if values.get("kind") == "warning" and "message" not in values and "text" in values:
            values["message"] = values.pop("text")  # as encoding wrote it before events were typed
        try:
            return _any_event().validate_python(values, extra="ignore")
        except ValidationError:
            pass
    time = values.get("time") if is_object(values) else None
    return Unreadable(time=time if isinstance(time, int | float) else None, line=shorten(str(values), 200))
