"""What an export would take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.export.pace import SPREAD


@dataclass(frozen=True)
class ExportEstimate:
    """What an export would take. Values are None where the model is not known, or was not looked into that far."""

    kind: str
    bytes: int | None
    """About the size of its files."""
    missing: str
    """What is not installed, with the command that installs it; empty if everything is there."""
    toolchain: str
    """The name `studio exporters install` takes, if that is what is missing."""
    note: str = ""
    """What to know beforehand, such as a format that takes more bits in this model."""
    refused: str = ""
    """Why it cannot be made of this model; empty if it can."""
    disk: int | None = None
    memory: int | None = None
    seconds: float | None = None
    """CPU seconds; `seconds_range` says how sure."""
    folder: Path | None = None

    @property
    def seconds_range(self) -> tuple[float, float] | None:
        """Between which CPU seconds it should stay on this processor, other programs on its cores included."""
        return (self.seconds / SPREAD, self.seconds * SPREAD) if self.seconds else None
