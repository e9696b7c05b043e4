"""A real chat model, SmolLM2-135M-Instruct: from rows to verified exports that answer, and what is said of a ruined one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.core.errors import ModelError
from studio.models import smollm2
from tests.journeys.conftest import ROOT, studio

pytestmark = [pytest.mark.slow, pytest.mark.torch]


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The model's folder, fetched once a user and kept; without it these tests are skipped."""
    try:
        return smollm2.fetch()
    except ModelError as error:
        pytest.skip(f"SmolLM2 cannot be had: {error}")


def spec(model: Path, folder: Path, rows: int, replay: float | None = None, quantization: str = "nf4", **sections: Any) -> Path:
    for name, most in (("support.jsonl", rows), ("support-heldout.jsonl", 8)):
        lines = (ROOT / "datasets" / name).read_text().splitlines()[:most]
        (folder / name).write_text("\n".join(lines))
    content: dict[str, Any] = {
        "name": "real",
        "model": {"name": str(model), "quantization": quantization},
        "data": {
            "train": str(folder / "support.jsonl"),
            "holdout": str(folder / "support-heldout.jsonl"),
            "replay": replay,
        },
        "tracking": {"wandb": "off"},
        **sections,
    }
    file = folder / "spec.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_from_rows_through_4_bit_training_and_evidence_to_verified_exports_that_answer(
    real_model: Path, tmp_path: Path
) -> None:
    training = {"learning_rate": 2e-3, "max_steps": 12, "batch_size": 4, "eval_every": 12}
    exports = [{"kind": "merged"}, {"kind": "gguf", "quant": "q8_0"}]
    file = spec(real_model, tmp_path, 48, training=training, export=exports, evaluation={"general": "off", "max_rows": 4})
    ended = studio("train", file, "--json", home=tmp_path / "home")
    assert ended.code == 0, ended.err + ended.out
    run = Path(ended.json["folder"])
    counts = json.loads((run / "plan.json").read_text())["counts"]
    assert (counts["rows"], counts["replayed"]) == (72, 24), "the plan mixes in half as many general rows as there are rows"
    report = json.loads((run / "evaluation" / "report.json").read_text())
    loss = {part["name"]: part["metrics"]["loss"] for part in report["sets"]}
    assert loss["held-out"]["tuned"]["value"] < 0.6 * loss["held-out"]["base"]["value"]
    manifests = [json.loads(item.read_text()) for item in run.glob("exports/*/artifact.json")]
    assert {item["folder"]: item["verification"]["passed"] for item in manifests} == {"merged": True, "gguf-q8_0": True}
    exported = run / "exports" / "merged"
    answer = studio("chat", exported, "-m", "What is the capital of France?", home=tmp_path / "home")
    assert "Paris" in answer.out, answer.err + answer.out


SAME = {"adapter": 8, "merged": 7, "gguf-q8_0": 6, "onnx-int8": 6}
"""Of eight answers, those that must be the very ones of base + adapter in plain peft."""


def test_exports_of_a_real_model_answer_alike_in_their_runtimes_own_interfaces_and_are_as_large_as_was_said(
    real_model: Path, tmp_path: Path
) -> None:
    training = {"learning_rate": 2e-3, "max_steps": 40, "batch_size": 4, "eval_every": 40}
    kinds = [{"kind": "adapter"}, {"kind": "merged"}, {"kind": "gguf", "quant": "q8_0"}, {"kind": "onnx", "quant": "int8"}]
    evaluation = {"general": "off", "max_rows": 4}
    file = spec(
        real_model, tmp_path, 160, replay=0, quantization="none", training=training, export=kinds, evaluation=evaluation
    )
    home = tmp_path / "home"
    ended = studio("train", file, "--json", home=home)
    assert ended.code == 0, ended.err + ended.out
    run = Path(ended.json["folder"])
    rows = [json.loads(line)["question"] for line in (tmp_path / "support-heldout.jsonl").read_text().splitlines()]
    known = asked(run / "exports" / "adapter", "adapter", rows, str(real_model))
    assert len(known) == 8
    assert len(set(known)) > 1, "it answers by what it is asked"
    for target in kinds:
        quant = target.get("quant", "")
        folder = run / "exports" / "-".join(filter(None, (target["kind"], quant)))
        made = json.loads((folder / "artifact.json").read_text())
        words = ["export", run.name, "--to", target["kind"], *(["--quant", quant] if quant else []), "--dry-run", "--json"]
        assert studio(*words, home=home).json["bytes"] == pytest.approx(made["bytes"], rel=0.1)
        there = known if folder.name == "adapter" else asked(folder, target["kind"], rows)
        alike = sum(one == two for one, two in zip(known, there, strict=True))
        assert alike >= SAME[folder.name], f"{folder.name}: {there} instead of {known}"


def asked(folder: Path, kind: str, rows: list[str], base: str = "") -> list[str]:
    """What an export answers, by its runtime alone: `bench/exports/answers.py` has nothing of the studio's."""
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(folder.parent / "adapter")  # a GGUF file is its own
    prompts = [[{"role": "user", "content": row}] for row in rows]
    texts = [words.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True) for prompt in prompts]
    questions = folder.parent / "questions.json"
    questions.write_text(json.dumps([{"text": text, "messages": row} for text, row in zip(texts, prompts, strict=True)]))
    script = ROOT / "bench" / "exports" / "answers.py"
    command = [sys.executable, str(script), kind, str(folder), str(questions), *([base] if base else [])]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [json.loads(line)["answer"] for line in said.splitlines() if line.startswith('{"answer"')]


def test_a_run_that_ruins_a_real_model_is_said_to_forget_in_the_headline(real_model: Path, tmp_path: Path) -> None:
    training = {"learning_rate": 1e-2, "max_steps": 10, "batch_size": 4, "keep": "last", "eval_every": 10}
    evaluation = {"max_rows": 4, "max_new_tokens": 16}
    file = spec(real_model, tmp_path, 48, replay=0, quantization="none", training=training, evaluation=evaluation)
    ended = studio("train", file, "--json", home=tmp_path / "home")
    assert ended.code == 0, ended.err + ended.out
    report = json.loads((Path(ended.json["folder"]) / "evaluation" / "report.json").read_text())
    loss = {part["name"]: part["metrics"]["loss"] for part in report["sets"]}
    assert list(loss) == ["held-out", "general", "general-text"]
    assert 1.5 < loss["general-text"]["base"]["value"] < 3.5, "a real model finds ordinary text likely"
    verdict = report["verdict"]
    assert "perplexity of general text" in verdict["text"]
    assert "(a clear loss)" in verdict["text"]
    assert verdict["text"].partition(":")[0] in (
        "Better but forgets", "Worse, and it forgets", "No clear difference, and it forgets",
    )  # fmt: skip
