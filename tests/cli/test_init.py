"""`studio init`: from somebody's data to a spec that plans, with a reason beside each choice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.cli.main import run
from studio.core import resources

GPU = ["--gpu", "RTX 3060"]


@pytest.fixture(autouse=True)
def work(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for file in resources.folder("datasets").glob("*.*"):
        shutil.copy(file, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("data", "task"),
    [
        ("support.jsonl", "chat"), ("tickets.jsonl", "classification"), ("orders.jsonl", "extraction"),
        ("chat.jsonl", "tool-calls"), ("handbook.txt", "plain-text"), ("support-pairs.jsonl", "preference"),
    ],
)  # fmt: skip
def test_the_task_is_read_from_the_rows_and_the_spec_plans(data: str, task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--data", data, *GPU, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["task"], made["fits"]) == (task, True)
    spec = studio.load(made["file"])
    assert (spec.name, spec.data.train, spec.model.name) == (Path(data).stem, data, made["model"])
    text = Path(made["file"]).read_text()
    assert "# What the plan decides on RTX 3060" in text
    assert "Licence" in text or "licence apache-2.0" in text
    assert studio.plan(spec, gpu="RTX 3060").fits


def test_a_messy_file_becomes_a_spec_beside_which_it_is_found(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messy = "Frage;Antwort\r\nWie hoch ist die Lampe für draußen?;Neun Meter.\r\nWie breit?;Größe M.\r\n" * 1
    (work / "Meine Fragen.csv").write_bytes(messy.encode("cp1252"))
    assert run(["init", "specs/bot.yaml", "--data", "Meine Fragen.csv", "--task", "chat", *GPU]) == 0
    assert "base model Qwen/Qwen3-4B" in capsys.readouterr().out
    spec = studio.load("specs/bot.yaml")
    assert spec.name == "meine-fragen"
    assert studio.inspect(spec=spec).totals.usable == 2


@pytest.mark.slow
def test_a_smaller_gpu_gets_a_smaller_model_and_the_spec_says_why(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = [{"question": f"{n}: " + "why " * 5000, "answer": "because " * 2000} for n in range(8)]
    (work / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in long))
    assert run(["init", "--data", "long.jsonl", "--task", "chat", "--gpu", "RTX 2060", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["model"] != "Qwen/Qwen3-4B"
    assert "does not fit" in Path(made["file"]).read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], ("--data: no data were given", "→ studio init --data FILE")),
        (["--data", "gone.csv"], ("gone.csv: there is no such file", "→ ")),
        (
            ["--data", "support.jsonl", "--task", "clasification"],
            ("--task: there is no task", "→ Did you mean `classification`?"),
        ),
        (["--data", "support.jsonl", "--gpu", "RTX 306"], ("--gpu: `RTX 306`", "→ ")),
        (["there.yaml", "--data", "support.jsonl"], ("there.yaml: the file already exists", "→ Name another")),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    words: list[str], says: tuple[str, str], work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "there.yaml").write_text("mine")
    before = {file: file.read_bytes() for file in work.iterdir() if file.is_file()}
    assert run(["init", *words, "--yes"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(said) for line, said in zip(lines, says, strict=True)), lines
    assert {file: file.read_bytes() for file in work.iterdir() if file.is_file()} == before


def test_questions_are_asked_in_a_terminal_and_enter_takes_the_proposal(monkeypatch: pytest.MonkeyPatch) -> None:
    import typer

    asked: list[str] = []

    def answer(question: str, default: Any = None, **_: Any) -> Any:
        asked.append(question)
        return "tickets.jsonl" if default is None else default

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", answer)
    assert run(["init", *GPU]) == 0
    assert [question.partition(" (")[0] for question in asked] == ["Your data", "Task", "Base model"]
    assert studio.load("tickets.yaml").adapter.rank == 8


def test_a_wrong_answer_is_asked_again_and_costs_none_of_the_others(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    answers = [
        "",
        "suport.jsonl",
        "'support.jsonl'",
        "chatt",
        " CHAT ",
        "RTX 9999",
        "rtx 3060",
        "no/such",
        "support.yaml",
        "bot.yaml",
    ]
    (work / "support.yaml").write_text("mine")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", lambda question, **_: answers.pop(0))
    assert run(["init"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert answers == []
    for problem in ("the name of the data is empty", "Did you mean support.jsonl?", "there is no task `chatt`", "`RTX 9999`",
                    "! not planned", "support.yaml: the file already exists"):  # fmt: skip
        assert problem in shown, shown
    assert (work / "support.yaml").read_text() == "mine"
    assert studio.load("bot.yaml").model.name == "no/such"


@pytest.mark.parametrize("data", ["dataset:our-help@1", "dataset:our-help", "our-help"])
def test_a_dataset_of_the_library_is_named_with_or_without_its_version(
    data: str, work: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["data", "add", "support.jsonl", "--name", "Our help", "--home", str(home)]) == 0
    capsys.readouterr()
    assert run(["init", "--data", data, *GPU, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    spec = studio.load(made["file"])
    assert (made["task"], made["fits"], spec.name) == ("chat", True, "our-help")
    assert spec.data.train == (data if ":" in data else f"dataset:{data}")
