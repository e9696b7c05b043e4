"""A queue that cannot be read is made again from the run folders, with the runs that wait and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.app import damage as upkeep
from studio.app import queue
from studio.runs import folder as folders
from studio.runs import status, supervisor
from studio.runs.folder import RunFolder
from studio.runs.recorder import Recorder
from studio.spec import parse


def rows_file(folder: Path) -> str:
    """A data file that can be queued."""
    file = folder / "rows.jsonl"
    file.write_text('{"question": "a?", "answer": "b"}\n')
    return str(file)


def ended(root: Path) -> RunFolder:
    """A run that ended, as its recorder writes it."""
    folder = folders.create(parse({"name": "bot", "data": {"train": "/missing.csv"}}), root)
    recorder = Recorder(folder)
    with recorder.stage("training"):
        recorder.metrics(1, loss=2.5)
    recorder.end("done")
    return folder


@pytest.mark.parametrize("damage", ["garbage", "zeros", "page"])
def test_a_damaged_queue_is_set_aside_and_made_again_from_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(supervisor, "ensure", lambda root: None)
    spec = parse({"data": {"train": rows_file(tmp_path)}})
    ids = [queue.submit(spec, tmp_path, f"person {number}").id for number in range(3)]
    queue.cancel(ids[1], tmp_path)
    ended(tmp_path)
    file = tmp_path / "queue.db"
    content = file.read_bytes()
    broken = {
        "garbage": b"x" * len(content),
        "zeros": bytes(len(content)),
        "page": content[:4096] + b"y" * (len(content) - 4096),
    }
    for left in tmp_path.glob("queue.db-*"):
        left.unlink()
    file.write_bytes(broken[damage] or b"x")
    assert [item.run for item in queue.order(tmp_path)] == [ids[0], ids[2]]
    assert queue.order(tmp_path)[0].who == "person 0"
    assert list(tmp_path.glob("queue.damaged-*"))
    assert status.read(RunFolder(tmp_path / "runs" / ids[0])).state == "queued"


def test_a_done_run_that_lost_its_status_is_not_queued_again_by_a_queue_that_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events say that it is done; `repair` sets the queue aside and lists it."""
    monkeypatch.setattr(supervisor, "ensure", lambda root: None)
    spec = parse({"data": {"train": rows_file(tmp_path)}})
    done, waits = (queue.submit(spec, tmp_path).id for _ in range(2))
    folder = RunFolder(tmp_path / "runs" / done)
    recorder = Recorder(folder)
    with recorder.stage("training"):
        pass
    recorder.end("done")
    folder.status.unlink()
    (tmp_path / "queue.db").write_bytes(b"x" * 8192)
    for left in tmp_path.glob("queue.db-*"):
        left.unlink()
    assert status.read(folder).state == "done"
    assert [item.file.name for item, _ in upkeep.repair(tmp_path)] == ["queue.db"]
    assert [item.run for item in queue.order(tmp_path)] == [waits]
    assert not upkeep.damages(tmp_path)
