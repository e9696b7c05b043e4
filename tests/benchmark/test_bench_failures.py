"""What `studio bench` says where there is little to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.benchmark import figures
from studio.benchmark.pricing import Hardware
from studio.benchmark.result import Conditions, MeasuredOn, Result
from studio.cli.main import run


def test_where_nothing_could_be_measured_only_the_error_is_told_and_nothing_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "Price?", "answer": "4"}\n')
    words = ["--url", "http://127.0.0.1:9/v1", "--model", "x", "--prompts", str(questions), "--home", str(tmp_path)]
    assert run(["bench", *words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "does not respond" in said.err
    assert said.err.strip().splitlines()[-1].startswith("→ ")
    assert run(["bench", *words, "--json"]) == 1
    assert capsys.readouterr().out == ""
    assert list((tmp_path / "bench").iterdir()) == []


def test_a_cost_without_watts_says_that_electricity_is_left_out():
    bought = Hardware(price=876.0).hourly(None)
    assert bought
    assert bought[1] == "876 over 8,760 hours at work; electricity is left out, as its watts are not known"
    with_watts = Hardware(price=876.0, watts=100).hourly(None)
    assert with_watts
    assert "left out" not in with_watts[1]


def test_one_round_is_told_as_one():
    asked = Conditions(rows=1, source="a.csv", max_tokens=8, repeats=1, warm_up=1, levels=(1,), metric="loss")
    result = Result(id="x", begun=0.0, state="done", settings=asked, machine=MeasuredOn(name="m", cores=2))
    assert "1 round a level" in figures.how(result)
