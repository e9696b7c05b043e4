"""`studio plan` says first what matters: the model, what it needs, whether it fits; `--all` shows the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.cli.main import run
from studio.core import resources
from tests.data import messy

PRESET = str(resources.folder("configs") / "qwen3-4b.yaml")


@pytest.mark.usefixtures("home")
def test_the_summary_comes_before_the_decisions_and_internals_only_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", PRESET, "--gpu", "RTX 3060"]) == 0
    short = capsys.readouterr().out
    order = [short.index(words) for words in ("base model: Qwen/Qwen3-4B", "memory: ", "It fits.", "training.learning_rate")]
    assert order == sorted(order)
    assert "training.varlen_attention" not in short
    assert "more decisions, memory by part, disk space and RAM: --all" in short
    assert run(["plan", PRESET, "--gpu", "RTX 3060", "--all"]) == 0
    every = capsys.readouterr().out
    assert "training.varlen_attention" in every
    assert "CUDA context" in every


@pytest.mark.usefixtures("home")
def test_what_the_rows_hold_is_said_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hilfe.csv").write_bytes(messy.export())
    (tmp_path / "bot.yaml").write_text(f"data: {{train: {tmp_path / 'hilfe.csv'}}}\n")
    assert run(["plan", str(tmp_path / "bot.yaml"), "--json"]) == 0
    warnings = json.loads(capsys.readouterr().out)["warnings"]
    assert warnings[0] == "1 of 48 rows repeat an earlier one and are left out"
    assert warnings[1].startswith("the same question has different answers: 1 question, first hilfe.csv, line 42")
    assert "contradictions in 2 rows (first hilfe.csv, line 42)" in warnings[3]
    assert "personal data in 2 rows" in warnings[3]
    assert warnings[3].endswith("studio data desk shows them")


@pytest.mark.usefixtures("home")
def test_a_spec_that_names_no_model_is_said_to_train_the_small_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bot.yaml").write_text(f"data: {{train: {resources.sample('support.jsonl')}}}\n")
    assert run(["plan", str(tmp_path / "bot.yaml")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "3.7 M parameters, for a first try; choose yours with model.name" in next(
        line for line in said if "base model" in line
    )


@pytest.mark.usefixtures("home")
@pytest.mark.slow
def test_the_disk_and_ram_of_this_machine_say_nothing_about_a_gpu_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from studio.hardware import machine

    monkeypatch.setattr(machine, "disk", lambda folder: 1 << 20)
    monkeypatch.setattr(machine, "memory", lambda: (1 << 30, 1 << 28))
    assert run(["plan", PRESET, "--gpu", "RTX 3060"]) == 0
    said = capsys.readouterr().out
    assert "It fits." in said
    assert " free" not in said
    assert "of RAM" not in said
    assert run(["plan", PRESET]) == 3, "of this machine both count"


@pytest.mark.usefixtures("home")
def test_doctor_says_whether_there_is_a_key_and_not_only_a_client(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("studio.tracking.secrets._from_keyring", lambda name: None)
    for key, good, words in (("", None, "stays in its folder"), ("k" * 40, True, "from the environment")):
        monkeypatch.setenv("WANDB_API_KEY", key)
        run(["doctor", "--json"])
        (found,) = [item for item in json.loads(capsys.readouterr().out) if item["name"] == "W&B key"]
        assert found["ok"] is good
        assert words in found["found"]
        assert "k" * 40 not in found["found"]


@pytest.mark.usefixtures("home")
def test_a_distillation_without_a_teacher_is_refused_by_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("question,answer\nWhat is it?,A lamp\n")
    (tmp_path / "bot.yaml").write_text(f"data: {{train: {tmp_path / 'rows.csv'}}}\ntraining: {{method: distil}}\n")
    assert run(["plan", str(tmp_path / "bot.yaml"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["where"] == "training.method.teacher"
