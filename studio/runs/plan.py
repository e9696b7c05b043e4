"""The plan as a run keeps it (`plan.json`), `studio plan --json` prints it and pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from studio.core.records import Record
from studio.hardware.history import UNCORRECTED, Correction, seen
from studio.hardware.peak import Item
from studio.hardware.speed import Rate


@dataclass(frozen=True)
class Decision:
    """A field that was left to the plan: what it became, why, and what deciding otherwise would cost."""

    field: str
    value: Any
    reason: str
    otherwise: str = ""


@dataclass(frozen=True)
class Alternative:
    """Settings near those asked for that would fit. changes are dotted paths; bytes the memory then needed."""

    change: str
    changes: dict[str, Any]
    bytes: int
    cost: str = ""


@dataclass(frozen=True)
class Counts:
    """What the run will work through."""

    rows: int
    held_out: int
    dropped: int
    """Training rows left out as over-long."""
    tokens: int
    """Tokens in one epoch, without padding."""
    trained_tokens: int
    steps: int
    tokens_per_step: float
    padding: float
    """Share of the computed tokens that is padding."""
    trained_parameters: int
    estimated: bool
    """True if tokens were estimated from characters, the tokenizer not being on this machine."""
    replayed: int = 0
    """Training rows that are general ones, mixed in."""


class Part(Record):
    """A named share of the disk or of the RAM."""

    name: str
    bytes: int


class MemoryEstimate(Record):
    """Memory by part, and the memory budget, in bytes."""

    total: int
    items: tuple[Item, ...]
    room: int = 0
    """Bytes the run may use."""


class DiskEstimate(Record):
    """Disk space by part, and what is free, in bytes."""

    total: int
    free: int
    items: tuple[Part, ...]


class RamEstimate(Record):
    """RAM by stage, the peak of all, and what is free, in bytes."""

    peak: int
    free: int
    stages: tuple[Part, ...]


class Time(Record):
    """Training time in seconds, from and to, and what the range is based on."""

    low: float
    high: float
    basis: str = ""


class TeacherEstimate(Record):
    """The stage of a distillation in which the teacher reads the rows, alone: memory and time, and what is kept on disk."""

    model: str
    quantization: str
    memory: MemoryEstimate
    time: Time | None = None
    """None if nothing is known of the GPU."""
    cache: int = 0
    """Bytes of its probabilities."""


class Measured(Record):
    """The memory that training was predicted to show and the peak it reached, in bytes."""

    predicted: int
    peak: int


class Change(Record):
    """A setting that was changed while the run went on, because memory ran out."""

    model_config = ConfigDict(serialize_by_alias=True)

    field: str
    before: Any = Field(None, alias="from")
    after: Any = Field(None, alias="to")
    reason: str = ""


class PlanRecord(Record):
    """What was decided and why, what the run needs, and whether it fits; after training also what it measured."""

    label: ClassVar[str] = "plan"
    remedy: ClassVar[str] = "Delete the file; the run keeps its settings in spec.yaml."

    spec: dict[str, Any]
    """The resolved spec as plain values: one of an older release can be shown, though not run."""
    machine: str
    device: str
    fits: bool
    decisions: tuple[Decision, ...]
    memory: MemoryEstimate
    counts: Counts
    disk: DiskEstimate | None = None
    ram: RamEstimate | None = None
    time: Time | None = None
    """None if nothing is known of the GPU."""
    rate: Rate | None = None
    parameters: int = 0
    """Of the base model."""
    expected: float = 0.0
    """Tokens/s that figures alone let expect at most."""
    corrected: Correction = UNCORRECTED
    teacher: TeacherEstimate | None = None
    """For a distillation: what the teacher takes, before the student."""
    summary: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    measured: Measured | None = None
    changes: tuple[Change, ...] = ()

    def with_change(self, field: str, value: object, reason: str) -> PlanRecord:
        """The plan with the field's decision replaced, and both values kept under `changes`."""
        old = next((item.value for item in self.decisions if item.field == field), None)
        others = tuple(item for item in self.decisions if item.field != field)
        change = Change.model_validate({"field": field, "from": old, "to": value, "reason": reason})
        return self.model_copy(
            update={"decisions": (*others, Decision(field, value, reason)), "changes": (*self.changes, change)}
        )

    def with_measured(self, peak: int) -> PlanRecord:
        """The plan with the peak of the memory that training reached, beside what it was predicted to show."""
        return self.model_copy(update={"measured": Measured(predicted=seen(self.memory.items), peak=peak)})
