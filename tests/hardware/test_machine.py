"""The machine is described without torch and without CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from studio.core.errors import SpecError
from studio.hardware import doctor, machine
from studio.hardware.machine import Gpu, probe, visible
from tests.gpu import nvml

GIB = 1 << 30


def gpu(index: int, uuid: str = "") -> Gpu:
    return Gpu("card", 24 * GIB, 23 * GIB, (8, 9), uuid=uuid or f"GPU-{index}", index=index)


def test_this_machine_has_cores_memory_and_disk() -> None:
    found = probe()
    assert found.cores >= 1
    assert 0 < found.ram_free <= found.ram
    assert found.disk_free > 0
    assert json.dumps(found.as_dict())


def test_a_named_card_stands_in_for_the_machines_own() -> None:
    found = probe("RTX 3060")
    assert (found.device, found.name, found.assumed) == ("cuda", "RTX 3060", True)
    assert 10 * GIB < found.memory_budget < 12 * GIB
    with pytest.raises(SpecError):
        probe("no such card")


def test_a_cpu_run_has_no_card_and_is_known_as_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = probe()
    assert (found.device, found.gpu, found.uuid) == ("cpu", None, "cpu")
    assert found.memory_budget < found.ram


@pytest.mark.parametrize(
    ("allowed", "kept"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("-1", []),
        ("2,0", [2, 0]),
        ("1,7,0", [1]),
        ("1,1", [1]),
        ("GPU-2", [2]),
        ("0,GPU-1", [0, 1]),
    ],
)
def test_visible_devices_are_those_cuda_would_use(allowed: str | None, kept: list[int]) -> None:
    assert [item.index for item in visible([gpu(0), gpu(1), gpu(2)], allowed)] == kept


def test_memory_another_run_holds_counts_as_room_because_a_run_waits_its_turn() -> None:
    free = Gpu("card", 24 * GIB, 23 * GIB, (8, 9))
    busy = Gpu("card", 24 * GIB, 3 * GIB, (8, 9), held=20 * GIB, returned=20 * GIB)
    rooms = [machine.Machine("cuda", (item,), "", 1, 1, 1, 1).memory_budget for item in (free, busy)]
    assert rooms[0] == pytest.approx(rooms[1])


def test_memory_that_another_program_holds_is_not_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = nvml.FakeGpu(total=24 * GIB, free=4 * GIB, processes={os.getpid(): 12 * GIB, 2**22 + 1: 8 * GIB})
    nvml.install(monkeypatch, [busy])
    found = machine.probe()
    assert found.gpu is not None
    assert (found.gpu.held, found.gpu.returned) == (20 * GIB, 0)
    assert found.memory_budget == pytest.approx(0.95 * 4 * GIB)


def test_a_worker_of_a_run_gives_its_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "studio.worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        nvml.install(monkeypatch, [nvml.FakeGpu(total=24 * GIB, free=4 * GIB, processes={worker.pid: 19 * GIB})])
        found = machine.probe()
        worker.communicate()
    assert found.gpu is not None
    assert found.gpu.returned == 19 * GIB
    assert found.memory_budget == pytest.approx(0.95 * min(23 * GIB, 0.96 * 24 * GIB))


def test_disk_is_measured_where_the_folder_will_be(tmp_path: Path) -> None:
    assert machine.disk(tmp_path / "not" / "there" / "yet") > 0


def test_the_doctor_gives_each_problem_a_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    findings = doctor.check(tmp_path)
    assert {"Python", "torch", "RAM", "CPU", "CPU threads", "Studio folder", "Disk", "Chromium"} <= {f.name for f in findings}
    assert all(item.found for item in findings)
    assert all(item.fix for item in findings if item.ok is False)
    assert next(item for item in findings if item.name == "CPU threads").ok is False


@pytest.mark.slow
def test_neither_probe_nor_doctor_nor_plan_loads_torch() -> None:
    code = (
        "import sys; from studio.hardware import doctor, machine; from studio import planner; doctor.check(); "
        "machine.probe('RTX 4090'); heavy = {'torch', 'transformers', 'peft', 'trl', 'bitsandbytes', 'datasets', 'wandb'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"


class FakeNvml(ModuleType):
    """NVIDIA's management library with one RTX 4090, and the queries it refuses."""

    class NVMLError(Exception):
        pass

    def __init__(self, refuses: tuple[str, ...] = (), driver: str = "580.95.05", mig: int = 0) -> None:
        super().__init__("pynvml")
        answers: dict[str, object] = {
            "nvmlInit": None,
            "nvmlShutdown": None,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": 0,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=24 * GIB, free=23 * GIB),
            "nvmlDeviceGetName": "NVIDIA GeForce RTX 4090",
            "nvmlDeviceGetCudaComputeCapability": (8, 9),
            "nvmlSystemGetDriverVersion": driver,
            "nvmlDeviceGetUUID": "GPU-0a0b",
            "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=1, usedGpuMemory=GIB)],
            "nvmlDeviceGetMigMode": (mig, mig),
        }
        for name, answer in answers.items():
            setattr(self, name, self._query(name, answer, name in refuses))

    def _query(self, name: str, answer: object, refused: bool) -> Callable[..., object]:
        def query(*_: object) -> object:
            if refused:
                raise self.NVMLError("Not Supported")
            return answer

        return query


def with_driver(monkeypatch: pytest.MonkeyPatch, driver: FakeNvml) -> machine.Machine:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setattr(machine, "torch_has_cuda", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return probe()


@pytest.mark.parametrize(
    "refused",
    ["nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetUUID", "nvmlSystemGetDriverVersion", "nvmlDeviceGetMigMode"],
)
def test_a_query_that_the_driver_refuses_does_not_hide_the_gpu(monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    found = with_driver(monkeypatch, FakeNvml((refused,)))
    assert (found.device, found.name) == ("cuda", "NVIDIA GeForce RTX 4090")
    assert found.gpu is not None
    assert found.gpu.total == 24 * GIB


def test_a_gpu_without_memory_of_its_own_uses_the_machines_ram_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = with_driver(monkeypatch, FakeNvml(("nvmlDeviceGetMemoryInfo",)))
    assert found.gpu is not None
    assert found.gpu.unified
    assert found.gpu.held == 0
    assert found.memory_budget <= found.ram


def test_a_gpu_that_cannot_be_read_is_not_called_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = with_driver(monkeypatch, FakeNvml(("nvmlDeviceGetCudaComputeCapability",)))
    assert found.device == "cpu"
    finding = next(item for item in doctor.check(tmp_path) if item.name == "GPU")
    assert "could not be read" in finding.found
    assert "CUDA_VISIBLE_DEVICES" not in finding.found + finding.fix


def test_an_old_driver_is_named_by_probe_and_doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = with_driver(monkeypatch, FakeNvml(driver="550.54"))
    assert found.gpu is not None
    assert not found.gpu.driver_is_current
    finding = next(item for item in doctor.check(tmp_path) if item.name == "GPU driver")
    assert (finding.ok, finding.found) == (False, "550.54")
    assert "580" in finding.fix


@pytest.mark.parametrize(("allowed", "count"), [("all", 1), ("gpu-0A0b", 1), ("MIG-1234", 1), ("GPU-ffff", 0)])
def test_masks_as_containers_and_mig_write_them(monkeypatch: pytest.MonkeyPatch, allowed: str, count: int) -> None:
    found = with_driver(monkeypatch, FakeNvml(mig=1))
    assert len(visible(list(found.gpus), allowed)) == count


@pytest.mark.parametrize(("line", "cuda"), [("cuda: Optional[str] = '13.0'", True), ("cuda = None", False)])
def test_a_cuda_build_of_torch_is_told_by_what_it_says_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, cuda: bool
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "version.py").write_text(f"__version__ = '2.13.0'\n{line}\n")
    torch = SimpleNamespace(locate_file=lambda name: tmp_path / name)
    monkeypatch.setattr(machine.importlib.metadata, "distribution", lambda name: torch)
    assert machine.torch_has_cuda() is cuda
