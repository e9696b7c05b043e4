"""A process is named by what no clock moves, and a lock says who works, whatever the files say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from studio.core.errors import JobError
from studio.processes import locks, spawn, system, terminate
from studio.processes.identity import ProcessId
from studio.runs import folder as folders
from studio.runs import lifecycle, status
from studio.runs.recorder import Recorder
from studio.spec import parse


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the kernel's table with this process in it, to change as a kernel would."""
    proc = tmp_path / "proc"
    for name in ("stat", "sys/kernel/random/boot_id", f"{os.getpid()}/stat"):
        (proc / name).parent.mkdir(parents=True, exist_ok=True)
        (proc / name).write_bytes((Path("/proc") / name).read_bytes())
    monkeypatch.setattr(system, "PROC", proc)
    return proc


def test_a_clock_that_is_set_leaves_a_live_process_alive(table: Path) -> None:
    me = ProcessId.current()
    text = (table / "stat").read_text()
    boot = next(line for line in text.splitlines() if line.startswith("btime"))
    (table / "stat").write_text(text.replace(boot, f"btime {int(boot.split()[1]) + 3600}"))
    assert me.alive()
    assert ProcessId.current() == me


def test_the_next_process_of_a_pid_and_the_next_boot_are_others(table: Path) -> None:
    me = ProcessId.current()
    file = table / str(os.getpid()) / "stat"
    before = file.read_text()
    fields = before.rpartition(")")[2].split()
    file.write_text(before.replace(f" {fields[19]} ", f" {int(fields[19]) + 1} "))
    assert not me.alive()
    file.write_text(before)
    assert me.alive()
    (table / "sys/kernel/random/boot_id").write_text("another boot\n")
    assert not me.alive()


def test_a_process_called_like_a_line_of_the_table_is_read_right(table: Path) -> None:
    me = ProcessId.current()
    file = table / str(os.getpid()) / "stat"
    _, _, rest = file.read_text().rpartition(")")
    file.write_text(f"{os.getpid()} (x) Z 1 2 3 (y){rest}")
    assert me.alive()


def test_a_zombie_and_a_pid_that_is_free_are_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = ProcessId.of(child.pid)
    assert terminate.wait(lambda: not process.alive(), 20)
    child.wait()
    assert not process.alive()
    assert not ProcessId.of(2**22 + 1).alive()


def test_a_process_keeps_its_name_through_records_and_words() -> None:
    me = ProcessId.current()
    assert ProcessId.parse(str(me)) == me
    assert ProcessId.from_record(asdict(me)) == me
    assert not ProcessId.from_record({"pid": me.pid, "born": time.time()}).alive(), "a record of before knew a time of day only"


def test_a_run_whose_clock_was_set_is_alive_and_cannot_be_deleted(tmp_path: Path, table: Path) -> None:
    run = folders.create(parse({"data": {"train": "x.csv"}}), tmp_path)
    Recorder(run)
    text = (table / "stat").read_text()
    (table / "stat").write_text(text.replace("btime ", "btime 9"))
    assert status.read(run).state == "queued"
    assert status.read(run).error is None
    with pytest.raises(JobError, match="is running"):
        lifecycle.delete(run)
    assert run.asked.exists()


def test_a_run_whose_processes_still_leave_is_deleted_once_they_have_left(tmp_path: Path) -> None:
    run = folders.create(parse({"data": {"train": "x.csv"}}), tmp_path)
    Recorder(run).end("stopped")
    holder = _holder(run.launch)
    leaving = threading.Timer(2.0, holder.kill)
    leaving.start()
    lifecycle.delete(run)
    leaving.join()
    holder.wait()
    assert not run.path.exists()


@pytest.mark.slow
def test_a_run_that_holds_its_lock_is_neither_interrupted_nor_deleted_whatever_its_record_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "LAST_WORDS", 1.0)
    run = folders.create(parse({"data": {"train": "x.csv"}}), tmp_path)
    Recorder(run)
    record = run.status.read_text()
    run.status.write_text(record.replace('"start_ticks": ', '"start_ticks": 9'))
    assert status.read(run).state == "interrupted"
    holder = _holder(run.launch)
    try:
        assert status.read(run).active
        with pytest.raises(JobError, match="is running"):
            lifecycle.delete(run)
        run.status.write_text("")
        with pytest.raises(JobError, match="is running"):
            lifecycle.delete(run)
    finally:
        holder.kill()
        holder.wait()
    lifecycle.delete(run)
    assert not run.path.exists()


def _holder(file: Path) -> subprocess.Popen[str]:
    code = "import sys, time; from pathlib import Path; from studio.processes import locks\n"
    code += "with locks.hold(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    return child


def test_a_lock_goes_with_its_holder_and_names_it(tmp_path: Path) -> None:
    file = tmp_path / "new" / "x.lock"
    with locks.hold(file) as lock:
        lock.sign("run-1")
        assert locks.is_held(file)
        with pytest.raises(locks.LockHeld) as refused, locks.hold(file):
            pass
        assert refused.value.holder == "run-1"
    assert not locks.is_held(file)
    holder = _holder(file)
    assert locks.is_held(file)
    holder.kill()
    holder.wait()
    assert not locks.is_held(file)


def test_a_child_that_inherits_a_lock_holds_it_after_its_parent(tmp_path: Path) -> None:
    file = tmp_path / "x.lock"
    with locks.hold(file) as lock:
        sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
        child = spawn.detached(sleep, tmp_path / "out", inherit=[lock.handle])
    assert locks.is_held(file)
    assert terminate.end(child, 5)
    assert not locks.is_held(file)


def test_a_file_of_the_users_with_a_modules_name_does_not_run_instead(tmp_path: Path) -> None:
    for name in ("studio.py", "json.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file was run')")
    command = spawn.python("studio.runs.supervisor", "--help")
    spawn.detached(spawn.python("studio", "fields", "--json"), tmp_path / "out", folder=tmp_path)
    assert "-P" in command
    assert terminate.wait(lambda: (tmp_path / "out").read_text().rstrip().endswith("]"), 30), (tmp_path / "out").read_text()


@pytest.mark.parametrize("stubborn", [False, True])
def test_a_process_is_asked_to_end_and_killed_only_when_it_does_not(tmp_path: Path, stubborn: bool) -> None:
    code = "import signal, time\n" + ("signal.signal(15, signal.SIG_IGN)\n" if stubborn else "") + "print('up', flush=True)\n"
    child = spawn.detached([sys.executable, "-c", code + "time.sleep(60)"], tmp_path / "out")
    assert terminate.wait(lambda: "up" in (tmp_path / "out").read_text(), 20)
    begun = time.monotonic()
    assert terminate.end(child, 1.0)
    assert (time.monotonic() - begun >= 1.0) is stubborn
    assert not child.alive()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounting needs root and unshare")
def test_a_live_run_survives_the_kernels_own_boot_time_moving(tmp_path: Path) -> None:
    """The whole command under a kernel table whose boot time moved by two seconds, as time sync moves it."""
    run = folders.create(parse({"data": {"train": str(tmp_path / "endless.csv")}}), tmp_path / "home")
    os.mkfifo(tmp_path / "endless.csv")
    lifecycle.launch(run)
    assert terminate.wait(lambda: status.read(run).process is not None, 30)
    moved = tmp_path / "stat"
    lines = Path("/proc/stat").read_text().splitlines()
    moved.write_text("\n".join(f"btime {int(x.split()[1]) + 2}" if x.startswith("btime") else x for x in lines) + "\n")
    script = f"mount --bind {moved} /proc/stat && {sys.executable} -m studio runs delete {run.id} --yes --home {tmp_path}/home"
    try:
        done = subprocess.run(["unshare", "-m", "bash", "-c", script], capture_output=True, text=True, timeout=300)
        if "mount" in done.stderr or "unshare" in done.stderr:
            pytest.skip(f"this machine allows no mount: {done.stderr.strip()}")
        assert done.returncode == 2
        assert "is running" in done.stderr
        assert run.asked.exists()
    finally:
        process = status.read(run).process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        lifecycle.wait_for_end(run, 20)


def test_a_lock_that_is_removed_is_held_by_one_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    """Whoever waited for a file that is gone locks the one that is there now."""
    file, inside, most = tmp_path / "lock", [0], [0]

    def work() -> None:
        for _ in range(50):
            with locks.hold(file, lambda holder: False, pause=0.0005, remove=True):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0.0005)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert not file.exists()
