"""The machine is described without torch and without CUDA."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from studio.core.errors import HardwareError
from studio.hardware import doctor, machine
from studio.hardware.machine import Gpu, probe, visible

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
    assert 10 * GIB < found.room < 12 * GIB
    with pytest.raises(HardwareError):
        probe("no such card")


def test_a_cpu_run_has_no_card_and_is_known_as_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = probe()
    assert (found.device, found.gpu, found.uuid) == ("cpu", None, "cpu")
    assert found.room < found.ram


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
    busy = Gpu("card", 24 * GIB, 3 * GIB, (8, 9), held=20 * GIB)
    rooms = [machine.Machine("cuda", (item,), "", 1, 1, 1, 1).room for item in (free, busy)]
    assert rooms[0] == pytest.approx(rooms[1])


def test_disk_is_measured_where_the_folder_will_be(tmp_path: Path) -> None:
    assert machine.disk(tmp_path / "not" / "there" / "yet") > 0


def test_the_doctor_gives_each_problem_a_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    findings = doctor.check(tmp_path)
    assert {"Python", "torch", "RAM", "CPU", "CPU threads", "Studio folder", "Disk", "Chromium"} <= {f.name for f in findings}
    assert all(item.found for item in findings)
    assert all(item.fix for item in findings if item.ok is False)
    assert next(item for item in findings if item.name == "CPU threads").ok is False


def test_neither_probe_nor_doctor_nor_plan_loads_torch() -> None:
    code = (
        "import sys; from studio.hardware import doctor, machine; from studio import planner; doctor.check(); "
        "machine.probe('RTX 4090'); heavy = {'torch', 'transformers', 'peft', 'trl', 'bitsandbytes', 'datasets', 'wandb'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "[]"
