"""The device of a run: held alone, and tried before anything is loaded."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from studio.core import events
from studio.hardware import allocator
from studio.hardware.machine import Machine
from studio.models import libraries
from studio.runs.folder import RunFolder
from studio.runs.recorder import Recorder
from studio.runs.slot import slot


@contextmanager
def alone_on_device(folder: RunFolder, recorder: Recorder, machine: Machine) -> Generator[None]:
    """Hold the GPU or the CPU for this run, waiting for its turn.

    Raises Stopped if asked to stop while waiting, ExpandingRefused if the GPU's first allocation fails for its settings.
    """

    def waiting(holder: str) -> None:
        recorder.event(events.Waiting(message=f"waiting for {machine.device}, which {holder or 'another run'} uses"))

    with slot(machine.uuid, folder.id, recorder.should_stop, waiting):
        if machine.device == "cuda":
            libraries.import_heavy()
            allocator.try_first_allocation()
        yield
