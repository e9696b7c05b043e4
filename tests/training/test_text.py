"""Continued pre-training: losses and gradients are TRL's on the same documents; conversations are learned beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from studio.data import encode
from studio.data.rows import Conversation
from studio.training import adapters
from tests.training.kit import make_job
from tests.training.test_resume import killed, progress_of, same

pytestmark = pytest.mark.numeric

TEXTS = ["the lamp is blue", "a kettle is made of steel and the lamp is made of glass", "the warranty is two years " * 6, "oak"]
SETTINGS: dict[str, Any] = {
    "batch_size": len(TEXTS), "micro_batch": 3, "epochs": 4, "schedule": "constant", "warmup": 0.0, "held_out": None,
}  # fmt: skip


def encoded(folder: Path, tokenizer: Any, rows: list[Conversation]) -> encode.Tokens:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "rows.jsonl"
    file.write_bytes(b"".join(orjson.dumps(row.as_dict()) + b"\n" for row in rows))
    return encode.encode_file(file, tokenizer, "assistant", folder / "tokens", needs="texts")


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_losses_are_trls_on_the_same_texts(
    quantization: str, run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path
):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

    rows = encoded(tmp_path, tokenizer, [Conversation(text=text, file="a", line=line) for line, text in enumerate(TEXTS, 1)])
    job = make_job(tmp_path / "trl", **SETTINGS)
    model = adapters.attach(load(quantization=quantization), job.adapter, job.training.seed)
    fresh = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=str(tmp_path / "trl"), use_cpu=True, bf16=False, per_device_train_batch_size=len(TEXTS), max_steps=4,
            learning_rate=5e-3, lr_scheduler_type="constant", activation_checkpointing=False, logging_steps=1,
            save_strategy="no", disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list([{"text": text} for text in TEXTS]),  # TRL cuts it into tokens and ends it itself
        processing_class=tokenizer,
    )  # fmt: skip
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.data = fresh[name]
    trainer.train()
    wanted = [line for line in trainer.state.log_history if "loss" in line]
    base = load(quantization=quantization)
    _, told, _ = run(train=rows, base=base, quantized=quantization == "nf4", max_length=256, method="text", **SETTINGS)
    assert list(told.series("loss").values()) == pytest.approx([line["loss"] for line in wanted], rel=1e-4)
    assert list(told.series("grad_norm").values()) == pytest.approx([line["grad_norm"] for line in wanted], rel=1e-3)


def test_a_run_on_pieces_of_a_document_that_was_killed_ends_with_the_same_weights(
    run: Callable[..., Any], tokenizer: Any, tmp_path: Path
):
    text = [Conversation(text=part, file="a", line=line, passage=line, glue="\n\n") for line, part in enumerate(TEXTS, 1)]
    rows = encode.limit(encoded(tmp_path / "data", tokenizer, text), 24, "split")
    assert len(rows) > 4
    settings: dict[str, Any] = {
        "train": rows,
        "method": "text",
        "batch_size": 2,
        "epochs": 2,
        "save_every": 2,
        "max_length": 24,
    }
    run("whole", **settings)
    killed(run, 3, "cut", progress_of(tmp_path / "cut", 2), **settings)
    run("cut", **settings)
    assert same(tmp_path / "whole" / "adapter", tmp_path / "cut" / "adapter")
