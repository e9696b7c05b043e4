"""What is looked at before training: files, rows in memory, or the data of a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

import studio
from studio.cli.main import run


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("ask;say\nAlpha?;red\nBeta?;blue\n")
    Path("bot.yaml").write_text("data: {train: rows.csv, holdout: 0, columns: {question: ask, answer: say}}\n")


def test_a_spec_is_looked_at_like_its_data() -> None:
    spec = studio.load("bot.yaml")
    for found in (studio.inspect(spec), studio.inspect("bot.yaml"), studio.inspect(spec=spec)):
        assert (found.usable, found.totals.usable) == (True, 2)
    (first, _) = studio.preview(spec)
    assert next(piece.text for piece in first.pieces if piece.trained) == "red"
    assert [str(item) for item in studio.preview("bot.yaml")] == [str(item) for item in studio.preview(spec=spec)]


@pytest.mark.parametrize("words", [["bot.yaml"], ["--spec", "bot.yaml"]])
@pytest.mark.parametrize("verb", ["inspect", "preview"])
def test_the_command_takes_a_spec_in_place_of_a_file(verb: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", verb, *words]) == 0
    assert "rows.csv" in capsys.readouterr().out


def test_a_preview_of_nothing_says_what_to_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "preview"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "→ studio data preview FILE, or --spec S"


def test_rows_in_memory_and_files_become_versions_of_a_dataset() -> None:
    import pandas

    first = studio.add_dataset("Desk", [{"question": "Alpha?", "answer": "red"}])
    second = studio.add_dataset("Desk", "rows.csv", pandas.DataFrame({"question": ["Beta?"], "answer": ["blue"]}))
    assert (first.reference, second.reference) == ("dataset:desk@1", "dataset:desk@2")
    assert repr(second).startswith("<dataset:desk@2: Desk, ")
    assert studio.inspect(first.reference).totals.usable == 1


def test_one_further_file_needs_no_list_and_one_tag_is_asked_for_as_one() -> None:
    assert studio.RunSpec(name="bot", data={"train": "rows.csv"}, evaluation={"also": "more.csv"}).evaluation.also == [
        "more.csv"
    ]
    with pytest.raises(studio.StudioError, match=r"tracking\.tags: expected a list"):
        studio.RunSpec(name="bot", data={"train": "rows.csv"}, tracking={"tags": "mine"})
