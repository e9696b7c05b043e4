"""The doctor asks torch itself whether it computes on the GPU, in a process of its own."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest

from studio.hardware import doctor, gpu_check
from tests.gpu import nvml


def answering(monkeypatch: pytest.MonkeyPatch, stdout: str, stderr: str = "", code: int = 0) -> None:
    monkeypatch.setattr(
        gpu_check.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=stdout, stderr=stderr, returncode=code)
    )


def line(name: str, error: str = "") -> str:
    return f'{{"name": "{name}", "error": "{error}"}}\n'


def test_a_library_that_ends_the_process_is_the_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = line("torch finds the GPU") + "a line of a library\n" + line("matrix product")
    answering(monkeypatch, said, "Error no kernel image at line 90 in file /src/csrc/ops.cu\n", 1)
    assert gpu_check.check()[-1] == gpu_check.Trial(
        "4-bit weights", "Error no kernel image at line 90 in file /src/csrc/ops.cu"
    )


def test_a_process_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("python", 1)

    monkeypatch.setattr(gpu_check.subprocess, "run", hang)
    assert gpu_check.check() == [gpu_check.Trial("torch finds the GPU", "not answered: TimeoutExpired")]


def test_the_doctor_says_what_torch_cannot_do_on_the_gpu_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.install(monkeypatch, [nvml.FakeGpu()])
    every = "".join(map(line, list(gpu_check.FIXES)[:3])) + line("Triton compiler", "no C compiler")
    answering(monkeypatch, every)
    found = {item.name: item for item in doctor.check(ask_torch=True)}
    assert found["matrix product"].ok
    assert found["Triton compiler"].ok is None, "runs do without it"
    assert "gcc" in found["Triton compiler"].fix
    answering(monkeypatch, line("torch finds the GPU", "the driver is too old"))
    problem = next(item for item in doctor.check(ask_torch=True) if item.name == "torch finds the GPU")
    assert (problem.ok, problem.found) == (False, "the driver is too old")


def test_without_a_gpu_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.install(monkeypatch, [])
    monkeypatch.setattr(gpu_check, "check", lambda: pytest.fail("torch was asked"))
    assert doctor.check(ask_torch=True)


@pytest.mark.numeric
def test_all_trials_pass_on_the_pretend_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.gpu.pretend import pretend_gpu

    monkeypatch.setattr(gpu_check, "_triton", lambda: None)
    with pretend_gpu():
        assert [trial.error for trial in gpu_check.trials()] == [""] * 4
    assert capsys.readouterr().out.count("\n") == 4
