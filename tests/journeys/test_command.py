"""From a user's CSV to a verified GGUF in the terminal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import ROOT, studio

pytestmark = pytest.mark.slow


def test_a_csv_and_a_spec_become_a_proven_adapter_and_a_verified_gguf(finished: dict[str, Any]) -> None:
    folder = Path(finished["folder"])
    assert finished["state"] == "done"
    assert finished["exit_code"] == 0
    assert finished["exports"] == ["adapter", "gguf-q8_0", "merged"]
    assert "held-out" in finished["verdict"]
    names = {path.name for path in folder.iterdir()}
    files = "spec.yaml asked.yaml lock.json status.json events.jsonl log.txt metrics.jsonl"
    promised = f"{files} data checkpoints adapter evaluation exports"
    assert set(promised.split()) <= names
    for name in finished["exports"]:
        manifest = json.loads((folder / "exports" / name / "artifact.json").read_text())
        assert manifest["verification"]["passed"] is True, manifest["verification"]
        assert manifest["verification"]["evidence"]["rows"] > 0, "the run's own evidence was asked again"


def test_every_logged_step_tells_loss_rate_and_memory(finished: dict[str, Any]) -> None:
    lines = [json.loads(line) for line in (Path(finished["folder"]) / "metrics.jsonl").read_text().splitlines()]
    trained = [line for line in lines if "loss" in line]
    assert {"step", "loss", "lr", "grad_norm", "tokens", "tokens_per_second", "memory"} <= set(trained[-1])
    assert trained[-1]["loss"] < trained[0]["loss"]
    assert any("eval_loss" in line for line in lines)


def test_a_resolved_spec_has_no_undecided_value_and_its_plan_gives_reasons(finished: dict[str, Any]) -> None:
    from studio import spec

    folder = Path(finished["folder"])
    resolved = spec.load(folder / "spec.yaml")
    assert resolved.model.quantization is not None
    assert resolved.training.micro_batch
    assert resolved.data.max_length
    plan = json.loads((folder / "plan.json").read_text())
    assert all(decision["reason"] for decision in plan["decisions"])


def test_the_prediction_stands_beside_the_measured_peak(finished: dict[str, Any], shared_home: Path) -> None:
    plan = studio("runs", "show", finished["id"], "--json", home=shared_home).json["plan"]
    assert plan["measured"]["peak"] > 0
    assert plan["measured"]["predicted"] > 0


def test_no_secret_and_no_half_written_file_lies_in_a_run_folder(finished: dict[str, Any]) -> None:
    folder = Path(finished["folder"])
    left = [path.name for path in folder.rglob(".*") if path.is_file()]
    assert left == []
    assert not [path for path in folder.rglob("*") if path.suffix in (".bin", ".pkl", ".pickle")]


def test_the_history_lists_shows_and_compares_runs(finished: dict[str, Any], shared_home: Path) -> None:
    listed = studio("runs", "list", "--json", home=shared_home).json
    assert finished["id"] in [row["id"] for row in listed]
    for words in (["runs", "list"], ["runs", "show", "journey"], ["runs", "compare", finished["id"], finished["id"]]):
        shown = studio(*words, home=shared_home)
        assert shown.code == 0, shown.err
        assert finished["id"][:12] in shown.out


def test_a_repeated_run_says_what_differs_now(finished: dict[str, Any], desk: Path, shared_home: Path) -> None:
    from studio.app import runs

    spec_file = Path(finished["folder"]) / "spec.yaml"
    assert runs.changes_since(spec_file) == []
    data = desk / "support.csv"
    before = data.read_bytes()
    try:
        data.write_bytes(before + b"One more?;Yes.\r\n")
        assert any("support.csv" in change for change in runs.changes_since(spec_file))
    finally:
        data.write_bytes(before)


def test_chat_answers_by_base_and_tuned(finished: dict[str, Any], shared_home: Path) -> None:
    ended = studio(
        "chat", finished["id"], "-m", "How much is the Juniper mirror?", "--max-tokens", "24", "--json", home=shared_home
    )
    assert ended.code == 0, ended.err
    assert {"question", "base", "tuned"} <= set(ended.json)


def test_an_evaluation_can_be_repeated_on_further_questions(
    finished: dict[str, Any], shared_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "more.jsonl").write_text('{"question": "How much is it?", "answer": "It costs 5 dollars."}\n' * 1)
    ended = studio("eval", finished["id"], "--against", tmp_path / "more.jsonl", "--json", home=shared_home)
    assert ended.code == 0, ended.err
    assert [item["name"] for item in ended.json["sets"]] == ["held-out", "also:more"]
    assert "answers of tuned on also:more: 100%" in ended.err, "how far it is can be read"


def test_an_export_can_be_made_later_and_copied_out(finished: dict[str, Any], shared_home: Path, tmp_path: Path) -> None:
    words = ["export", finished["id"], "--to", "gguf", "--quant", "f16", "--out", tmp_path / "bot", "--json"]
    ended = studio(*words, home=shared_home)
    assert ended.code == 0, ended.err
    assert ended.json["verification"]["passed"]
    assert list((tmp_path / "bot").glob("*.gguf"))
    again = studio(*words, home=shared_home)
    assert again.code == 2
    assert "not empty" in again.err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data: {train: suport.csv}\n", "support.csv"),
        ("data: {train: support.csv}\nmodel: {name: ./no-such-folder}\n", "no-such-folder"),
        ("data: {train: support.csv}\nadaptor: {rank: 8}\n", "adapter"),
    ],
)
def test_wrong_input_ends_with_two_lines_and_exit_code_2(text: str, told: str, desk: Path, tmp_path: Path) -> None:
    (desk / "wrong.yaml").write_text(text)
    ended = studio("train", "wrong.yaml", home=tmp_path, cwd=desk)
    assert ended.code == 2, ended.out + ended.err
    lines = ended.err.strip().splitlines()
    assert lines[-1].startswith("→")
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_data_that_cannot_be_used_ends_with_2_naming_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"question": "a?", "answer": "b"}\n{"question": "c?", "answer": ""}\n{broken\n')
    ended = studio("data", "inspect", "bad.jsonl", "--json", cwd=tmp_path)
    assert ended.code == 2
    assert [item["line"] for item in ended.json["rejected"]["first"]] == [2, 3]


def test_preview_marks_the_answer_and_its_end_and_nothing_else(desk: Path) -> None:
    row = studio("data", "preview", desk / "support.csv", "--rows", "1", "--json").json[0]
    trained = "".join(piece["text"] for piece in row["tokens"] if piece["trained"])
    first = json.loads((ROOT / "datasets" / "support.jsonl").read_text().splitlines()[0])
    assert trained == first["answer"] + "<|im_end|>"


def test_plan_trains_nothing_and_plans_for_cards_one_does_not_have(desk: Path, tmp_path: Path) -> None:
    ended = studio("plan", "spec.yaml", "--gpu", "RTX 3060", "--json", cwd=desk)
    assert ended.code == 0, ended.err
    assert "3060" in ended.json["machine"]
    assert ended.json["fits"]
    assert {"decisions", "memory", "counts"} <= set(ended.json)


def test_ctrl_c_saves_a_checkpoint_and_resume_finishes_the_run(desk: Path, tmp_path: Path) -> None:
    words = ["train", "spec.yaml", "--set", "training.epochs=10", "--set", "export=[]", "--home", str(tmp_path)]
    command = subprocess.Popen(
        [sys.executable, "-m", "studio", *words],
        cwd=desk,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # as in a terminal; a shell's background job ignores it
    )
    _until(lambda: any(tmp_path.glob("runs/*/metrics.jsonl")), 120)
    time.sleep(1)
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=180)
    assert command.returncode == 130
    row = studio("runs", "list", "--json", home=tmp_path).json[0]
    assert row["state"] == "stopped"
    assert list((Path(row["folder"]) / "checkpoints").iterdir())
    resumed = studio("runs", "resume", "last", "--json", home=tmp_path)
    assert resumed.code == 0, resumed.err
    assert resumed.json["state"] == "done"
    assert resumed.json["id"] == row["id"]
    assert resumed.json["step"] > row["step"]


def _until(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
