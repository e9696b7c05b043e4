"""`--json --progress json`: what a program that started a run reads while it goes on, and at its end."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from studio.app.runs import Run
from studio.cli import follow
from studio.cli.options import Shown
from studio.core import events
from studio.core.errors import TrainingError
from studio.runs import folder as folders
from studio.runs.recorder import Recorder
from studio.spec import parse


def made(tmp_path: Path, error: TrainingError | None = None) -> Run:
    """A run that ended, as its recorder writes it."""
    folder = folders.create(parse({"name": "bot", "data": {"train": str(tmp_path / "rows.jsonl")}}), tmp_path)
    recorder = Recorder(folder)
    with recorder.stage("training"):
        recorder.metrics(1, loss=0.5, lr=1e-3)
        recorder.event(events.Warning(message="only 5 steps: größer wäre besser"))
    recorder.end("failed" if error else "done", error)
    return Run(folder)


def test_progress_is_one_json_object_a_line_on_stderr_and_one_document_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(tmp_path)
    assert follow.follow(run, json=True, progress=Shown.json) == 0
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert all(len(line) == 1 for line in lines)
    assert {name for line in lines for name in line} == {"event", "metrics", "status"}
    kinds = [line["event"]["kind"] for line in lines if "event" in line]
    assert kinds == ["created", "stage", "warning", "stage-done", "ended"]
    assert [(line["metrics"]["step"], line["metrics"]["loss"]) for line in lines if "metrics" in line] == [(1, 0.5)]
    assert [line["status"]["state"] for line in lines if "status" in line][-1] == "done"
    assert json.loads(said.out)["id"] == run.id


def test_a_run_that_failed_says_why_in_the_document_and_by_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = TrainingError("The loss became infinite at step 3", hint="Lower it.", where="training.learning_rate")
    assert follow.follow(made(tmp_path, error), json=True, progress=Shown.json) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["exit_code"] == 1
    assert json.loads(said.out)["error"]["hint"] == "Lower it."
    assert "Traceback" not in said.err
    (last,) = [json.loads(line)["event"] for line in said.err.splitlines() if '"ended"' in line]
    assert last["error"]["message"] == "The loss became infinite at step 3"


def test_without_it_a_program_reads_nothing_but_warnings_until_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow.follow(made(tmp_path), json=True) == 0
    assert capsys.readouterr().err == "only 5 steps: größer wäre besser\n"


def test_the_plan_of_a_run_is_its_summary_and_what_people_usually_change(capsys: pytest.CaptureFixture[str]) -> None:
    run: Any = SimpleNamespace(id="bot-1f2e3d", plan=SimpleNamespace(summary=["memory: 1.0 GiB of 8.0 GiB"]))
    view = follow._Bar(run)
    for field in ("training.varlen_attention", "training.learning_rate", "training.fused_adapters"):
        view.tell(events.Decision(field=field, value=1, reason="it is"))
    view.tell(events.Warning(message="only 2 steps"))
    view.tell(events.Warning(message="few rows"))
    assert capsys.readouterr().out.splitlines() == [
        "  memory: 1.0 GiB of 8.0 GiB",
        "  training.learning_rate = 1: it is",
        "  2 more decisions: studio runs show bot-1f2e3d --all",
        "  ! only 2 steps",
        "  ! few rows",
    ]


def test_where_a_run_is_tracked_and_from_where_it_goes_on_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run: Any = SimpleNamespace(id="bot-1f2e3d", plan=None)
    view = follow._Bar(run)
    view.tell(events.Tracking(mode="online", url="https://wandb.ai/me/studio/runs/bot"))
    view.tell(events.CheckpointLoaded(step=40))
    assert capsys.readouterr().out.splitlines() == [
        "  tracked at https://wandb.ai/me/studio/runs/bot",
        "  continued from the checkpoint of step 40",
    ]
