"""A disk with no space left: a run says so as its last word, or is refused before it starts."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from studio import pipeline, worker
from studio.runs import folder as folders
from studio.runs import monitor, reserve, status
from studio.runs.folder import RunFolder
from studio.runs.recorder import Recorder
from studio.spec import parse

SPEC = parse({"name": "bot", "data": {"train": "/missing.csv"}})


def test_a_full_disk_is_named_as_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folders.create(SPEC, tmp_path)
    Recorder(folder)
    record = json.loads(folder.status.read_text())
    record["process"]["start_ticks"] += 1
    folder.status.write_text(json.dumps(record))
    assert "machine restarted" in status.read(folder).error.message  # type: ignore[union-attr]
    monkeypatch.setattr(status, "disk_is_full", lambda path: True)
    assert "disk is full" in status.read(folder).error.message  # type: ignore[union-attr]


@pytest.fixture
def small_disk(tmp_path: Path):
    """A real file system of one MiB."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(folder: Path) -> None:
    """Take every byte that is left."""
    with open(folder / "ballast", "wb", buffering=0) as out:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    out.write(b"x" * size)
            except OSError:
                continue


def report_steps(recorder: Recorder) -> None:
    for step in range(10_000):
        recorder.metrics(step, loss=1.0)


def test_on_a_disk_that_is_really_full_a_run_still_says_that_it_is(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folders.create(SPEC, small_disk)
    reserve.make(folder.reserve)

    def run(folder: RunFolder, recorder: Recorder) -> None:
        fill(small_disk)
        report_steps(recorder)

    monkeypatch.setattr(pipeline, "run", run)
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    with contextlib.suppress(OSError), open("/dev/full", "w", buffering=1) as log:  # as the log is: no line can be written
        monkeypatch.setattr(sys, "stderr", log)
        assert worker.main(folder) == 1
    now = status.read(folder)
    assert now.state == "failed"
    assert now.error is not None
    assert now.error.message == "the disk is full"
    assert now.error.hint
    assert not folder.reserve.exists()


def test_how_a_killed_process_ended_is_written_on_a_full_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folders.create(SPEC, small_disk)
    reserve.make(folder.reserve)
    killed = SimpleNamespace(pid=1, wait=lambda: fill(small_disk) or -9)
    monkeypatch.setattr(monitor, "subprocess", SimpleNamespace(Popen=lambda *words, **more: killed))
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    assert monitor.main(folder.path, 0) == -9
    assert json.loads((folder.path / "exit.json").read_text())["code"] == -9


@pytest.mark.slow
def test_on_a_full_disk_a_run_is_refused_in_two_lines_before_it_starts(small_disk: Path) -> None:
    home = small_disk / "home"
    home.mkdir()
    (small_disk / "x.jsonl").write_text('{"question": "a?", "answer": "b"}\n')
    (small_disk / "x.yaml").write_text("data: {train: x.jsonl}\n")
    fill(small_disk)
    command = [sys.executable, "-m", "studio", "train", "x.yaml", "--home", str(home)]
    done = subprocess.run(command, cwd=small_disk, capture_output=True, text=True)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1, done.stderr
    assert len(lines) == 2
    assert "full" in lines[0] or "No space left" in lines[0]
    assert lines[1].startswith("→ ")
