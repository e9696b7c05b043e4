"""What a plan looks at, and one way to do the run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from studio.hardware import history
from studio.hardware.dims import ModelDims
from studio.hardware.history import Correction, RunMeasurement
from studio.hardware.machine import Machine
from studio.hardware.memory_config import MemoryConfig
from studio.hardware.peak import Memory, estimate
from studio.models.architectures import architecture_of
from studio.models.architectures.base import Architecture
from studio.planner.rows import Rows, padding_share

UNKNOWN_CARD = (50e12, 400e9)  # FLOP/s and bytes/s by which settings are ranked on a card whose rates are not known


@dataclass(frozen=True)
class Case:
    """What decisions look at: the model, the data, the machine."""

    machine: Machine
    dims: ModelDims
    config: dict[str, Any]
    rows: Rows
    name: str
    license: str | None = None
    cached: bool = False  # the weights are on this machine
    earlier_runs: tuple[RunMeasurement, ...] = ()
    """Earlier runs that were measured, newest first."""

    @cached_property
    def overheads(self) -> Correction:
        """What earlier runs on this machine say about its overheads; nothing on a card that is not in it."""
        return history.overheads(() if self.machine.assumed else self.earlier_runs, self.machine.name, self.machine.device)

    def memory(self, config: MemoryConfig) -> Memory:
        """The peak of a run of these settings."""
        return estimate(self.dims, config, self.machine.device, self.overheads.factor)

    @property
    def cuda(self) -> bool:
        """True if the run is on a card."""
        return self.machine.device == "cuda"

    @property
    def text(self) -> dict[str, Any]:
        """The language model's own config."""
        return self.config.get("text_config") or self.config

    @property
    def positions(self) -> int:
        """The model's context length."""
        return self.dims.max_positions

    @property
    def architecture(self) -> Architecture:
        """What is known of this kind of model."""
        return architecture_of(self.config, self.name)

    @cached_property
    def spread(self) -> float:
        """Share of computed tokens that would be padding in micro-batches of eight rows."""
        return padding_share(self.rows.lengths, 16, 8)


@dataclass(frozen=True)
class Fit:
    """One way to do the run, and what it needs. seconds is the time a token takes at the card's roofline."""

    quantization: str
    recompute_every: int
    """Every how many layers is computed again; 0: none."""
    micro_batch: int
    max_length: int
    packing: bool
    peak: MemoryConfig
    """What it takes at most."""
    typical: MemoryConfig
    """What it takes on average: the tokens a micro-batch really has."""
    memory: Memory
    seconds: float

    @property
    def checkpointing(self) -> bool:
        """Whether any layer is computed again."""
        return self.recompute_every > 0
