"""What the training tests share: rows, a job with short settings, a reporter that remembers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.events import Event
from studio.data.encode import EMPTY, Tokens
from studio.training import optimizations
from studio.training.fit import TrainingJob
from studio.training.settings import ResolvedAdapter, ResolvedTraining
from tests.tiny import THREADS


def make_rows(lengths: list[int], vocab: int = 500, seed: int = 0, masked: bool = False) -> Tokens:
    """Rows of a pattern that can be learned; the last two thirds of each row are trained, or nothing if masked."""
    random = np.random.default_rng(seed)
    ids, masks = [np.empty(0, np.int32)], [np.empty(0, np.uint8)]
    for length in lengths:
        start = int(random.integers(4, vocab))
        ids.append(((start + np.arange(length) * 7) % (vocab - 4) + 4).astype(np.int32))
        masks.append((np.arange(length) >= length // 3).astype(np.uint8) * (not masked))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    mask = np.concatenate(masks)
    meta = {**EMPTY.meta, "trained": int(mask.sum())}
    return replace(EMPTY, ids=np.concatenate(ids), mask=mask, offsets=offsets, meta=meta)


def items(rows: Tokens) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ids and mask (bool) of every row."""
    return [(ids, mask.astype(bool)) for ids, mask in (rows[row] for row in range(len(rows)))]


LENGTHS = [5, 40, 12, 33, 9, 21, 60, 7, 15, 28, 11, 50, 6, 18, 25, 30]


class Memory:
    """A reporter that remembers, and asks to stop after a step if told so."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.events: list[Event] = []
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.stop_after = stop_after
        self.progressed: set[tuple[str, float]] = set()
        """What was counted while training, and how many there are of it."""

    def event(self, event: Event) -> None:
        self.events.append(event)

    def metrics(self, step: int, **values: float) -> None:
        self.lines.append((step, values))

    def progress(self, done: float, total: float, what: str = "") -> None:
        self.progressed.add((what, total))

    def should_stop(self) -> bool:
        return self.stop_after is not None and any(step >= self.stop_after for step, _ in self.lines)

    def series(self, name: str) -> dict[int, float]:
        return {step: values[name] for step, values in self.lines if name in values}


def make_job(folder: Path, adapter: dict[str, Any] | None = None, **changes: Any) -> TrainingJob:
    """A decided job over sixteen short rows; fields of TrainingJob by name, all others are training settings."""
    fields = {name: changes.pop(name) for name in list(changes) if name in TrainingJob.__dataclass_fields__}
    training = {
        "epochs": 2,
        "learning_rate": 5e-3,
        "batch_size": 4,
        "micro_batch": 2,
        "packing": True,
        "gradient_checkpointing": False,
        "optimizer": "adamw",
        "eval_every": 4,
        "save_every": 4,
        "keep": "last",
        "threads": THREADS,
        **dict.fromkeys(optimizations.NAMES, True),
        "triton_kernels": False,  # without a GPU there is an interpreter alone
        **changes,
    }
    values: dict[str, Any] = {
        "adapter": ResolvedAdapter(**{"rank": 4, "alpha": 8, **(adapter or {})}),
        "training": ResolvedTraining(**training),
        "device": "cpu",
        "dtype": "fp32",
        "quantized": False,
        "train": make_rows(LENGTHS),
        "held_out": make_rows([9, 30, 14], seed=1),
        "max_length": 64,
        "checkpoints": folder / "checkpoints",
        "adapter_out": folder / "adapter",
        **fields,
    }
    return TrainingJob(**values)


def weights(folder: Path) -> dict[str, Any]:
    """The tensors of a saved adapter."""
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def make_pairs(lengths: list[tuple[int, int, int]], vocab: int = 500, seed: int = 0) -> Tokens:
    """Preference pairs of a prompt, a preferred and a rejected answer of these lengths; the answers are trained."""
    random = np.random.default_rng(seed)
    ids, masks, sizes = [], [], []
    for prompt, chosen, rejected in lengths:
        start = random.integers(4, vocab, prompt)
        for answer in (chosen, rejected):
            ids.append(np.concatenate([start, random.integers(4, vocab, answer)]).astype(np.int32))
            masks.append((np.arange(prompt + answer) >= prompt).astype(np.uint8))
            sizes.append(prompt + answer)
    wanted = np.arange(len(ids)) % 2 == 0
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    mask = np.concatenate(masks)
    meta = {**EMPTY.meta, "trained": int(mask.sum()), "per_row": 2}
    return replace(EMPTY, ids=np.concatenate(ids), mask=mask, offsets=offsets, wanted=wanted, meta=meta)


PAIR_LENGTHS = [(5, 9, 4), (12, 3, 8), (7, 20, 11), (3, 6, 6), (9, 14, 2), (20, 5, 17), (6, 8, 8), (11, 2, 13)]


def labelled(pairs: Tokens) -> Tokens:
    """The answers of preference pairs as rows of their own, good and bad."""
    return replace(pairs, meta={**pairs.meta, "per_row": 1})
