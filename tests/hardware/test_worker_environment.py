"""A worker's environment before torch is imported: the planned GPU alone, and an allocator that this platform bears."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from studio import worker
from studio.hardware import allocator, doctor, machine
from studio.runs import folder as folders
from studio.runs import status
from studio.spec import parse

GIB = 1 << 30
NAMES = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF")


class NVMLError(Exception):
    """What the driver's library raises."""


def driver(*capabilities: tuple[int, int]) -> ModuleType:
    """A driver's library that lists GPUs of these compute capabilities."""
    library = ModuleType("pynvml")
    answers = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(capabilities),
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetCudaComputeCapability": lambda handle: capabilities[handle],
        "nvmlDeviceGetName": lambda handle: f"GPU {handle}",
        "nvmlSystemGetDriverVersion": lambda: "580.95.05",
        "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}",
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: [],
        "nvmlDeviceGetMigMode": lambda handle: (0, 0),
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=24 * GIB, free=23 * GIB),
    }
    for name, answer in answers.items():
        setattr(library, name, answer)
    return library


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose torch is a CUDA build and whose environment says nothing; all of it is put back."""
    monkeypatch.setattr(os, "environ", {name: value for name, value in os.environ.items() if name not in NAMES})
    monkeypatch.setattr(machine, "torch_has_cuda", lambda: True)
    monkeypatch.setattr(machine, "is_wsl", lambda: False)
    monkeypatch.setitem(sys.modules, "pynvml", driver((8, 9)))


def test_a_worker_sees_the_planned_gpu_alone_by_its_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver((6, 1), (8, 9), (8, 6)))
    planned = machine.probe()
    worker.set_environment()
    assert planned.uuid == "GPU-1"
    assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"]) == ("GPU-1", "PCI_BUS_ID")
    assert machine.probe().uuid == "GPU-1"


def test_a_mask_of_the_users_decides_which_gpu_is_planned_and_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver((8, 9), (8, 6)))
    os.environ["CUDA_VISIBLE_DEVICES"] = "1,0"
    worker.set_environment()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-1"


def test_a_worker_on_the_cpu_keeps_the_environment_as_it_is() -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    worker.set_environment()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_DEVICE_ORDER" not in os.environ


def test_remarks_of_libraries_to_their_developers_are_no_lines_in_a_notebook() -> None:
    loggers = [logging.getLogger(name) for name in ("torch.utils._pytree", "torchao")]
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
    worker.set_environment()
    assert [logger.isEnabledFor(logging.WARNING) for logger in loggers] == [False, False]
    assert [logger.isEnabledFor(logging.ERROR) for logger in loggers] == [True, True]


def test_segments_of_the_allocator_expand_but_on_wsl_and_where_the_user_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    worker.set_environment()
    assert os.environ.pop("PYTORCH_CUDA_ALLOC_CONF") == "expandable_segments:True"
    os.environ["PYTORCH_ALLOC_CONF"] = "max_split_size_mb:128"
    worker.set_environment()
    assert "PYTORCH_CUDA_ALLOC_CONF" not in os.environ
    del os.environ["PYTORCH_ALLOC_CONF"]
    monkeypatch.setattr(machine, "is_wsl", lambda: True)
    worker.set_environment()
    assert "PYTORCH_CUDA_ALLOC_CONF" not in os.environ


def test_wsl_is_told_by_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for release, wsl in (("5.15.167.4-microsoft-standard-WSL2", True), ("6.8.0-45-generic", False)):
        monkeypatch.setattr(machine, "_read", lambda path, release=release: release)
        assert machine.is_wsl() is wsl


def torch_that(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    """A torch whose first allocation on the GPU raises `error`."""

    def zeros(*_: object, **__: object) -> None:
        if error:
            raise error

    library = ModuleType("torch")
    library.__dict__.update(zeros=zeros, OutOfMemoryError=type("OutOfMemoryError", (RuntimeError,), {}))
    monkeypatch.setitem(sys.modules, "torch", library)


def test_a_first_allocation_that_fails_with_expanding_segments_is_told_from_other_failures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch_that(monkeypatch, RuntimeError("CUDA driver error: unknown error\nmore"))
    allocator.try_first_allocation()  # not without such segments: whoever loads the model says what is wrong
    allocator.configure()
    with pytest.raises(allocator.ExpandingRefused, match=r"^CUDA driver error: unknown error$"):
        allocator.try_first_allocation()
    torch_that(monkeypatch, None)
    allocator.try_first_allocation()


WORKER = """
import os, sys, types
pipeline = sys.modules["studio.pipeline"] = types.ModuleType("studio.pipeline")
from pathlib import Path
from studio import worker
from studio.core import events
from studio.hardware import allocator
from studio.runs.folder import RunFolder

def run(folder, recorder):
    recorder.event(events.Note(message="allocator: " + os.environ[allocator.VARIABLE]))
    if os.environ[allocator.VARIABLE] == allocator.EXPANDING:
        raise allocator.ExpandingRefused("device not ready")

pipeline.run = run
sys.exit(worker.main(RunFolder(Path(sys.argv[1]))))
"""


@pytest.mark.slow
def test_a_run_whose_gpu_refuses_expanding_segments_starts_again_without_them_and_says_so(tmp_path: Path) -> None:
    folder = folders.create(parse({"name": "bot", "data": {"train": "x.csv"}}), tmp_path)
    script = tmp_path / "script.py"
    script.write_text(WORKER)
    subprocess.run(
        [sys.executable, "-P", str(script), str(folder.path)],
        check=True,
        timeout=60,
        env={**os.environ, allocator.VARIABLE: allocator.EXPANDING},
    )
    said = [getattr(event, "message", "") for event in folder.read_events()]
    assert [line for line in said if line.startswith("allocator: ")] == [
        "allocator: expandable_segments:True",
        "allocator: expandable_segments:False",
    ]
    assert any("the GPU refused memory in segments that grow (device not ready)" in line for line in said)
    assert status.read(folder).state == "done"


def test_the_doctor_says_how_the_gpus_memory_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown() -> str:
        return next(item.found for item in doctor.check() if item.name == "GPU allocator")

    assert shown() == "expandable segments"
    monkeypatch.setattr(machine, "is_wsl", lambda: True)
    assert "WSL2" in shown()
    os.environ["PYTORCH_ALLOC_CONF"] = "max_split_size_mb:128"
    assert shown() == "PYTORCH_ALLOC_CONF=max_split_size_mb:128"
