"""What each speed-up of the trainer is worth on a CPU: all of them on, against all but one.

    nice -n 10 python bench/optimizations.py                 # three rounds, writes bench/results/optimizations-cpu.json
    python bench/optimizations.py --parts nf4 --rounds 5     # only this part; the other figures in the file stay

One process with one thread; the variants of a part run in turn (A B C, A B C), and ratios are made within a round, for they
share its noise. The figure is CPU seconds a thousand real tokens (padding not counted), of all steps but the first. Each
variant trains the same rows in the same order from the same weights; the farthest its losses are from those of the first
is in the file. `times` is how many times longer a variant takes than the part's first: what the optimization is worth.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit import machine, testbed
from kit.training import Clock, job

OUT = "optimizations-cpu"
LEVERS = {"fused_adapters": False, "loss_on_labels_only": False, "varlen_attention": False}
PARTS: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]]]] = {
    "fp32": (
        {"micro_batch": 2},
        {
            "all on": {},
            "fused_adapters off": {"fused_adapters": False},
            "loss_on_labels_only off": {"loss_on_labels_only": False},
            "varlen_attention off": {"varlen_attention": False},
            "all three off": LEVERS,
            "packing off": {"packing": False, "micro_batch": 8},
            "gradient_checkpointing on": {"gradient_checkpointing": True},
        },
    ),
    "bf16": (
        {"micro_batch": 2, "dtype": "bf16"},
        {"all on": {}, "fused_adapters off": {"fused_adapters": False}, "all three off": LEVERS},
    ),
    "nf4 with checkpointing": (
        {"micro_batch": 1, "quantized": True, "gradient_checkpointing": True},
        {
            "all on": {},
            "reuse_dequantized off": {"reuse_dequantized": False},
            "fused_adapters off": {"fused_adapters": False},
        },
    ),
    "tokens at once": (
        {"batch_size": 24, "epochs": 2},
        {
            "2,048": {"micro_batch": 2},
            "1,024": {"micro_batch": 1},
            "4,096": {"micro_batch": 4},
        },
    ),
}
COUNT = 24


def base(folder: Path, dtype: str, quantized: bool) -> tuple[Any, Any]:
    """The test-bed's Llama of 14 M parameters, in 4 bit if asked."""
    model, tokenizer = testbed.base(testbed.SMALL, dtype)
    if not quantized:
        return model, tokenizer
    from studio.models.loading import load_base
    from studio.models.settings import Model

    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return load_base(Model(name=str(folder / "model"), quantization="nf4", dtype=dtype), "cpu"), tokenizer  # type: ignore[arg-type]


def one(model: Any, tokenizer: Any, **changes: Any) -> tuple[float, list[float], float]:
    """CPU seconds a thousand tokens, losses, and the seconds the loop stood still for checkpoints."""
    from studio.training.fit import fit
    from studio.training.monitor import StepMonitor

    fields = {name: changes.pop(name) for name in ("dtype", "quantized", "max_length") if name in changes}
    clock, still, own = Clock(), [], StepMonitor.save

    def save(watch: StepMonitor) -> None:
        began = time.perf_counter()
        own(watch)
        still.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder:
        made = job(Path(folder), COUNT, testbed.SMALL, fields.pop("dtype", "fp32"), 1, True)
        training = type(made.training)(**{**made.training.model_dump(), **changes})
        StepMonitor.save = save  # type: ignore[method-assign]
        try:
            fit(model, tokenizer, replace(made, training=training, **fields), clock)
        finally:
            StepMonitor.save = own
    tokens, seconds = clock.tokens[-1] - clock.tokens[0], clock.seconds[-1] - clock.seconds[0]
    return 1000 * seconds / tokens, clock.losses, sum(still) / max(1, len(still))


def measure(part: str, rounds: int) -> dict[str, Any]:
    """Every variant of a part once a round, after one that is not counted."""
    common, variants = PARTS[part]
    first, *_ = variants
    found: dict[str, list[float]] = {name: [] for name in variants}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = base(Path(folder), common.get("dtype", "fp32"), common.get("quantized", False))
        one(model, tokenizer, **{**common, "max_steps": 2})
        for turn in range(rounds):
            for name, changes in variants.items():
                seconds, losses[name], _ = one(model, tokenizer, **{**common, **changes})
                found[name].append(seconds)
                print(f"{part}  round {turn + 1}  {name:28} {seconds:6.3f} CPU s per 1,000 tokens", flush=True)
    return {
        name: {
            "cpu_seconds_per_1000_tokens": machine.spread(seconds),
            "times": machine.ratio(seconds, found[first]),
            "losses": {"first": losses[name][0], "last": losses[name][-1]},
            "farthest_from_first": max(abs(a - b) for a, b in zip(losses[name], losses[first], strict=True)),
        }
        for name, seconds in found.items()
    }


def standing_still(rounds: int) -> dict[str, Any]:
    """Seconds by the clock that training stands still for one checkpoint, written in the background and not."""
    found: dict[str, list[float]] = {"async_checkpoints on": [], "async_checkpoints off": []}
    model, tokenizer = testbed.base(testbed.SMALL)
    for _ in range(rounds):
        for name, on in zip(found, (True, False), strict=True):
            changes = {"micro_batch": 2, "save_every": 1, "async_checkpoints": on}
            found[name].append(one(model, tokenizer, **changes)[2])
    return {name: {"wall_seconds_a_checkpoint": machine.spread(seconds, 4)} for name, seconds in found.items()}


def main() -> None:
    """Measure, print, write; exit 1 if a lever changes a loss."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="*", choices=[*PARTS, "checkpoints"], default=[*PARTS, "checkpoints"])
    asked = parser.parse_args()
    if any(os.environ.get(name) != wanted for name, wanted in machine.ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **machine.ONE_THREAD})
    file = machine.RESULTS / f"{OUT}.json"
    before = json.loads(file.read_text())["parts"] if file.exists() else {}
    made = {part: measure(part, asked.rounds) if part in PARTS else standing_still(asked.rounds) for part in asked.parts}
    parts = {**before, **made}
    result = {
        "what": "CPU seconds per 1,000 real tokens, one thread, LoRA r16 on a random 14 M Llama, all steps but the first",
        "rounds": asked.rounds,
        **machine.facts("torch", "transformers", "trl", "peft", "bitsandbytes"),
        "parts": parts,
    }
    machine.keep(OUT, result)
    good = True
    for part in asked.parts:
        for name, figures in made[part].items():
            if times := figures.get("times"):
                apart, allowed = figures["farthest_from_first"], 3e-2 if part == "bf16" else 1e-3
                good &= apart < allowed
                print(f"{part:24} {name:28} {times['median']:.2f}x [{times['low']:.2f}-{times['high']:.2f}]  {apart:.1e} apart")
            else:
                print(f"{part:24} {name:28} {figures}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
