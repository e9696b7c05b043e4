"""A home is checked, what is damaged in it set aside, and only what nothing needs is deleted."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from studio.app import damage as damages_of
from studio.app import documents, feedback, library, runs, upkeep
from studio.cli import main
from studio.core.files import make_home
from studio.runs import folder as folders
from studio.runs.recorder import Recorder
from studio.ui import server
from tests.runs.test_damage import DAMAGES, ended


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["status.json", "launch.json", "evaluation/report.json", "asked.yaml", "exports/merged/artifact.json"]
)
def test_what_is_damaged_is_set_aside_and_the_rest_stays(tmp_path: Path, name: str, damage: str) -> None:
    healthy, damaged = ended(tmp_path), ended(tmp_path)
    file = damaged.path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(DAMAGES[damage])
    before = {item.relative_to(tmp_path) for item in tmp_path.rglob("*") if item.is_file()}
    assert [item.ok for item in upkeep.check(tmp_path) if item.name == "Damaged"] == [False]
    moved = damages_of.repair(tmp_path)
    assert len(moved) == 1
    assert moved[0][1].is_relative_to(tmp_path / damages_of.SET_ASIDE)
    assert damages_of.damages(tmp_path) == []
    assert healthy.id in [run.id for run in runs.list_runs(tmp_path)]
    errors = [error for run in runs.list_runs(tmp_path) if (error := run.summary().error)]
    assert not any("damaged" in error.message for error in errors)
    after = {item.relative_to(tmp_path) for item in tmp_path.rglob("*") if item.is_file()}
    assert len(before) == len(after)


def test_a_whole_home_has_nothing_to_repair(tmp_path: Path) -> None:
    ended(tmp_path)
    tmp_path.chmod(0o700)
    assert damages_of.repair(tmp_path) == []
    assert [item.ok for item in upkeep.check(tmp_path)] == [True]


def test_the_doctor_sees_a_stuck_run_an_ended_server_a_full_disk_and_old_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, stopped = (folders.create(ended(tmp_path).asked_spec(), tmp_path) for _ in range(2))
    tmp_path.chmod(0o700)
    recorder = Recorder(stuck)  # its process is this one, which lives
    recorder.progress(1, 2, "step")
    Recorder(stopped).end("stopped")
    stopped.checkpoints.mkdir()
    (stopped.checkpoints / "optimizer.pt").write_bytes(b"x" * 1000)
    note = tmp_path / "serving" / "1.json"
    note.parent.mkdir()
    note.write_text('{"process": {"pid": 1, "start_ticks": 1, "boot_id": "an earlier one"}}')
    wanted = {"Stuck run": stuck.id, "Old checkpoints": stopped.id, "Disk": "1.0 MiB free", "Servers": "1 note"}
    assert not {item.name for item in upkeep.check(tmp_path)} & {"Stuck run", "Old checkpoints"}
    two_hours, two_months = (time.time() - seconds for seconds in (2 * upkeep.SILENT, 2 * upkeep.OLD_CHECKPOINTS))
    for file in stuck.path.iterdir():
        os.utime(file, (two_hours, two_hours))
    os.utime(stopped.checkpoints, (two_months, two_months))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    found = {item.name: item for item in upkeep.check(tmp_path)}
    for name, said in wanted.items():
        assert said in found[name].found
        assert found[name].fix


def test_only_what_nothing_needs_is_deleted(tmp_path: Path) -> None:
    done, interrupted = ended(tmp_path), folders.create(ended(tmp_path).asked_spec(), tmp_path)
    for folder in (done, interrupted):
        folder.checkpoints.mkdir()
        (folder.checkpoints / "optimizer.pt").write_bytes(b"x" * 1000)
    assert upkeep.find_unneeded(tmp_path) == []
    done.adapter.mkdir()
    (done.adapter / "adapter_config.json").write_text("{}")
    aside = tmp_path / "runs" / ".bot.0123abcd"
    aside.write_bytes(b"y")
    assert [item.kind for item in upkeep.find_unneeded(tmp_path)] == ["checkpoints"]
    old = time.time() - 2 * upkeep.LEFTOVER
    os.utime(aside, (old, old))
    items = upkeep.find_unneeded(tmp_path)
    assert [item.kind for item in items] == ["checkpoints", "leftovers"]
    assert upkeep.clean(items) == 1001
    assert not done.checkpoints.exists()
    assert (done.adapter / "adapter_config.json").exists()
    assert (interrupted.checkpoints / "optimizer.pt").exists()


def test_exports_and_models_are_deleted_only_if_they_are_asked_for_and_nothing_names_them(tmp_path: Path) -> None:
    from studio.spec import RunSpec

    done = ended(tmp_path)
    done.adapter.mkdir()
    (done.adapter / "adapter_config.json").write_text("{}")
    for name in ("base", "teacher", "spare one", "unused"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.safetensors").write_bytes(b"x" * 100)
    spec = {
        "data": {"train": "a.csv"},
        "model": {"name": str(tmp_path / "models" / "base")},
        "training": {"method": {"kind": "distil", "teacher": str(tmp_path / "models" / "teacher")}},
        "evaluation": {"judge": str(tmp_path / "models" / "spare one")},
    }
    folders.create(RunSpec.model_validate(spec), tmp_path)
    for name in ("merged", "merged-named"):
        (done.exports / name).mkdir(parents=True)
        (done.exports / name / "artifact.json").write_text("{}")
    named = {"data": {"train": "a.csv"}, "model": {"name": str(done.exports / "merged-named")}}
    folders.create(RunSpec.model_validate(named), tmp_path)
    assert upkeep.find_unneeded(tmp_path) == []
    items = upkeep.find_unneeded(tmp_path, upkeep.OPTIONAL)
    assert [(item.kind, item.path.name) for item in items] == [("exports", "merged"), ("models", "unused")]
    assert main.run(["clean", "--also", "models", "--yes", "--home", str(tmp_path)]) == 0
    left = sorted(item.name for item in (tmp_path / "models").iterdir())
    assert (left, (done.exports / "merged").exists()) == (["base", "spare one", "teacher"], True)


@pytest.mark.parametrize(
    "name", ["runs/.deleted-bot-1234", "datasets/faq/.deleted-0123", "indexes/.guide.old.ab_d3fgh", "exporters/.onnx.0123abcd"]
)
def test_what_an_interrupted_deletion_left_is_deleted_after_a_day(tmp_path: Path, name: str) -> None:
    ended(tmp_path)
    left = tmp_path / name
    left.mkdir(parents=True)
    (left / "large").write_bytes(b"x" * 100)
    assert upkeep.find_unneeded(tmp_path) == []
    old = time.time() - 2 * upkeep.LEFTOVER
    os.utime(left, (old, old))
    assert [(item.kind, item.path) for item in upkeep.find_unneeded(tmp_path)] == [("leftovers", left)]
    assert upkeep.clean(upkeep.find_unneeded(tmp_path)) == 100
    assert not left.exists()


def test_what_was_set_aside_is_deleted_only_if_it_is_asked_for(tmp_path: Path) -> None:
    folder = ended(tmp_path)
    folder.status.write_bytes(b"{")
    (moved,) = [where for _, where in damages_of.repair(tmp_path)]
    assert upkeep.find_unneeded(tmp_path) == []
    assert [(item.kind, item.path) for item in upkeep.find_unneeded(tmp_path, ("damaged",))] == [
        ("damaged", tmp_path / damages_of.SET_ASIDE / moved.relative_to(tmp_path / damages_of.SET_ASIDE).parts[0])
    ]


def test_a_home_of_an_earlier_release_becomes_its_owners(tmp_path: Path) -> None:
    home = tmp_path / "home"
    spec = ended(home).asked_spec()
    home.chmod(0o755)
    assert any("other users" in item.found for item in upkeep.check(home))
    folders.create(spec, home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_whatever_is_first_kept_in_a_home_the_home_is_its_owners_alone(tmp_path: Path) -> None:
    rows, page = tmp_path / "rows.jsonl", tmp_path / "lamp.md"
    rows.write_text('{"question": "a?", "answer": "b"}\n' * 3)
    page.write_text("# Lamp\n\nIt costs 5 euros.\n")
    first: dict[str, Callable[[Path], object]] = {
        "dataset": lambda home: library.add_dataset("lamps", rows, home=home),
        "documents": lambda home: documents.add_documents("lamps", page, home=home),
        "rating": lambda home: feedback.turn(True, home),
        "web": server.__dict__["_environment"],
    }
    for name, keep in first.items():
        for home in (tmp_path / f"{name} missing", tmp_path / f"{name} empty"):
            if "empty" in home.name:
                home.mkdir(mode=0o755)
            with patch.dict(os.environ):
                keep(home)
            assert stat.S_IMODE(home.stat().st_mode) == 0o700, home.name


def test_a_folder_with_other_things_in_it_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    tmp_path.chmod(0o755)
    assert stat.S_IMODE(make_home(tmp_path).stat().st_mode) == 0o755


def test_lists_and_the_run_itself_name_what_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a list leaves out is said beside it: an index, and the manifest of an export."""
    run = ended(tmp_path)
    for name in (f"runs/{run.id}/exports/merged/artifact.json", "indexes/prices/index.json"):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"{")
    assert main.run(["index", "list", "--json", "--home", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == "[]"
    assert "damaged: indexes/prices/index.json" in said.err
    assert "→ Set it aside: studio doctor --repair" in said.err
    assert main.run(["runs", "show", run.id, "--home", str(tmp_path)]) == 0
    assert "exports/merged/artifact.json" in capsys.readouterr().out
