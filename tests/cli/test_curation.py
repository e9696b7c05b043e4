"""Datasets are added, checked, mended, compared and exported from the command, and a spec trains on one by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.app import runs
from studio.cli import main
from studio.core.errors import DataError
from studio.runs.recorder import Recorder
from studio.spec import RunSpec, parse
from tests.data import messy

Command = Any


@pytest.fixture
def command(home: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `studio data …` on the test's home and gives its exit code and what it printed, as JSON where that was asked."""

    def run(*arguments: str, code: int = 0) -> Any:
        assert main.run(["data", *arguments, "--home", str(home)]) == code, capsys.readouterr()
        out = capsys.readouterr().out
        return json.loads(out) if "--json" in arguments else out

    return run


@pytest.fixture
def added(command: Command, tmp_path: Path) -> Path:
    """The messy export in the library, as `dataset:hilfe@1`."""
    file = tmp_path / "hilfe.csv"
    file.write_bytes(messy.export())
    assert "dataset:hilfe@1" in command("add", str(file), "--name", "Hilfe")
    return file


@pytest.mark.slow
def test_from_a_messy_export_to_a_clean_version(command: Command, added: Path, tmp_path: Path):
    desk = command("desk", "dataset:hilfe", "--json")
    assert {item["check"]: item["open"] for item in desk["findings"]}["contradictions"] == 2
    assert desk["progress"] == {"total": 48, "approved": 0, "excluded": 0, "edited": 0, "open": 48}
    assert "contradictions" in command("desk", "dataset:hilfe@1")
    assert command("desk", "hilfe", "--json") == desk == command("desk", "hilfe@1", "--json")

    listed = command("curate", "hilfe", "--finding", "personal_data", "--json")
    assert [row["number"] for row in listed["rows"]] == [43, 44]
    assert "#43 hilfe.csv, line 44: open" in command("curate", "hilfe", "--row", "43")
    assert command("curate", "hilfe", "--mask", "--finding", "personal_data", "--json")["batch"]["count"] == 2
    assert command("curate", "hilfe", "--keep-answer", "last", "--json")["batch"]["count"] == 1
    command("curate", "hilfe", "--exclude", "--finding", "near_duplicates", "--why", "said twice")
    assert "taken back" in command("curate", "hilfe", "--undo")
    command("curate", "hilfe", "--relabel", "Zwölf.", "--row", "1")
    assert "2 approved, 1 excluded, 45 to see, 3 edited" in command("curate", "hilfe", "--status", "approved")
    assert "train it as dataset:hilfe@2" in command("curate", "hilfe@1", "--write", "--why", "cleaned")

    assert [item["reference"] for item in command("list", "--json")] == ["dataset:hilfe@2", "dataset:hilfe@1"]
    difference = command("diff", "hilfe", "--json")
    assert (difference["before"], difference["removed"], difference["changed"], difference["added"]) == (
        "dataset:hilfe@1",
        1,
        3,
        0,
    )
    shown = command("diff", "hilfe@1", "hilfe@2")
    assert "[-helga.muster@example.org-]{+<EMAIL_1>+}" in shown.replace("\n", "")
    assert command("export", "hilfe", "--to", str(tmp_path / "out.csv"), "--json")["rows"] == 47
    assert "Küchenstuhl" in (tmp_path / "out.csv").read_text("utf-8")
    assert command("inspect", "dataset:hilfe@2", "--json")["totals"]["usable"] == 47


def test_a_file_goes_before_a_dataset_of_its_name(
    command: Command, added: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hilfe").mkdir()
    (tmp_path / "hilfe" / "one.csv").write_text("question,answer\nWho are you?,A lamp.\n")
    assert command("inspect", "hilfe", "--json")["totals"]["rows"] == 1
    assert command("inspect", "dataset:hilfe", "--json")["totals"]["rows"] == 48
    assert command("inspect", "hilfee", "--json", code=2)["error"]["message"] == "there is no such file"


def test_edits_of_a_file_and_refusals_are_documents(command: Command, added: Path, tmp_path: Path):
    file = tmp_path / "edits.jsonl"
    file.write_text('{"action": "exclude", "row": "3", "why": "old"}\n\n{"action": "relabel", "row": "4", "answer": "Nein."}\n')
    assert command("curate", "hilfe", "--edits", str(file), "--json")["progress"]["excluded"] == 1
    file.write_text('{"action": "exclude", "row": "3"}\n{"action": "drop", "row": "4"}\n')
    refused = command("curate", "hilfe", "--edits", str(file), "--json", code=2)
    assert refused["error"]["where"].endswith("line 2")
    refused = command("curate", "hilfe", "--exclude", "--json", code=2)
    assert "no rows are chosen" in refused["error"]["message"]
    refused = command("curate", "hilfe", "--exclude", "--approve", "--all", "--json", code=2)
    assert "only one action" in refused["error"]["message"]
    refused = command("curate", "hilfe", "--finding", "nothing", "--json", code=2)
    assert "contradictions" in refused["error"]["hint"]
    assert command("curate", "hilfe@7", "--json", code=2)["error"]["message"].startswith("version 7")


def test_a_run_keeps_the_version_it_was_asked_with_and_deleting_it_names_the_run(command: Command, added: Path, home: Path):
    run = runs.create(parse({"data": {"train": "dataset:hilfe"}}), home)
    assert run.folder.asked_spec().data.train == "dataset:hilfe@1"
    assert run.summary().data == "hilfe@1"
    refused = command("delete", "hilfe@1", "--json", code=2)
    assert run.id in refused["error"]["message"]
    Recorder(run.folder).end("done")
    refused = command("delete", "hilfe@1", "--json", code=2)
    assert run.id in refused["error"]["message"]
    assert "could not be run again" in refused["error"]["hint"]
    assert command("delete", "hilfe@1", "--yes", "--json")["runs"] == [run.id]
    with pytest.raises(DataError, match="no dataset `hilfe`"):
        runs.create(RunSpec.model_validate({"data": {"train": "dataset:hilfe@1"}}), home)


@pytest.mark.torch
def test_a_run_reads_the_version_by_name_and_locks_its_hash(command: Command, added: Path, home: Path):
    from studio import pipeline
    from studio.app import curation

    run = runs.create(parse({"data": {"train": "dataset:hilfe", "holdout": 0.2}}), home)
    prepared = pipeline.make_ready(run.folder, run.folder.asked_spec(), Recorder(run.folder))
    assert prepared.spec.data.train == "dataset:hilfe@1"
    locked = json.loads(run.folder.lock.read_text())
    assert locked["data"] == {"dataset:hilfe@1": curation.find("hilfe@1", home).sha256}
    assert runs.changes_since(run.folder.spec_file) == []
    Recorder(run.folder).end("done")
    command("delete", "hilfe@1", "--yes")
    assert runs.changes_since(run.folder.spec_file) == ["dataset:hilfe@1 is not there any more"]


@pytest.mark.torch
def test_a_run_whose_version_is_gone_says_so_before_it_plans(command: Command, added: Path, home: Path):
    from studio import pipeline
    from studio.data.curation import store

    run = runs.create(parse({"data": {"train": "dataset:hilfe"}}), home)
    store.delete(store.named(home, "dataset:hilfe@1"))
    with pytest.raises(DataError, match="no dataset `hilfe`"):
        pipeline.make_ready(run.folder, run.folder.asked_spec(), Recorder(run.folder))
    assert not run.folder.plan.exists()
