"""Preference training on a CPU: the studio against TRL's trainers on the same pairs, in tokens per CPU second.

    nice -n 10 python bench/preferences.py      # three rounds of everything, writes bench/results/preferences-cpu.json
    python bench/preferences.py --only "trl orpo" "studio orpo"
    python bench/preferences.py --rounds 1 --kept FOLDER     # may be interrupted, and goes on with what FOLDER has not

Each variant runs in a process of its own with one thread, in turn; the figure is real tokens of the pairs per CPU second over
all steps but the first, so that TRL's and the studio's scores before training are not counted. All get the same pairs in the
same order, the same LoRA weights to begin with and AdamW at a constant rate; losses must be the same at every step. Lengths
are those of an ordinary chat set, two answers to each prompt.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from kit import testbed, training
from kit.machine import facts, keep, ratio, spread
from kit.rounds import all_measured, losses_apart

PAIRS, STEPS = 4, 3
RATE = 2e-4
VARIANTS: dict[str, dict[str, Any]] = {
    "trl dpo": {"side": "trl", "method": "dpo"},
    "trl dpo, scored before": {"side": "trl", "method": "dpo", "precompute_ref_log_probs": True},
    "studio dpo": {"side": "studio", "method": "dpo", "shared_prompts": False},
    "studio dpo, shared prompts": {"side": "studio", "method": "dpo"},
    "trl orpo": {"side": "trl", "method": "orpo"},
    "studio orpo": {"side": "studio", "method": "orpo"},
    "trl simpo": {"side": "trl", "method": "simpo"},
    "studio simpo": {"side": "studio", "method": "simpo"},
    "trl kto": {"side": "trl", "method": "kto"},
    "studio kto": {"side": "studio", "method": "kto"},
}
RATIOS = {
    "dpo": ("studio dpo", "trl dpo", 3.0),
    "dpo, both scored before": ("studio dpo", "trl dpo, scored before", 2.2),
    "dpo, shared prompts": ("studio dpo, shared prompts", "trl dpo", 4.0),
    "dpo, shared prompts, both scored before": ("studio dpo, shared prompts", "trl dpo, scored before", 2.8),
    "orpo": ("studio orpo", "trl orpo", 2.0),
    "simpo": ("studio simpo", "trl simpo", 2.0),
    "kto": ("studio kto", "trl kto", 2.0),
}
WHAT = "LoRA r16 on a random Llama of 14 M, fp32: real tokens of pairs per CPU second, one thread, steps after the first"


def pairs(prompt: int | None = None) -> Any:
    """One batch of preference pairs as the studio's tokens; prompt: tokens of each prompt, else a third of the row."""
    from studio.data.encode import EMPTY

    random = np.random.default_rng(8)
    ids, masks = [], []
    for size in testbed.lengths(PAIRS):
        begin = prompt or max(2, size // 3)
        start = random.zipf(1.3, begin) % (testbed.SMALL - 4) + 4
        for share in (1.0, float(random.uniform(0.5, 1.2))):
            answer = random.zipf(1.3, max(2, int((size - begin) * share) + 2)) % (testbed.SMALL - 4) + 4
            ids.append(np.concatenate([start, answer]).astype(np.int32))
            masks.append((np.arange(len(ids[-1])) >= begin).astype(np.uint8))
    mask = np.concatenate(masks)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
    meta = {**EMPTY.meta, "trained": int(mask.sum()), "per_row": 2}
    wanted = np.arange(len(ids)) % 2 == 0
    return replace(EMPTY, ids=np.concatenate(ids), mask=mask, offsets=offsets, wanted=wanted, meta=meta)


def rows_of(method: str) -> Any:
    """Pairs, or for KTO the same answers with labels. TRL's ORPO learns the prompt, too, so there it has one token."""
    made = pairs(1 if method == "orpo" else None)
    return replace(made, meta={**made.meta, "per_row": 1}) if method == "kto" else made


def studio_run(folder: Path, method: str, **settings: Any) -> dict[str, Any]:
    """One run of the studio."""
    from studio.models import libraries
    from studio.training.fit import fit
    from studio.training.settings import ResolvedTraining

    libraries.import_heavy()
    asked, rows = training.job(folder, 8, testbed.SMALL, "fp32", 2, True), rows_of(method)
    settings |= {"method": {"kind": method, **({"sft": 0} if method == "dpo" else {})}, "epochs": STEPS}
    settings |= {"batch_size": len(rows) // rows.per_row, "learning_rate": RATE}
    run = ResolvedTraining(**{**asked.training.model_dump(), **settings})
    clock = training.Clock()
    fit(*testbed.base(testbed.SMALL), replace(asked, train=rows, training=run), clock)
    return clock.result()


def trl_run(folder: Path, method: str, **options: Any) -> dict[str, Any]:
    """One run of TRL's trainer for the method, on the same tokens."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer  # pyright: ignore[reportPrivateImportUsage]
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    from studio.training import adapters
    from studio.training.reference import Mismatched
    from studio.training.settings import ResolvedAdapter

    rows, clock = rows_of(method), training.Clock()
    tokens = int(rows.lengths.sum())
    other = Mismatched(rows)

    class Follow(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                clock.metrics(state.global_step, loss=float(logs["loss"]), tokens=tokens * state.global_step)

    def apart(row: int) -> tuple[list[int], list[int]]:
        ids, mask = rows[row]
        begin = int(np.argmax(mask))
        return ids[:begin].tolist(), ids[begin:].tolist()

    data: list[dict[str, Any]] = []
    for row in range(0, len(rows), rows.per_row):
        prompt, answer = apart(row)
        if method == "kto":
            mismatched = other[row][0][len(prompt) :].tolist()
            data.append(
                {"prompt_ids": prompt, "completion_ids": answer, "KL_completion_ids": mismatched, "label": row % 2 == 0}
            )
            continue
        rejected = apart(row + 1)[1]
        values = {
            "prompt_ids": prompt,
            "chosen_ids": answer,
            "rejected_ids": rejected,
            "prompt": "",
            "chosen": "",
            "rejected": "",
        }
        values |= {"prompt_input_ids": prompt, "prompt_attention_mask": [1] * len(prompt)}
        for side, ids in (("chosen", answer), ("rejected", rejected)):
            values |= {f"{side}_input_ids": prompt + ids, f"{side}_attention_mask": [1] * len(prompt + ids)}
            values |= {f"{side}_labels": [-100] * len(prompt) + ids}
        data.append(values)
    config, trainer_class = {
        "dpo": (DPOConfig, DPOTrainer),
        "kto": (KTOConfig, KTOTrainer),
        "orpo": (ORPOConfig, ORPOTrainer),
        "simpo": (CPOConfig, CPOTrainer),
    }[method]
    given = {
        "dpo": {},
        "kto": {"train_sampling_strategy": "sequential"},
        "orpo": {"beta": 0.1, "max_length": testbed.MAX_LENGTH},
        "simpo": {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 0.5, "max_length": testbed.MAX_LENGTH},
    }[method]
    if method in ("orpo", "simpo"):
        trainer_class.tokenize_row = lambda self, feature, model=None: feature
    else:
        trainer_class._prepare_dataset = lambda self, dataset, *more, **named: dataset
    model, tokenizer = testbed.base(testbed.SMALL)
    model = adapters.attach(model, ResolvedAdapter(rank=16, alpha=32), testbed.SEED)
    trainer = trainer_class(
        model=model,
        args=config(
            output_dir=str(folder), use_cpu=True, bf16=False, per_device_train_batch_size=len(data), max_steps=STEPS,
            learning_rate=RATE, lr_scheduler_type="constant", logging_steps=1, save_strategy="no", disable_tqdm=True,
            remove_unused_columns=False, report_to="none", activation_checkpointing=False, **given, **options,
        ),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        callbacks=[Follow()],
    )  # fmt: skip
    fresh = {name: p for name, p in trainer.model.named_parameters() if ".default." in name}
    for name, p in trainer.model.named_parameters():
        if ".ref." in name:  # TRL's copy of the adapter stands for the model before training
            p.data = fresh[name.replace(".ref.", ".default.")].detach().clone()
    trainer.train()
    return clock.result()


def main() -> None:
    """Measure, print, write; exit 1 if losses differ."""
    rounds, found = all_measured(__file__, VARIANTS, {"studio": studio_run, "trl": trl_run})
    speeds = {name: [run["tokens_per_cpu_second"] for run in runs] for name, runs in found.items()}
    compared = {name: sides for name, sides in RATIOS.items() if {*sides[:2]} <= found.keys()}
    ratios = {name: ratio(speeds[one], speeds[two], target) for name, (one, two, target) in compared.items()}
    losses = {name: losses_apart(found[one], found[two]) for name, (one, two, _) in compared.items()}
    result: dict[str, Any] = {
        "what": WHAT,
        **facts("torch", "transformers", "trl", "peft"),
        "rounds": rounds,
        "pairs": {"count": PAIRS, "tokens": int(pairs().lengths.sum()), "steps": STEPS},
        "tokens_per_cpu_second": {name: spread(values) for name, values in speeds.items()},
        "peak_mib": {name: spread([run["peak_mib"] for run in runs], 0) for name, runs in found.items()},
        "ratios": ratios,
        "losses": losses,
    }
    print(json.dumps({"ratios": ratios, "losses": {name: item["relative"] for name, item in losses.items()}}, indent=2))
    keep("preferences-cpu", result)
    missed = [name for name, item in losses.items() if not item["equal"]]
    if missed:
        sys.exit(f"losses differ: {', '.join(missed)}")


if __name__ == "__main__":
    main()
