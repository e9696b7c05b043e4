"""What `studio eval` and `studio adapters` refuse before a model is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.app import runs
from studio.cli import follow, main
from studio.runs import folder
from studio.spec import RunSpec


@pytest.fixture
def refused(home: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command, which must refuse its input; the error in its JSON document."""

    def run(*arguments: str) -> dict[str, str]:
        assert main.run([*arguments, "--home", str(home), "--json"]) == 2
        return json.loads(capsys.readouterr().out)["error"]

    return run


def test_a_task_is_not_written_onto_a_file(refused: Any, home: Path, tmp_path: Path) -> None:
    file = tmp_path / "task"
    file.write_text("mine")
    run = folder.create(RunSpec(name="bot", data={"train": "a.csv"}), home)
    assert refused("eval", run.id, "--as-task", str(file))["message"] == "this is a file"
    assert file.read_text() == "mine"


def test_a_metric_is_not_dropped_in_silence_where_nothing_is_evaluated(refused: Any, tmp_path: Path) -> None:
    assert refused("eval", "last", "--as-task", str(tmp_path / "task"), "--metric", "m.py:m")["where"] == "--as-task"
    assert refused("eval", "last", "--as-task", str(tmp_path / "task"), "--against", "a.jsonl")["where"] == "--as-task"


@pytest.mark.parametrize("weights", ["nan,1", "1,inf", "a,b"])
def test_adapters_are_not_merged_by_weights_that_are_no_numbers(refused: Any, weights: str) -> None:
    assert refused("adapters", "merge", "one", "two", "--weights", weights)["where"] == "--weights"


@pytest.mark.parametrize(("method", "command"), [("reward", "studio score"), ("dpo", "studio chat")])
def test_a_run_ends_with_the_command_that_uses_it(home: Path, capsys: pytest.CaptureFixture[str], method: str, command: str):
    run = runs.Run(folder.create(RunSpec(name="bot", data={"train": "a.csv"}, training={"method": {"kind": method}}), home))
    follow.summary(run)
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.strip().startswith(f"{command} {run.id}")
