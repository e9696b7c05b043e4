"""Runs belong to their folder: their state is read from it, whoever asks and whatever died."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studio.core.errors import JobError, Stopped
from studio.runs import folder as folders
from studio.runs import lifecycle, queue, status, supervisor
from studio.runs.folder import RunFolder
from studio.runs.recorder import Recorder
from studio.runs.slot import slot
from studio.spec import parse

SPEC = parse({"name": "My Bot!", "data": {"train": "x.csv"}})


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return folders.create(SPEC, tmp_path)


def test_a_new_run_always_gets_a_new_folder(tmp_path: Path) -> None:
    first, second = folders.create(SPEC, tmp_path), folders.create(SPEC, tmp_path)
    assert first.path != second.path
    assert first.id.startswith("my-bot-")
    assert first.asked_spec() == SPEC


def test_a_run_is_found_by_id_beginning_path_and_last(tmp_path: Path) -> None:
    first = folders.create(SPEC, tmp_path)
    time.sleep(0.01)
    second = folders.create(SPEC, tmp_path)
    assert folders.find(first.id, tmp_path) == first
    assert folders.find(first.id[:-2], tmp_path) in (first, second)
    assert folders.find("last", tmp_path) == second
    assert folders.find(first.path, tmp_path / "elsewhere") == first
    with pytest.raises(JobError) as found:
        folders.find(first.id[:-1] + "~", tmp_path)
    assert "Did you mean" in found.value.hint
    with pytest.raises(JobError):
        folders.find("", tmp_path)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(JobError, match="an adapter folder, not a run") as caught:
        folders.find(adapter, tmp_path)
    assert "--base" in caught.value.hint


def test_what_a_recorder_writes_is_what_status_reads(folder: RunFolder) -> None:
    recorder = Recorder(folder)
    with recorder.stage("training"):
        recorder.progress(3, 10, "step")
        recorder.progress(10, 10, "step")
        recorder.metrics(1, loss=2.5)
        now = status.read(folder)
        assert (now.state, now.done, now.total) == ("training", 10, 10)
    recorder.end("done")
    assert status.read(folder).state == "done"
    assert next(iter(folder.read_metrics()))["loss"] == 2.5
    assert [event.kind for event in folder.read_events()] == ["created", "stage", "stage-done", "ended"]


def test_what_is_counted_next_is_shown_at_once_and_its_steps_five_times_a_second(folder: RunFolder) -> None:
    recorder = Recorder(folder)
    with recorder.stage("preparing"):
        recorder.progress(602, 602, "encode")
        for done in (0, 1, 2):
            recorder.progress(done, 4_000_000_000, "download")
            now = status.read(folder)
            assert (now.what, now.done, now.total) == ("download", 0, 4_000_000_000)


def test_a_step_repeated_after_a_resume_counts_once(folder: RunFolder) -> None:
    for step, loss in ((1, 3.0), (2, 2.0), (3, 9.0), (3, 1.0)):
        Recorder(folder).metrics(step, loss=loss)
    assert [(line["step"], line["loss"]) for line in folder.read_metrics()] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_half_written_last_line_is_left_out(folder: RunFolder) -> None:
    Recorder(folder).metrics(1, loss=1.0)
    with open(folder.metrics, "a") as out:
        out.write('{"step": 2, "lo')
    assert [line["step"] for line in folder.read_metrics()] == [1]


def test_reading_a_status_changes_nothing(folder: RunFolder) -> None:
    Recorder(folder)
    before = {file: file.stat().st_mtime_ns for file in folder.path.rglob("*")}
    status.read(folder)
    assert before == {file: file.stat().st_mtime_ns for file in folder.path.rglob("*")}


def test_a_pid_that_is_somebody_elses_by_now_does_not_count_as_alive(folder: RunFolder) -> None:
    Recorder(folder)
    values = json.loads(folder.status.read_text())
    values["process"]["start_ticks"] -= 100
    folder.status.write_text(json.dumps(values))
    now = status.read(folder)
    assert now.state == "interrupted"
    assert now.error is not None
    assert "resume" in now.error.hint


@pytest.mark.slow
def test_a_killed_run_is_interrupted_and_its_cause_is_named(tmp_path: Path) -> None:
    folder = folders.create(parse({"data": {"train": str(tmp_path / "endless.csv")}}), tmp_path)
    os.mkfifo(tmp_path / "endless.csv")  # a file that never ends: the worker waits in `preparing`
    lifecycle.launch(folder)
    worker = _wait_for_process(folder)
    with pytest.raises(JobError, match="already"):
        lifecycle.launch(folder)
    os.kill(worker, signal.SIGKILL)
    now = lifecycle.wait_for_end(folder, 20)
    assert now.state == "interrupted"
    _until(folder.exit.exists)
    assert "SIGKILL" in status.read(folder).error.message  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_run_whose_maker_was_killed_before_it_was_queued_is_interrupted_not_queued_for_ever(tmp_path: Path) -> None:
    waits = folders.create(parse({"data": {"train": "a.csv"}}), tmp_path)
    queue.add(tmp_path, waits.id)
    lost = _made_by_another(tmp_path)
    assert status.read(lost).state == "queued"
    for run in (lost, waits):
        _age(run, 60)
    assert status.read(waits).state == "queued"
    found = status.read(lost)
    assert found.state == "interrupted"
    assert found.error is not None
    assert f"studio runs resume {lost.id}" in found.error.hint


def test_a_run_whose_maker_is_slow_waits_longer_but_not_for_ever(tmp_path: Path) -> None:
    made = folders.create(parse({"data": {"train": "a.csv"}}), tmp_path)
    _age(made, 60)
    assert status.read(made).state == "queued"
    _age(made, status.PATIENCE + 1)
    assert status.read(made).state == "interrupted", "a web server lives on whatever became of one request"


def _age(run: RunFolder, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(run.asked, (then, then))


def _made_by_another(root: Path) -> RunFolder:
    """A run made by a process that is gone."""
    code = "import sys; from pathlib import Path; from studio.runs import folder; from studio.spec import parse; "
    code += "print(folder.create(parse({'data': {'train': 'a.csv'}}), Path(sys.argv[1])).path)"
    return RunFolder(Path(subprocess.check_output([sys.executable, "-c", code, str(root)], text=True).strip()))


@pytest.mark.slow
def test_a_run_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    folder = folders.create(parse({"data": {"train": str(tmp_path / "endless.csv")}}), tmp_path)
    os.mkfifo(tmp_path / "endless.csv")
    code = "import sys; from pathlib import Path; from studio.runs import lifecycle, folder; "
    code += "lifecycle.launch(folder.RunFolder(Path(sys.argv[1])))"
    subprocess.run([sys.executable, "-c", code, str(folder.path)], check=True)
    worker = _wait_for_process(folder)
    assert os.getpgid(worker) != os.getpgid(0)
    running = status.read(folder).process
    assert lifecycle.stop(folder, patience=0.5).state in ("stopped", "interrupted", "failed")
    assert running is not None
    assert not running.alive()
    assert lifecycle.memory_is_back(running, seconds=5)
    with pytest.raises(JobError, match="not running"):
        lifecycle.stop(folder)


def test_delete_is_refused_while_a_run_is_alive_and_complete_afterwards(folder: RunFolder) -> None:
    recorder = Recorder(folder)
    with pytest.raises(JobError, match="is running"):
        lifecycle.delete(folder)
    recorder.end("done")
    lifecycle.delete(folder)
    assert list(folder.path.parent.iterdir()) == []


def test_a_device_is_held_by_one_run_and_freed_when_its_holder_is_killed(tmp_path: Path) -> None:
    holder = multiprocessing.get_context("fork").Process(target=_hold, args=(tmp_path,))
    holder.start()
    _until((tmp_path / "held").exists)
    told: list[str] = []
    with pytest.raises(Stopped), slot("cpu", "second", lambda: True, told.append):
        raise AssertionError("two runs had the device")
    assert told == ["first"]
    os.kill(holder.pid, signal.SIGKILL)  # type: ignore[arg-type]
    holder.join()
    with slot("cpu", "second", lambda: False, told.append):
        pass


def _hold(root: Path) -> None:
    with slot("cpu", "first", lambda: False, print):
        (root / "held").touch()
        time.sleep(60)


def test_the_queue_keeps_its_order_and_lets_it_be_changed(tmp_path: Path) -> None:
    assert queue.waiting(tmp_path) == []
    assert [queue.add(tmp_path, name) for name in ("a", "b", "c", "a")] == [1, 2, 3, 1]
    queue.move(tmp_path, "c", 1)
    assert [(job.run, job.position) for job in queue.waiting(tmp_path)] == [("c", 1), ("a", 2), ("b", 3)]
    with queue.leaving(tmp_path, "a"):
        pass
    assert [_take(tmp_path) for _ in range(3)] == ["c", "b", None]
    with pytest.raises(JobError, match="does not wait"), queue.leaving(tmp_path, "a"):
        pass


def test_two_takers_never_get_the_same_run(tmp_path: Path) -> None:
    names = [f"run-{number}" for number in range(60)]
    for name in names:
        queue.add(tmp_path, name)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        taken = [name for some in pool.map(_take_all, [tmp_path] * 4) for name in some]
    assert sorted(taken) == sorted(names)


def _take_all(root: Path) -> list[str]:
    taken = []
    while (run := _take(root)) is not None:
        taken.append(run)
    return taken


def _take(root: Path) -> str | None:
    with queue.next_leaving(root) as run:
        return run


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the status", "before the process", "after the process", "before the queue"])
def test_a_supervisor_killed_while_it_starts_a_run_neither_loses_nor_doubles_it(tmp_path: Path, moment: str) -> None:
    folder = folders.create(parse({"data": {"train": str(tmp_path / "missing.csv")}}), tmp_path)
    queue.add(tmp_path, folder.id)
    killed = multiprocessing.get_context("fork").Process(target=_die_at, args=(tmp_path, moment))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert [item.run for item in queue.waiting(tmp_path)] == [folder.id]
    while queue.waiting(tmp_path):
        supervisor.start_next(tmp_path)
    _until(lambda: status.read(folder).state == "failed")
    _until(folder.exit.exists)
    assert [event.kind for event in folder.read_events()].count("ended") == 1
    assert supervisor.start_next(tmp_path) is None


def _die_at(root: Path, moment: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    start = subprocess.Popen

    def start_and_die(*command: object, **options: object) -> None:
        start(*command, **options)  # type: ignore[call-overload]
        die()

    if moment == "before the status":
        lifecycle.Status = die
    elif moment == "before the process":
        subprocess.Popen = die
    elif moment == "after the process":
        subprocess.Popen = start_and_die
    else:
        launch = lifecycle.launch
        lifecycle.launch = lambda folder, variables=None: (launch(folder, variables), die())
    supervisor.start_next(root)


@pytest.mark.slow
def test_of_two_launches_at_once_one_is_refused(tmp_path: Path) -> None:
    folder = folders.create(parse({"data": {"train": str(tmp_path / "missing.csv")}}), tmp_path)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        began = pool.map(_launched, [folder.path] * 4)
    assert began.count(True) == 1
    _until(folder.exit.exists)


def _launched(path: Path) -> bool:
    try:
        lifecycle.launch(RunFolder(path))
    except JobError:
        return False
    return True


@pytest.mark.slow
def test_two_supervisors_are_impossible(tmp_path: Path) -> None:
    supervisor.ensure(tmp_path)
    _until(lambda: supervisor.alive(tmp_path))
    assert supervisor.supervise(tmp_path) is False
    lock = tmp_path / "locks" / "supervisor.lock"
    _until(lambda: bool(lock.read_text()))  # it is held a moment before its holder has signed it
    os.kill(int(lock.read_text()), signal.SIGKILL)
    _until(lambda: not supervisor.alive(tmp_path))


@pytest.mark.slow
def test_waiting_runs_are_started_one_after_another_and_a_refused_one_does_not_stop_the_queue(tmp_path: Path) -> None:
    for name in ("missing-1.csv", "missing-2.csv"):
        folder = folders.create(parse({"data": {"train": str(tmp_path / name)}}), tmp_path)
        queue.add(tmp_path, folder.id)
    assert supervisor.supervise(tmp_path, idle=0)
    states = [status.read(folder) for folder in folders.all_runs(tmp_path)]
    assert [now.state for now in states] == ["failed", "failed"]
    assert all("missing-" in now.error.message + now.error.where for now in states if now.error)


def _until(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def _wait_for_process(folder: RunFolder) -> int:
    _until(lambda: (read := status.read(folder)).process is not None and read.state == "preparing")
    return status.read(folder).process.pid  # type: ignore[union-attr]
