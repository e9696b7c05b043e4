"""`studio train`: what its words mean, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.app import runs
from studio.cli import follow
from studio.cli.main import run


@pytest.fixture(autouse=True)
def work(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    asked: list[Any] = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_text('{"question": "a?", "answer": "b"}\n')
    (tmp_path / "bot.yaml").write_text("data: {train: rows.jsonl}\n")
    (tmp_path / "a=b.yaml").write_text("name: equals\ndata: {train: rows.jsonl}\n")
    monkeypatch.setattr(runs, "start", lambda spec, home=None: asked.append(spec))
    monkeypatch.setattr(follow, "follow", lambda *_, **__: 0)
    return asked


def started(asked: list[Any], *words: str) -> Any:
    assert run(["train", *words]) == 0
    return asked[-1]


def test_settings_may_be_bare_words_as_the_agent_of_a_sweep_gives_them(work: list[Any]) -> None:
    spec = started(work, "bot.yaml", "training.learning_rate=0.001", "adapter.rank=8", "--set", "training.epochs=2")
    assert (spec.training.learning_rate, spec.adapter.rank, spec.training.epochs) == (0.001, 8, 2)


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(work: list[Any]) -> None:
    assert started(work, "a=b.yaml").name == "equals"


@pytest.mark.parametrize(("codes", "runs_started", "code"), [([130, 0], 1, 130), ([1, 0], 2, 1), ([0, 0], 2, 0)])
def test_who_stops_a_run_starts_none_of_those_after_it(
    codes: list[int], runs_started: int, code: int, work: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = iter(codes)
    monkeypatch.setattr(follow, "follow", lambda *_, **__: next(ends))
    assert run(["train", "bot.yaml", "a=b.yaml"]) == code
    assert len(work) == runs_started


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["adapter.rank=8"], ("adapter.rank=8: the spec is missing", "→ Name a YAML file: studio train SPEC")),
        (["bot.yaml", "adapter.rnak=8"], ("--set: adapter.rnak", "→ Did you mean")),
    ],
)
def test_words_that_are_no_setting_are_refused(words: list[str], says: tuple[str, str], capsys: Any, work: list[Any]) -> None:
    assert run(["train", *words]) == 2
    assert work == []
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(said) for line, said in zip(lines, says, strict=True)] == [True, True], lines
