"""What is kept names a model so that it means the same one tomorrow."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from studio.core.errors import JobError
from studio.runs import folder as folders
from studio.runs import served_models
from studio.runs.folder import RunFolder
from studio.spec import RunSpec


def finished(home: Path, name: str) -> RunFolder:
    run = folders.create(RunSpec.model_validate({"name": name, "data": {"train": "rows.jsonl"}}), home)
    (run.exports / "merged").mkdir(parents=True)
    (run.exports / "merged" / "artifact.json").write_text("{}")
    return run


def test_the_last_run_of_today_is_kept_by_its_whole_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    run = finished(tmp_path, "bot")
    kept = [served_models.lasting_name(given, tmp_path) for given in ("last", run.id[:5], "last:merged", str(run.path))]
    assert kept == [run.id, run.id, f"{run.id}:merged", run.id]
    assert served_models.lasting_name("model", tmp_path) == str(tmp_path / "model")
    for other in ("starter", "owner/model", "https://host.example/v1#model"):
        assert served_models.lasting_name(other, tmp_path) == other
    time.sleep(0.01)
    newer = finished(tmp_path, "newer")
    assert [served_models.run_of(name, tmp_path) for name in ("last", *kept[:3:2])] == [newer, run, run]


def test_an_exports_rows_are_those_of_its_run(tmp_path: Path):
    run = finished(tmp_path, "bot")
    for given in ("bot:merged", str(run.exports / "merged")):
        assert served_models.run_of(given, tmp_path) == run
    assert served_models.run_of("bot:none", tmp_path) is None
    assert served_models.run_of("starter", tmp_path) is None


def test_an_export_that_was_killed_before_it_got_its_name_is_none(tmp_path: Path) -> None:
    folder = finished(tmp_path, "bot")
    shutil.copytree(folder.exports / "merged", folder.exports / ".merged.2f003b03")
    assert [file.parent.name for file in folder.manifests()] == ["merged"]
    assert folders.find_export(f"{folder.id}:merged", tmp_path) == folder.exports / "merged"
    with pytest.raises(JobError, match="no export") as error:
        folders.find_export(f"{folder.id}:.merged.2f003b03", tmp_path)
    assert error.value.hint == "It has merged."
