"""Training speed on a CPU: the studio against TRL's SFTTrainer on the same model, rows, order and settings.

    OMP_NUM_THREADS=1 nice -n 10 python bench/train.py            # three rounds, writes bench/results/train-cpu.json

Each variant runs in a process of its own with one thread, in turn (A B A B ...), so that a busy machine troubles all of
them alike. The figure is real tokens (padding not counted) per CPU second over all steps but the first. Both sides get
the same tokenised rows in the same order, the same LoRA weights to begin with, AdamW at a constant rate, fp32, no
gradient checkpointing, and must give the same loss at the first and last step (except TRL packed, whose steps hold
other rows). The lengths are those of an ordinary chat set: median 120 tokens, nine in ten below 470, at most 1,000.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "train-cpu.json"
ROWS, BATCH, MAX_LENGTH, RATE = 40, 8, 1024, 2e-4
MODEL = {
    "vocab_size": 8192,
    "hidden_size": 384,
    "intermediate_size": 1024,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 6,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "trl bs 1 x 8": {"side": "trl", "micro": 1},
    "studio bs 1 x 8": {"side": "studio", "micro": 1, "packing": False},
    "trl bs 8": {"side": "trl", "micro": 8},
    "studio bs 8": {"side": "studio", "micro": 8, "packing": False},
    "trl packed": {"side": "trl", "micro": 1, "packing": True},
    "studio packed": {"side": "studio", "micro": 2, "packing": True},
}
RATIOS = {
    "unpacked, bs 1 x 8": ("studio bs 1 x 8", "trl bs 1 x 8", 1.0),
    "unpacked, bs 8": ("studio bs 8", "trl bs 8", 1.0),
    "studio packed against TRL unpacked (bs 8)": ("studio packed", "trl bs 8", 2.0),
    "studio packed against TRL packed": ("studio packed", "trl packed", 1.0),
}
SAME_LOSSES = [("studio bs 1 x 8", "trl bs 1 x 8"), ("studio bs 8", "trl bs 8"), ("studio packed", "trl bs 8")]


def lengths() -> list[int]:
    """Row lengths at even steps through a log-normal with median 120 and nine in ten below 470, from 8 to 1,000, shuffled."""
    import numpy as np

    normal = statistics.NormalDist()
    scores = np.array([normal.inv_cdf((row + 0.5) / ROWS) for row in range(ROWS)])
    sizes = np.clip(120 * np.exp(scores * np.log(470 / 120) / normal.inv_cdf(0.9)), 8, 1000).astype(int)
    return np.random.default_rng(7).permutation(sizes).tolist()


def rows() -> Any:
    """The rows as the studio's tokens: ids by Zipf's law, the last three quarters of each row trained."""
    from dataclasses import replace

    import numpy as np

    from studio.data.encode import EMPTY

    random, sizes = np.random.default_rng(8), lengths()
    ids = np.concatenate([(random.zipf(1.3, size) % (MODEL["vocab_size"] - 4) + 4).astype(np.int32) for size in sizes])
    mask = np.concatenate([(np.arange(size) >= size // 4).astype(np.uint8) for size in sizes])
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return replace(EMPTY, ids=ids, mask=mask, offsets=offsets, meta={**EMPTY.meta, "trained": int(mask.sum())})


def base() -> tuple[Any, Any]:
    """A random Llama of 14 M parameters, and a tokenizer that nothing is asked of but its pad token."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **MODEL, pad_token_id=0, eos_token_id=1, bos_token_id=1)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    model.config._name_or_path = "bench"
    core = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1}, unk_token="<eos>"))
    return model, PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<eos>")


def job(folder: Path, micro: int, packing: bool) -> Any:
    """The run as the studio is given it."""
    from studio.training.fit import Job
    from studio.training.settings import Adapter, Training

    return Job(
        adapter=Adapter(rank=16, alpha=32),
        training=Training(
            epochs=1,
            learning_rate=RATE,
            schedule="constant",
            warmup=0,
            batch_size=BATCH,
            micro_batch=micro,
            packing=packing,
            gradient_checkpointing=False,
            optimizer="adamw",
            eval_every=1000,
            save_every=1000,
            keep="last",
            seed=42,
        ),
        device="cpu",
        dtype="fp32",
        quantized=False,
        train=rows(),
        held_out=None,
        max_length=MAX_LENGTH,
        checkpoints=folder / "checkpoints",
        adapter_out=folder / "adapter",
    )


class Clock:
    """CPU seconds, real tokens so far and loss at the end of each step; also a reporter."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.tokens: list[float] = []
        self.losses: list[float] = []

    def metrics(self, step: int, **values: float) -> None:
        """Note the end of a step."""
        self.seconds.append(time.process_time())
        self.tokens.append(values["tokens"])
        self.losses.append(values["loss"])

    def event(self, kind: str, **details: Any) -> None:
        """Nothing."""

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Nothing."""

    def should_stop(self) -> bool:
        """Never."""
        return False

    def result(self) -> dict[str, Any]:
        """Tokens per CPU second over all steps but the first."""
        rate = (self.tokens[-1] - self.tokens[0]) / (self.seconds[-1] - self.seconds[0])
        return {"tokens_per_cpu_second": rate, "losses": self.losses, "tokens": self.tokens[-1]}


def studio_run(folder: Path, micro: int, packing: bool) -> dict[str, Any]:
    """One run of the studio."""
    from studio.training.fit import fit

    clock = Clock()
    fit(*base(), job(folder, micro, packing), clock)
    return clock.result()


def trl_run(folder: Path, micro: int, packing: bool) -> dict[str, Any]:
    """One run of TRL's SFTTrainer: its own collator, packing, attention, loss head and loop."""
    import numpy as np
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from studio.training import adapters
    from studio.training.batches import Order

    asked = job(folder, micro, packing)
    model, tokenizer = base()
    order = [row for step in Order(ROWS, BATCH, ROWS // BATCH, asked.training.seed) for row in step]
    data = [(ids.tolist(), np.where(mask, ids, -100).tolist()) for ids, mask in (asked.train[row] for row in order)]
    clock, counted = Clock(), []

    class Follow(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                clock.metrics(state.global_step, loss=logs["loss"], tokens=sum(counted))

    class Counting(SFTTrainer):
        def training_step(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            real = inputs["attention_mask"].sum() if "attention_mask" in inputs else inputs["input_ids"].numel()
            counted.append(int(real))
            return super().training_step(model, inputs, *more, **named)

    trainer = Counting(
        model=adapters.attach(model, asked.adapter, asked.training.seed),
        args=SFTConfig(
            output_dir=str(folder),
            use_cpu=True,
            bf16=False,
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=1 if packing else BATCH // micro,
            num_train_epochs=1,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            max_length=MAX_LENGTH,
            packing=packing,
            train_sampling_strategy="sequential",
            activation_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            disable_tqdm=True,
            report_to="none",
        ),
        train_dataset=Dataset.from_list([{"input_ids": ids, "labels": labels} for ids, labels in data]),
        processing_class=tokenizer,
        callbacks=[Follow()],
    )
    trainer.train()
    return clock.result()


def child(name: str) -> None:
    """Run one variant in this process and print its figures as the last line."""
    variant = VARIANTS[name]
    with tempfile.TemporaryDirectory() as folder:
        run = studio_run if variant["side"] == "studio" else trl_run
        print(json.dumps(run(Path(folder), variant["micro"], variant.get("packing", False))))


def measure(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Every variant once a round, each in a new process."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS}
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    for turn in range(rounds):
        for name in VARIANTS:
            command = [sys.executable, __file__, "--child", name]
            done = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
            result = json.loads(done.stdout.strip().splitlines()[-1])
            found[name].append(result)
            print(f"round {turn + 1}  {name:16}  {result['tokens_per_cpu_second']:7.0f} tokens per CPU second", flush=True)
    return found


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians and spreads, the ratios round by round against their targets, and how far the losses differ."""
    speeds = {name: [run["tokens_per_cpu_second"] for run in runs] for name, runs in found.items()}
    ratios = {}
    for name, (ours, theirs, target) in RATIOS.items():
        each = [a / b for a, b in zip(speeds[ours], speeds[theirs], strict=True)]
        ratios[name] = {**_spread(each), "target": target, "met": statistics.median(each) >= target}
    losses = {}
    for ours, theirs in SAME_LOSSES:
        one, other = found[ours][0]["losses"], found[theirs][0]["losses"]
        apart = max(abs(a - b) for a, b in zip(one, other, strict=True))
        losses[f"{ours} / {theirs}"] = {
            "first": [one[0], other[0]],
            "last": [one[-1], other[-1]],
            "farthest_apart": apart,
            "equal": apart < 1e-3,
        }
    return {
        "what": "real tokens per CPU second, one thread, fp32 LoRA r16 on a random 14 M Llama, all steps but the first",
        "date": time.strftime("%Y-%m-%d"),
        "cpu": _cpu(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft", "accelerate")},
        "rows": {
            "count": ROWS,
            "tokens": found["studio packed"][0]["tokens"],
            "effective_batch": BATCH,
            "max_length": MAX_LENGTH,
        },
        "tokens_per_cpu_second": {name: _spread(values) for name, values in speeds.items()},
        "ratios": ratios,
        "losses": losses,
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {name: round(how(values), 3) for name, how in (("median", statistics.median), ("low", min), ("high", max))}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    """Measure, print, write; exit 1 if losses differ or a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child)
        return
    result = {"rounds": asked.rounds, **summary(measure(asked.rounds))}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=2) + "\n")
    for name, ratio in result["ratios"].items():
        print(f"{name:45} {ratio['median']:.2f}x [{ratio['low']:.2f}-{ratio['high']:.2f}]  target {ratio['target']}x")
    for name, loss in result["losses"].items():
        print(f"{name:35} first {loss['first']}  last {loss['last']}  apart {loss['farthest_apart']:.1e}")
    good = all(ratio["met"] for ratio in result["ratios"].values()) and all(loss["equal"] for loss in result["losses"].values())
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
