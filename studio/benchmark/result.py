"""What a measurement found, as plain frozen values that are written to `<home>/bench/<id>.json`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from studio.core.records import ErrorRecord, Record
from studio.evaluation.interval import Estimate
from studio.processes.identity import ProcessId, process_of

Kind = Literal["run", "model", "export", "api"]
State = Literal["running", "done", "interrupted"]


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds of a level: the middle one, the least and the greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Level:
    """What so many streams at once gave. Times in seconds, from sending a request until its first, its last token."""

    concurrency: int
    requests: int
    """Answers that came whole; the percentiles are over these."""
    failed: int
    seconds: float
    prompt_tokens: int
    tokens: int
    tokens_per_second: Spread
    """All streams together, by round."""
    requests_per_second: Spread
    stream_tokens_per_second: float | None
    """Of one stream after its first token, median."""
    first_p50: float
    first_p95: float
    latency_p50: float
    latency_p95: float
    watts: float | None = None
    """Mean draw of the graphics cards, by NVML; None where it is not measured."""
    joules_per_token: float | None = None
    cost: float | None = None
    """Per million tokens written at this level, with the prompts they took."""
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Item:
    """One thing that was measured. memory, gpu_memory: bytes at the peak of the server's process and its children."""

    name: str
    kind: Kind
    engine: str
    model: str = ""
    """The name that requests used."""
    levels: list[Level] = field(default_factory=list)
    quality: dict[str, Estimate] = field(default_factory=dict)
    """Text metrics of the answers given here, over the same rows for every item."""
    evidence: dict[str, Estimate] = field(default_factory=dict)
    """The run's own evidence, or that of the export's manifest."""
    memory: int | None = None
    gpu_memory: int | None = None
    start_seconds: float | None = None
    answer_tokens: float | None = None
    """Mean length of an answer."""
    counted: Literal["usage", "chunks"] = "usage"
    """How tokens were counted: as the server told them, or one for each piece of text."""
    cost_how: str = ""
    notes: list[str] = field(default_factory=list)
    error: ErrorRecord | None = None

    @property
    def single(self) -> Level | None:
        """The level with the fewest streams."""
        return min(self.levels, key=lambda level: level.concurrency, default=None)

    @property
    def busiest(self) -> Level | None:
        """The level with the highest throughput."""
        return max(self.levels, key=lambda level: level.tokens_per_second.median, default=None)


class Conditions(Record):
    """What is the same for every item of a benchmark."""

    source: str
    """Where the questions come from, in words."""
    rows: int
    left_out: str = ""
    """Which rows were not asked, and why; empty if all were."""
    repeats: int
    max_tokens: int
    temperature: float = 0.0
    levels: tuple[int, ...] = ()
    """Streams at once; none: raised until throughput no longer rises."""
    warm_up: int
    """Answers before the measurement."""
    metric: str
    """The figure of quality that is shown first."""


class MeasuredOn(Record):
    """The machine that measured. ram: bytes; load: the load averages when it began."""

    name: str
    cpu: str = ""
    cores: int
    ram: int = 0
    versions: dict[str, str] = Field(default_factory=dict)
    load: tuple[float, ...] = ()


class Progress(Record):
    """How far a benchmark is: which item of how many, and what is done with it."""

    item: int
    of: int
    name: str
    what: str = "starting"
    streams: int | None = None
    """Streams at once of the level that is measured."""
    done: int = 0
    total: int = 0

    @property
    def words(self) -> str:
        """What is done, in words."""
        return self.what if not self.streams else f"{self.streams} streams" if self.streams > 1 else "1 stream"


class Result(Record):
    """One benchmark of one or more items, under the same settings on the same machine; `<home>/bench/<id>.json`."""

    label: ClassVar[str] = "benchmark result"
    remedy: ClassVar[str] = "Delete the file and measure again: studio bench."
    schema_version: ClassVar[int] = 2

    id: str
    begun: float
    state: State
    settings: Conditions
    machine: MeasuredOn
    items: list[Item] = Field(default_factory=list)
    progress: Progress | None = None
    process: Annotated[ProcessId | None, BeforeValidator(process_of)] = None
    """The process that measures."""

    @classmethod
    def upgrade(cls, values: dict[str, Any], version: int) -> dict[str, Any]:
        """In layout 1 a benchmark that was not at work had an empty progress."""
        return {**values, "progress": values.get("progress") or None}
