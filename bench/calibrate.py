"""What learning rate, epochs and replay of general rows do on a real model: learned facts against general losses.

    nice -n 10 python bench/calibrate.py "rate=5e-4 epochs=4" "rate=5e-4 epochs=4 replay=1"

SmolLM2-135M-Instruct learns the shipped facts (360 rows); each argument is a run with settings of its own: rate, epochs,
replay (share of the shipped replay rows that is mixed in), rank, decay, batch, schedule, seed. Measured after each:
exact matches on a third of the held-out wordings, loss and token F1 on the general questions, loss on general answers and
text, and loss on the shipped handbook, which neither replay nor any check resembles. Adds to bench/results/calibration.json.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "calibration.json"
DEFAULTS = {
    "rate": 2e-4, "epochs": 3.0, "replay": 0.0, "rank": 16, "decay": 0.0, "batch": 8, "schedule": "cosine", "seed": 42,
}  # fmt: skip


class Silent:
    """Follows a run without a word."""

    def event(self, event: Any) -> None:
        """Nothing."""

    def metrics(self, step: int, **values: float) -> None:
        """One dot for each tenth step."""
        if step % 10 == 0:
            print(".", end="", flush=True)

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Nothing."""

    def should_stop(self) -> bool:
        """Never."""
        return False


def conversations(name: str, every: int = 1) -> list[Any]:
    """Each `every`-th row of a file as a conversation."""
    from studio.data import prepare
    from studio.data.settings import Data

    return prepare.load_questions(str(ROOT / name), Data(train=str(ROOT / name)))[::every]


def training_rows(folder: Path, share: float, seed: int) -> Path:
    """The shipped facts, and a share of the replay rows, as the encoder reads them."""
    from studio.data import replay

    rows = conversations("datasets/support.jsonl")
    if share:
        general = replay.builtin()
        chosen = np.random.default_rng(seed).permutation(len(general))[: round(share * len(general))]
        rows += [general[index] for index in chosen]
    file = folder / "train.jsonl"
    file.write_text("\n".join(json.dumps(row.as_dict()) for row in rows), encoding="utf-8")
    return file


def measure(model: Any, tokenizer: Any) -> dict[str, float]:
    """Exact matches on held-out wordings; loss and token F1 on general questions; loss on general text and the handbook."""
    from studio.evaluation import answering, general
    from studio.evaluation.likelihood import likelihood

    found: dict[str, float] = {}
    began = time.process_time()
    sets = {
        "held_out": conversations("datasets/support-heldout.jsonl", 3),
        "general": general.builtin(),
        "text": general.text(),
        "handbook": conversations("datasets/handbook.txt", 4),
    }
    for name, rows in sets.items():
        asked, _ = answering.questions(rows, tokenizer, "assistant")
        scored = likelihood(model, [(each.ids, each.mask) for each in asked])
        found[f"{name}_loss"] = float(scored.loss.sum() / scored.tokens.sum())
        if name in ("held_out", "general"):
            answers, _ = answering.ask(model, tokenizer, [each.prompt for each in asked], 24)
            scores = [answering.text_scores(q.reference, a.text) for q, a in zip(asked, answers, strict=True)]
            found |= {f"{name}_{key}": float(np.mean([s[key] for s in scores])) for key in ("exact_match", "token_f1")}
        print(f" {name} measured after {time.process_time() - began:.0f} s", end="", flush=True)
    return {name: round(value, 4) for name, value in found.items()}


def run(settings: dict[str, Any], base: Any, tokenizer: Any) -> dict[str, Any]:
    """Train with these settings and measure."""
    from studio.data import encode
    from studio.models.loading import attach_adapter
    from studio.training import optimizations
    from studio.training.fit import TrainingJob, fit
    from studio.training.settings import ResolvedAdapter, ResolvedTraining

    began = time.process_time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = training_rows(folder, settings["replay"], settings["seed"])
        tokens = encode.encode_file(rows, tokenizer, "assistant", folder / "tokens")
        training = ResolvedTraining.model_validate(
            {
                "epochs": settings["epochs"],
                "learning_rate": settings["rate"],
                "schedule": settings["schedule"],
                "weight_decay": settings["decay"],
                "batch_size": settings["batch"],
                "micro_batch": settings["batch"],
                "packing": False,
                "gradient_checkpointing": False,
                "optimizer": "adamw",
                "eval_every": 10**6,
                "save_every": 10**6,
                "keep": "last",
                "threads": 1,
                "seed": settings["seed"],
                **dict.fromkeys(optimizations.NAMES, True),
            }
        )
        job = TrainingJob(
            adapter=ResolvedAdapter(rank=settings["rank"], alpha=2 * settings["rank"]), training=training, device="cpu",
            dtype="bf16", quantized=False, train=tokens, held_out=None, max_length=int(tokens.lengths.max()),
            checkpoints=folder / "checkpoints", adapter_out=folder / "adapter",
        )  # fmt: skip
        fitted = fit(base, tokenizer, job, Silent())
        model = attach_adapter(base, folder / "adapter")
        found = measure(model, tokenizer)
        model.unload()
    return {**settings, "rows": len(tokens), "steps": fitted.steps, **found, "cpu_s": round(time.process_time() - began)}


def main(arguments: list[str]) -> None:
    """Measure the base once, then each run that an argument describes."""
    import torch

    from studio.models import smollm2
    from studio.models.loading import find, load_base, tokenizer
    from studio.models.settings import Model

    model = Model(name=str(smollm2.fetch()), quantization="none", dtype="bf16", attention="sdpa")
    known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    found = find(model)
    base, words = load_base(model, "cpu", found), tokenizer(found)
    base_figures = known.get("base") or measure(base, words)
    print("base", base_figures, flush=True)
    for argument in arguments:
        asked = dict(part.split("=", 1) for part in argument.split())
        settings = {name: type(usual)(asked.get(name, usual)) for name, usual in DEFAULTS.items()}
        if any(all(each.get(name) == value for name, value in settings.items()) for each in known.get("runs", [])):
            continue
        result = run(settings, base, words)
        print("\n", result, flush=True)
        known = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
        known = {"model": "SmolLM2-135M-Instruct", "base": base_figures, "runs": [*known.get("runs", []), result]}
        RESULT.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(sys.argv[1:])
