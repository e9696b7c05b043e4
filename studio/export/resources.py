"""Is there room? Disk and memory of an export are reckoned and checked before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import HardwareError
from studio.core.files import need_room
from studio.core.text import size
from studio.export.merging.source import Source

RUNTIME = 1 << 30
"""Memory of the libraries themselves and of activations over a few thousand tokens, generously."""
_HELD = {"nf4": 0.55, "int8": 1.05, "none": 2.0}
"""Bytes a weight takes as it is held for training; embeddings, which stay in 16 bit, come on top."""


@dataclass(frozen=True)
class Need:
    """Bytes an export takes at its peak."""

    disk: int
    memory: int


def check(need: Need, folder: Path, what: str) -> None:
    """Raise HardwareError unless disk and memory are there."""
    from studio.hardware import machine

    need_room(folder, need.disk, what)
    free = machine.probe().ram_free
    if free < need.memory:
        raise HardwareError(
            f"{what} needs {size(need.memory)} of memory and {size(free)} is free",
            hint="Close other programs, or export on a machine with more memory: the run folder can be copied there.",
        )


def free() -> None:
    """Give back what the last step held, on the GPU too."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def lora_bytes(parameters: int) -> int:
    """About how many bytes a float32 adapter of rank 16 on every layer takes: a fiftieth of the weights of a model of half a
    billion, a two-hundredth of one of eight."""
    return int(4 * parameters * min(0.02, 0.02 * (5e8 / max(parameters, 1)) ** 0.5))


def threads(source: Source) -> int:
    """Threads for llama.cpp: one for a very small model, whose threads would wait for each other, else every core."""
    from studio.hardware import machine

    return 1 if source.parameters < 50e6 else machine.probe().cores


def loaded(source: Source) -> int:
    """Main memory base + adapter take as the run held them, GPU or not."""
    import torch

    embeddings = 2 * source.base_config.vocab_size * source.base_config.hidden_size * 2
    held = int(source.parameters * _HELD[source.model.quantization or "none"]) + embeddings
    return RUNTIME + (0 if torch.cuda.is_available() else held * (2 if source.model.dtype == "fp32" else 1))
