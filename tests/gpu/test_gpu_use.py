"""Whatever loads a model takes the GPU as a run does: it waits for its turn, or is refused with who has it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from studio.app import adapter_exports, chat, gpu_use
from studio.core.errors import JobError, Stopped
from studio.core.events import Event, Waiting
from studio.runs import slot
from studio.tracking.reporter import Silent
from tests.gpu import nvml


class Told(Silent):
    """Keeps what it is told; asked to stop once it waits."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.shown: list[str] = []

    def progress(self, done: float, total: float, what: str = "") -> None:
        self.shown.append(what)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def should_stop(self) -> bool:
        return bool(self.events)


@pytest.fixture(autouse=True)
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvml.install(monkeypatch, [nvml.FakeGpu()])
    monkeypatch.setenv(slot.VARIABLE, str(tmp_path / "locks"))


def test_an_export_waits_for_the_run_that_has_the_gpu_and_says_so() -> None:
    told = Told()
    used = slot.slot("GPU-0", "support-1234", lambda: True, lambda _: None)
    with used, pytest.raises(Stopped), gpu_use.in_turn("an export", told):
        pytest.fail("it did not wait")
    assert [event.message for event in told.events if isinstance(event, Waiting)] == [
        "waiting for NVIDIA GeForce RTX 4090, which support-1234 uses"
    ]
    assert told.shown == ["waiting for NVIDIA GeForce RTX 4090, which support-1234 uses"]
    with gpu_use.in_turn("an export", told):
        assert len(told.events) == 1


@pytest.mark.torch
def test_an_export_of_an_adapter_folder_waits_for_it_too(tmp_path: Path) -> None:
    class Shown(Exception):
        pass

    def show(done: float, total: float, what: str) -> None:
        raise Shown(what)

    used = slot.slot("GPU-0", "support-1234", lambda: True, lambda _: None)
    with used, pytest.raises(Shown, match="which support-1234 uses"):
        adapter_exports.export(str(tmp_path / "adapter"), "merged", {}, tmp_path / "out", on_progress=show)


def test_a_chat_is_refused_while_a_run_has_the_gpu() -> None:
    with slot.slot("GPU-0", "support-1234", lambda: True, lambda _: None), pytest.raises(JobError) as refused:
        chat.Talker(model="starter")
    assert refused.value.message == "the GPU is used by support-1234"
    assert refused.value.hint == "Chat when it has ended."


def test_work_of_the_same_python_process_takes_the_gpu_from_its_own_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()

    class Loaded:
        def close(self) -> None:
            closed.set()

    monkeypatch.setitem(chat._talkers, Path("run"), Loaded())
    chat.leave_gpu()
    assert closed.is_set()
    assert not chat._talkers


def test_a_cpu_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.install(monkeypatch, [])
    used = slot.slot("cpu", "support-1234", lambda: True, lambda _: None)
    with used, gpu_use.in_turn("an export", Silent()), gpu_use.or_refuse("a chat", "Wait."):
        pass
