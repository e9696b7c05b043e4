"""The first run on a GPU: its runner, and each of its parts on the pretend one."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.first_card import __main__ as runner
from studio.runs import slot
from tests.gpu import nvml


@pytest.fixture(scope="module")
def gpu() -> Iterator[None]:
    from bench.first_card.pretended import pretended

    with pretended():
        yield


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("part", sorted(set(runner.PARTS) - {"product", "facts"}))
def test_a_part_passes_on_the_pretend_gpu(gpu: None, tmp_path: Path, part: str) -> None:
    assert _failures(part, tmp_path) == []


@pytest.mark.slow
@pytest.mark.torch
def test_the_command_passes_and_keeps_what_it_pretended_out_of_the_results(tmp_path: Path) -> None:
    before = set(runner.RESULTS.iterdir())
    command = ["bash", str(runner.ROOT / "bench" / "first_card.sh"), str(tmp_path), "--pretend", "--parts", "facts"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHON": sys.executable})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("pass  facts")
    report = json.loads((tmp_path / "card-pretend.json").read_text("utf-8"))
    assert report["pretended"]
    assert report["parts"]["facts"]["passed"]
    assert report["machine"]["gpu"] == "a pretend GPU"
    assert set(runner.RESULTS.iterdir()) == before


@pytest.mark.slow
@pytest.mark.torch
def test_whole_runs_pass_on_the_pretend_gpu(gpu: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.first_card.product.FORMATS", ())  # resuming is tested in test_training.py
    assert _failures("product", tmp_path) == []


def _failures(part: str, folder: Path) -> list[dict[str, Any]]:
    from bench.first_card.bench import Bench

    file = folder / "card.jsonl"
    importlib.import_module(f"bench.first_card.{part}").measure(Bench(part, file, folder, pretend=True))
    found = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert any(line["passed"] for line in found)
    return [line for line in found if line["passed"] is False]


LINE = json.dumps({"part": "facts", "check": "machine", "passed": None, "reason": "", "values": {"gpu": "NVIDIA L4"}})
CHECK = json.dumps({"part": "facts", "check": "one", "passed": True, "reason": "", "values": {}})
WRONG = json.dumps({"part": "facts", "check": "two", "passed": False, "reason": "it differs", "values": {}})
BODIES = {
    "facts": f"write({LINE!r}, {CHECK!r})",
    "kernels": f"write({CHECK!r}); raise ValueError('broken')",
    "memory": f"write({WRONG!r})",
    "speed": "import time; time.sleep(600)",
}


def test_a_part_that_fails_hangs_or_breaks_does_not_stop_the_next_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "card.jsonl"
    writing = f"def write(*lines): open({str(lines)!r}, 'a').writelines(line + '\\n' for line in lines)\n"
    monkeypatch.setattr(runner, "command", lambda name, out, pretend: [sys.executable, "-c", writing + BODIES[name]])
    monkeypatch.setattr(runner, "PARTS", {**dict.fromkeys(BODIES, 60), "speed": 6})
    nvml.install(monkeypatch, [nvml.FakeGpu()])
    monkeypatch.setenv(slot.VARIABLE, str(tmp_path / "locks"))
    monkeypatch.setattr(
        sys, "argv", ["first_card.sh", str(tmp_path), "--results", str(tmp_path / "results"), "--parts", ",".join(BODIES)]
    )
    assert runner.main() == 1
    report = json.loads((tmp_path / "results" / "card-nvidia-l4.json").read_text("utf-8"))
    reasons = {name: (part["passed"], part["reason"]) for name, part in report["parts"].items()}
    assert reasons == {
        "facts": (True, "2 checks"),
        "kernels": (False, "ended with exit code 1: ValueError: broken"),
        "memory": (False, "two: it differs"),
        "speed": (False, "not done after 6 seconds"),
    }
    assert report["machine"] == {"gpu": "NVIDIA L4"}
    assert [line["check"] for line in report["checks"]] == ["one", "one", "two"]
    assert "FAIL  memory" in capsys.readouterr().out


def test_without_a_gpu_nothing_is_measured_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(sys, "argv", ["first_card.sh", str(tmp_path / "out")])
    assert runner.main() == 2
    said = capsys.readouterr().err
    assert "no GPU that this studio can use: none found" in said
    assert "nvidia-smi must work" in said
    assert "--pretend" in said
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_a_run_uses_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nvml.install(monkeypatch, [nvml.FakeGpu()])
    monkeypatch.setenv(slot.VARIABLE, str(tmp_path / "locks"))
    monkeypatch.setattr(sys, "argv", ["first_card.sh", str(tmp_path / "out")])
    with slot.slot("GPU-0", "support-1234", lambda: True, lambda _: None):
        assert runner.main() == 2
    assert "the GPU is used by support-1234\n→ Wait for it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_interrupted_part_is_ended_and_what_was_measured_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(child: subprocess.Popen[bytes], limit: float | None = None) -> int:
        if limit is None:
            return own(child)
        started.append(child)
        raise KeyboardInterrupt

    own, started = subprocess.Popen[bytes].wait, list[subprocess.Popen[bytes]]()
    monkeypatch.setattr(subprocess.Popen, "wait", interrupt)
    monkeypatch.setattr(runner, "command", lambda name, out, pretend: [sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(sys, "argv", ["first_card.sh", str(tmp_path), "--pretend"])
    assert runner.main() == 130
    assert started[0].returncode == -signal.SIGKILL
    assert "interrupted after 0 of 8 parts" in capsys.readouterr().err
    assert json.loads((tmp_path / "card-pretend.json").read_text("utf-8"))["parts"] == {}
