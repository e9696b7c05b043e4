"""Who has the GPU: every part of the studio that loads a model takes it as a run does. A CPU may be shared."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from studio.core import events
from studio.core.errors import JobError
from studio.hardware import machine
from studio.tracking.reporter import Reporter


@contextlib.contextmanager
def in_turn(holder: str, reporter: Reporter) -> Generator[None]:
    """The GPU for work that ends by itself: it waits until no run, server or chat has it, and says so. Raises Stopped."""
    from studio.runs.slot import slot

    device = machine.probe()
    if device.gpu is None:
        yield
        return

    def waiting(other: str) -> None:
        message = f"waiting for {device.gpu and device.gpu.name}, which {other or 'a run'} uses"
        reporter.event(events.Waiting(message=message))
        reporter.progress(0, 1, message)

    with slot(device.uuid, holder, reporter.should_stop, waiting):
        yield


@contextlib.contextmanager
def or_refuse(holder: str, hint: str) -> Generator[None]:
    """The GPU for what stays until a person ends it, such as a server or a chat. Raises JobError where it is in use."""
    from studio.runs.slot import slot

    device = machine.probe()
    if device.gpu is None:
        yield
        return

    def refuse(other: str) -> None:
        raise JobError(f"the GPU is used by {other or 'a run'}", hint=hint, where=device.uuid)

    with slot(device.uuid, holder, lambda: True, refuse):
        yield
