"""A sweep makes one ordinary run of each combination of values; what trains one is tested elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.app import queue
from studio.cli.main import run
from studio.core.errors import SpecError
from studio.core.records import ErrorRecord
from studio.runs import lifecycle
from studio.runs.folder import RunFolder
from studio.runs.status import Status

FAILS = 0.9
"""The rate at which a run fails."""
STOPS = 0.8
"""The rate at which somebody stops the run."""


@pytest.fixture(autouse=True)
def ended(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end at once, as their learning rate says."""

    def launch(folder: RunFolder, environment: object = None) -> None:
        rate = folder.spec().training.learning_rate
        state = {FAILS: "failed", STOPS: "stopped"}.get(rate or 0.0, "done")
        error = ErrorRecord(kind="TrainingError", message="the loss is NaN", hint="Lower the rate.") if rate == FAILS else None
        Status(state=state, error=error).write(folder.status)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(lifecycle, "launch", launch)
    monkeypatch.delenv("WANDB_RUN_GROUP", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"question": "a?", "answer": "b"}\n')
    Path("bot.yaml").write_text("name: bot\ndata: {train: rows.jsonl}\ntraining: {epochs: 2}\n")


def rates(runs: Any) -> list[float]:
    return [item.spec.training.learning_rate for item in runs]


def test_every_combination_of_values_becomes_one_run_and_the_last_field_changes_fastest() -> None:
    made = studio.sweep("bot.yaml", {"training.learning_rate": [1e-4, 2e-4], "adapter.rank": [8, 16]})
    assert [(item.spec.training.learning_rate, item.spec.adapter.rank) for item in made] == [
        (1e-4, 8), (1e-4, 16), (2e-4, 8), (2e-4, 16),
    ]  # fmt: skip
    assert {item.spec.training.epochs for item in made} == {2}
    assert [item.status.state for item in made] == ["done"] * 4
    assert [item.spec.name for item in made][:2] == ["bot learning_rate 0.0001 rank 8", "bot learning_rate 0.0001 rank 16"]
    settings = dict(studio.compare(*made).settings)
    assert settings["adapter.rank"] == [8, 16, 8, 16]


def test_the_runs_of_a_sweep_are_one_group_of_the_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"adapter.rank": [8, 16]}
    first, second = studio.sweep("bot.yaml", values)
    assert first.spec.tracking.group == second.spec.tracking.group
    assert str(first.spec.tracking.group).startswith("bot sweep ")
    assert studio.sweep("bot.yaml", {"adapter.rank": [4]})[0].spec.tracking.group != first.spec.tracking.group
    own = studio.edit(studio.load("bot.yaml"), {"tracking.group": "mine"})
    assert studio.sweep(own, values)[0].spec.tracking.group == "mine"
    monkeypatch.setenv("WANDB_RUN_GROUP", "theirs")
    assert studio.sweep("bot.yaml", values)[0].spec.tracking.group is None


def test_a_run_that_fails_does_not_end_a_sweep_and_one_that_is_stopped_does(capsys: pytest.CaptureFixture[str]) -> None:
    made = studio.sweep("bot.yaml", {"training.learning_rate": [FAILS, 1e-4, STOPS, 2e-4]})
    assert rates(made) == [FAILS, 1e-4, STOPS]
    assert str(made[0].error) == "the loss is NaN\n→ Lower the rate."
    assert f"{made[0].id}: the loss is NaN" in capsys.readouterr().err


def test_what_on_update_raises_ends_a_sweep() -> None:
    def broken(run: object, update: object) -> None:
        raise SpecError("mine", hint="")

    with pytest.raises(SpecError, match="mine"):
        studio.sweep("bot.yaml", {"adapter.rank": [8, 16]}, on_update=broken)
    assert len(studio.list_runs()) == 1


def test_without_waiting_the_runs_are_queued_in_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.runs.supervisor.ensure", lambda root: None)
    made = studio.sweep("bot.yaml", {"training.learning_rate": [1e-4, 2e-4]}, wait=False)
    assert [item.run for item in queue.order()] == [item.id for item in made]
    assert {item.status.state for item in made} == {"queued"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "sweep: no field has several values"),
        ([1], "sweep: expected fields with their values, got list"),
        ({"training.learning_rate": 1e-4}, "training.learning_rate: expected a list of values, got 0.0001"),
        ({"model.name": "starter"}, "model.name: expected a list of values, got 'starter'"),
        ({"adapter.rank": []}, "adapter.rank: the list of values is empty"),
        ({"adapter.rank": [8, 8]}, "adapter.rank: 8 occurs twice"),
        ({"training.learning_rate": ["1e-4", 0.0001]}, "training.learning_rate: 1e-4 and 0.0001 are the same value"),
        ({"adapter.rank": [8, "16", 16]}, "adapter.rank: 16 and 16 are the same value"),
        ({"adapter.rnak": [8]}, "sweep: adapter.rnak: unknown key"),
        ({"adapter.rank": [8, "many"]}, "sweep: adapter.rank: expected an integer, got 'many'"),
        ({"training.seed": [*range(9)], "adapter.rank": [*range(1, 9)]}, "sweep: 72 runs, at most 64"),
    ],
)
def test_values_that_make_no_sweep_are_refused_before_a_run_starts(values: Any, says: str) -> None:
    with pytest.raises(SpecError) as refused:
        studio.sweep("bot.yaml", values)
    assert str(refused.value).splitlines()[0].startswith(says)
    assert refused.value.hint
    assert studio.list_runs() == []


def test_long_values_number_the_runs_and_numpys_numbers_are_numbers() -> None:
    import numpy

    system = ["You answer customers of a furniture shop in one sentence." * 2, "You are brief."]
    assert [item.spec.name for item in studio.sweep("bot.yaml", {"data.system": system})] == [
        "bot 1",
        "bot system You are brief.",
    ]
    assert rates(studio.sweep("bot.yaml", {"training.learning_rate": numpy.array([0.5, 0.25])})) == [0.5, 0.25]  # type: ignore[dict-item]


def test_the_command_makes_the_same_runs_and_shows_them_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "bot.yaml", "--vary", "training.learning_rate=1e-4,2e-4", "--set", "training.epochs=3"]) == 0
    shown = capsys.readouterr().out
    assert "2 runs, one after another" in shown
    assert "Settings that differ" in shown
    made = studio.list_runs()
    assert sorted(rates(made)) == [1e-4, 2e-4]
    assert {item.spec.training.epochs for item in made} == {3}


def test_the_command_reports_in_one_document_and_by_the_exit_code_of_the_first_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["sweep", "bot.yaml", "--vary", f"training.learning_rate=1e-4,{FAILS},{STOPS},2e-4", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [(row["state"], row["exit_code"]) for row in rows] == [("done", 0), ("failed", 1), ("stopped", 130)]


@pytest.mark.parametrize("text", ["training.learning_rate", "=1", "adapter.rank=", "training.learning_rate=1e-4,0.0001"])
def test_the_command_refuses_a_field_without_values_or_with_one_twice(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "bot.yaml", "--vary", text]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("→ ")
    assert studio.list_runs() == []
