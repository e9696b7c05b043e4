"""The parts without a GPU: a driver and a torch that describe one, sizes that a CPU computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def pretended() -> Iterator[None]:
    """Inside, this machine has a 24 GiB GPU, and the CPU computes for it."""
    from tests.gpu import nvml
    from tests.gpu.pretend import pretend_gpu

    patch = pytest.MonkeyPatch()
    nvml.install(patch, [nvml.FakeGpu(name="a pretend GPU")])
    try:
        with pretend_gpu():
            yield
    finally:
        patch.undo()
