"""What the training tests share: rows in memory, a job with short settings, a reporter that remembers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from studio.training.fit import Job
from studio.training.settings import Adapter, Training


class Rows:
    """Tokens in memory: random ids whose second part is trained."""

    def __init__(self, lengths: list[int], vocab: int = 500, seed: int = 0, masked: bool = False) -> None:
        random = np.random.default_rng(seed)
        self.items = []
        for length in lengths:
            mask = np.zeros(length, dtype=bool)
            mask[length // 3 :] = not masked
            start = int(random.integers(4, vocab))
            ids = (start + np.arange(length) * 7) % (vocab - 4) + 4  # a pattern that can be learned
            self.items.append((ids.astype(np.int32), mask))
        self.lengths = np.array(lengths, dtype=np.int64)
        self.trained = int(sum(mask.sum() for _, mask in self.items))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        return self.items[row]


LENGTHS = [5, 40, 12, 33, 9, 21, 60, 7, 15, 28, 11, 50, 6, 18, 25, 30]


class Memory:
    """A reporter that remembers, and asks to stop after a step if told so."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.stop_after = stop_after

    def event(self, kind: str, **details: Any) -> None:
        self.events.append((kind, details))

    def metrics(self, step: int, **values: float) -> None:
        self.lines.append((step, values))

    def progress(self, done: float, total: float, what: str = "") -> None:
        pass

    def should_stop(self) -> bool:
        return self.stop_after is not None and any(step >= self.stop_after for step, _ in self.lines)

    def series(self, name: str) -> dict[int, float]:
        return {step: values[name] for step, values in self.lines if name in values}


def make_job(folder: Path, adapter: dict[str, Any] | None = None, **changes: Any) -> Job:
    """A decided job over sixteen short rows; fields of Job by name, all others are training settings."""
    fields = {name: changes.pop(name) for name in list(changes) if name in Job.__dataclass_fields__}
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
        "threads": 1,
        **changes,
    }
    values: dict[str, Any] = {
        "adapter": Adapter(**{"rank": 4, "alpha": 8, **(adapter or {})}),
        "training": Training(**training),
        "device": "cpu",
        "dtype": "fp32",
        "quantized": False,
        "train": Rows(LENGTHS),
        "held_out": Rows([9, 30, 14], seed=1),
        "max_length": 64,
        "checkpoints": folder / "checkpoints",
        "adapter_out": folder / "adapter",
        **fields,
    }
    return Job(**values)


def weights(folder: Path) -> dict[str, Any]:
    """The tensors of a saved adapter."""
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")
