"""Reporter: what a stage reports to while it works. The run folder implements it; tests and notebooks may too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # an isolated exporter environment has no pydantic
    from studio.core.events import Event


class Reporter(Protocol):
    """The listener every long-running stage is given."""

    def event(self, event: Event) -> None:
        """Something happened that a person may want to read later, e.g. a `CheckpointSaved` or a `Warning`."""
        ...

    def metrics(self, step: int, **values: float) -> None:
        """One logged training step: loss, lr, grad_norm, tokens, tokens_per_second, memory, or eval_loss."""
        ...

    def progress(self, done: float, total: float, what: str = "") -> None:
        """How far the present stage is, in any unit."""
        ...

    def should_stop(self) -> bool:
        """True once someone asked the run to stop; the stage then saves and raises `Stopped`."""
        ...


class Silent:
    """A reporter that nobody listens to."""

    def event(self, event: Event) -> None:
        """Ignored."""

    def metrics(self, step: int, **values: float) -> None:
        """Ignored."""

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Ignored."""

    def should_stop(self) -> bool:
        """Never."""
        return False


class ProgressListener(Silent):
    """A reporter that passes progress on, if somebody wants it, and nothing else."""

    def __init__(self, on_progress: Callable[[float, float, str], None] | None) -> None:
        """on_progress: called with done, total and what is done."""
        self._on_progress = on_progress

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Passed on."""
        if self._on_progress:
            self._on_progress(done, total, what)
