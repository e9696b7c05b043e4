"""A driver's library (`pynvml`) with any GPUs, processes and refusals."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

GIB = 1 << 30


class NVMLError(Exception):
    """What the driver answers where it refuses."""


@dataclass(frozen=True)
class FakeGpu:
    """A GPU as the driver describes it. Memory in bytes."""

    name: str = "NVIDIA GeForce RTX 4090"
    total: int = 24 * GIB
    free: int = 23 * GIB
    capability: tuple[int, int] = (8, 9)
    uuid: str = ""
    mig: bool = False
    processes: Mapping[int, int] = field(default_factory=dict)
    """Bytes that each process holds, by its id."""


def install(
    monkeypatch: pytest.MonkeyPatch, gpus: Sequence[FakeGpu], driver: str = "580.95.05", refuses: Sequence[str] = ()
) -> None:
    """The driver lists `gpus`, the torch that is installed counts as one for CUDA. refuses: functions that raise NVMLError."""

    def answers(name: str, function: Any) -> None:
        def refuse(*_: Any) -> Any:
            raise NVMLError("Not Supported")

        setattr(library, name, refuse if name in refuses else function)

    library = ModuleType("pynvml")
    library.NVMLError = NVMLError  # type: ignore[attr-defined]
    answers("nvmlInit", lambda: None)
    answers("nvmlShutdown", lambda: None)
    answers("nvmlDeviceGetCount", lambda: len(gpus))
    answers("nvmlDeviceGetHandleByIndex", lambda index: index)
    answers("nvmlDeviceGetName", lambda index: gpus[index].name)
    answers("nvmlSystemGetDriverVersion", lambda: driver)
    answers("nvmlDeviceGetUUID", lambda index: gpus[index].uuid or f"GPU-{index}")
    answers("nvmlDeviceGetMemoryInfo", lambda index: SimpleNamespace(total=gpus[index].total, free=gpus[index].free))
    answers("nvmlDeviceGetCudaComputeCapability", lambda index: gpus[index].capability)
    answers("nvmlDeviceGetMigMode", lambda index: (int(gpus[index].mig), int(gpus[index].mig)))
    answers(
        "nvmlDeviceGetComputeRunningProcesses",
        lambda index: [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in gpus[index].processes.items()],
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr("studio.hardware.machine.torch_has_cuda", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
