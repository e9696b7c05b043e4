"""Distillation on a CPU: the studio against TRL's GKD trainer on the same rows and teacher, in tokens per CPU second.

    nice -n 10 python bench/distil.py      # three rounds of everything, writes bench/results/distil-cpu.json

Each variant runs in a process of its own with one thread, in turn; the figure is real tokens per CPU second over all steps but
the first. All get the same rows in the same order, the same LoRA weights to begin with, forward KL, and AdamW at a constant
rate. TRL runs the teacher in every step; the studio reads its probabilities once, before, so each figure is also given with
that reading counted once (one epoch: the worst case). With all of the teacher's tokens kept, losses must be TRL's; with the
eight likeliest, as by default, they are those of the same distributions with a tail.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit import testbed, training
from kit.machine import facts, keep, ratio, spread
from kit.rounds import all_measured, losses_apart

ROWS = 32
VARIANTS: dict[str, dict[str, Any]] = {
    "trl gkd": {"side": "trl"},
    "studio distil": {"side": "studio", "top_k": 8},
    "studio distil, every token": {"side": "studio", "top_k": testbed.SMALL - 1},
}
TARGET = 1.5
WHAT = "LoRA r16 on a random Llama of 14 M, fp32, forward KL: real tokens per CPU second, one thread, steps after the first"


def teacher() -> Any:
    """A model of the student's size with other weights."""
    import torch

    model, _ = testbed.base(testbed.SMALL)
    with torch.no_grad():
        for number, weights in enumerate(model.parameters()):
            weights.add_(0.02 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(number)))
    return model.eval()


def studio_run(folder: Path, top_k: int) -> dict[str, Any]:
    """One run of the studio: the teacher reads, leaves, and the student is trained."""
    from studio.models import libraries
    from studio.training.fit import fit
    from studio.training.settings import ResolvedTraining
    from studio.training.teacher import score

    libraries.import_heavy()
    asked, clock = training.job(folder, ROWS, testbed.SMALL, "fp32", 2, True), training.Clock()
    settings = {"method": {"kind": "distil", "teacher": "x", "top_k": top_k}}
    model = teacher()
    begun = time.process_time()
    words = score(model, asked.train, top_k, testbed.SMALL, folder / "teacher", "bench", clock)
    read = time.process_time() - begun
    del model
    run = ResolvedTraining(**{**asked.training.model_dump(), **settings})
    fit(*testbed.base(testbed.SMALL), replace(asked, training=run, teacher=words), clock)
    found = clock.result()
    each = 1 / found["tokens_per_cpu_second"] + read / int(asked.train.lengths.sum())
    return {**found, "with_reading": 1 / each}


def trl_run(folder: Path) -> dict[str, Any]:
    """One run of TRL's trainer on the same tokens."""
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    from studio.training import adapters
    from studio.training.settings import ResolvedAdapter

    clock, counted = training.Clock(), []

    class Follow(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                clock.metrics(state.global_step, loss=float(logs["loss"]), tokens=sum(counted))

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        longest = max(len(row["input_ids"]) for row in rows)
        counted.append(sum(len(row["input_ids"]) for row in rows))

        def padded(name: str, fill: int) -> Any:
            return torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in rows])

        ids = padded("input_ids", 0)
        seen = torch.tensor([[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows])
        return {"input_ids": ids, "labels": padded("labels", -100), "attention_mask": seen, "prompts": ids[:, :1]}

    data = [{"input_ids": ids, "labels": labels} for ids, labels in testbed.in_order(ROWS, testbed.SMALL)]
    model, tokenizer = testbed.base(testbed.SMALL)
    trainer = GKDTrainer(
        model=adapters.attach(model, ResolvedAdapter(rank=16, alpha=32), testbed.SEED),
        teacher_model=teacher(),
        args=GKDConfig(
            output_dir=str(folder), use_cpu=True, bf16=False, per_device_train_batch_size=testbed.BATCH, num_train_epochs=1,
            learning_rate=testbed.RATE, lr_scheduler_type="constant", logging_steps=1, save_strategy="no", disable_tqdm=True,
            report_to="none", activation_checkpointing=False, train_sampling_strategy="sequential", lmbda=0.0, beta=0.0,
            max_length=testbed.MAX_LENGTH,
        ),
        data_collator=collate,
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        callbacks=[Follow()],
    )  # fmt: skip
    trainer.train()
    found = clock.result()
    return {**found, "with_reading": found["tokens_per_cpu_second"]}


def main() -> None:
    """Measure, print, write; exit 1 if losses differ."""
    rounds, found = all_measured(__file__, VARIANTS, {"studio": studio_run, "trl": trl_run})
    speeds = {name: [run["tokens_per_cpu_second"] for run in runs] for name, runs in found.items()}
    reading = {name: [run["with_reading"] for run in runs] for name, runs in found.items()}
    ratios = {
        "training": ratio(speeds["studio distil"], speeds["trl gkd"], TARGET),
        "the teacher's reading counted": ratio(reading["studio distil"], reading["trl gkd"], TARGET),
    }
    losses = losses_apart(found["studio distil, every token"], found["trl gkd"])
    result: dict[str, Any] = {
        "what": WHAT,
        **facts("torch", "transformers", "trl", "peft"),
        "rounds": rounds,
        "tokens_per_cpu_second": {name: spread(values) for name, values in speeds.items()},
        "with_the_teachers_reading": {name: spread(values) for name, values in reading.items()},
        "peak_mib": {name: spread([run["peak_mib"] for run in runs], 0) for name, runs in found.items()},
        "ratios": ratios,
        "losses": losses,
    }
    print(json.dumps({"ratios": ratios, "losses": losses}, indent=2))
    keep("distil-cpu", result)
    if not losses["equal"]:
        sys.exit("losses differ")


if __name__ == "__main__":
    main()
