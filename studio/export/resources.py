"""Disk space and memory of an export: estimated and checked before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.errors import DoesNotFit
from studio.core.files import need_room
from studio.core.text import size

if TYPE_CHECKING:
    from studio.export.merging.source import Source
    from studio.hardware.dims import ModelDims

MIB = 1 << 20
RUNTIME = 1 << 30
"""Memory of the libraries themselves with CUDA, and of activations over a few thousand tokens, generously."""
_PROCESS = 385 * MIB
"""Memory of a process on a CPU that merges, loads and compares, without the model (measured: bench/exports/table.py)."""
_LOGITS = 8 << 10
"""Bytes for each token of the vocabulary while sixteen short prompts are answered at once, ..."""
_LOGITS_OF_PEFT = 24 << 10
"""... and by base + adapter, which compute them for every token of the prompts (both measured)."""
KEPT = ".reference"
"""The folder beside the exports that keeps what base + adapter answer."""
_TRAINING_BYTES = {"nf4": 0.55, "int8": 1.05, "none": 2.0}
"""Bytes of a weight as the base is loaded for training; embeddings, which stay in 16 bit, come on top."""


@dataclass(frozen=True)
class Need:
    """Bytes an export takes at its peak."""

    disk: int
    memory: int


def require(need: Need, folder: Path, what: str) -> None:
    """Raise DoesNotFit unless there is enough free disk space and memory."""
    from studio.hardware import machine

    need_room(folder, need.disk, what)
    free = machine.probe().ram_free
    if free < need.memory:
        raise DoesNotFit(
            f"{what} needs {size(need.memory)} of memory; only {size(free)} is free",
            hint="Close other programs, or export on a machine with more memory: the run folder can be copied there.",
        )


def trained_weights(adapter: Path) -> int | None:
    """Weights of an adapter as training saves it, in float32; None where there is none."""
    sizes = [file.stat().st_size for file in adapter.glob("*.safetensors")]
    return sum(sizes) // 4 or None


def adapter_bytes(dims: ModelDims, trained: int | None) -> int:
    """Bytes of a float32 adapter of that many weights; of one of rank 16 on every layer where it is not made yet."""
    return 4 * (trained or dims.lora_parameters(16))


def tokenizer_bytes(dims: ModelDims) -> int:
    """About how many bytes tokenizer, chat template, settings and model card take: a token stands in the list and mostly in a
    merge (60 bytes a token in the starter, 72 in SmolLM2)."""
    return 72 * dims.vocab + (12 << 10)


def weight_bytes(dims: ModelDims, linear: float, embedding: float, head: float | None = None) -> int:
    """Bytes of a file that holds a weight of a linear layer in `linear` bytes, one of the embedding in `embedding`, and one
    of the output matrix in `head`. head None: the output matrix is the embedding where the model ties them."""
    tied = head is None and not dims.head
    matrix = dims.head or dims.embedding
    rest = dims.parameters - dims.embedding - dims.head
    return int(rest * linear + dims.embedding * embedding + (0 if tied else matrix * (linear if head is None else head)))


def threads(source: Source) -> int:
    """Threads for llama.cpp: one for a very small model, whose threads would wait for each other, else every core."""
    from studio.hardware import machine

    return 1 if source.parameters < 50e6 else machine.probe().cores


def reference_is_kept(exports: Path) -> bool:
    """Whether an earlier export of the run kept what base + adapter answer."""
    return any((exports / KEPT).glob("*/reference.json"))


def process_bytes() -> int:
    """Main memory of a process that exports, without the model."""
    from studio.hardware import machine

    return RUNTIME if machine.probe().gpu else _PROCESS


def compared_bytes(source: Source) -> int:
    """Main memory that comparing takes: the model as it computes, and the logits of several prompts; with base + adapter as
    they were trained where this run's answers are not kept yet. On a GPU the weights pass through."""
    own = _computed_bytes(source, _LOGITS)
    return own if reference_is_kept(source.exports) else max(own, loaded_bytes(source))


def loaded_bytes(source: Source) -> int:
    """Main memory base + adapter take as the run loaded them, GPU or not."""
    if source.model.quantization == "none":
        return _computed_bytes(source, _LOGITS_OF_PEFT)
    import torch

    weights = int(source.parameters * _TRAINING_BYTES[source.model.quantization or "none"])
    weights += 4 * source.base_config.vocab_size * source.base_config.hidden_size
    if torch.cuda.is_available():
        return RUNTIME
    return process_bytes() + weights * (2 if source.model.dtype == "fp32" else 1) + _LOGITS_OF_PEFT * source.dims.vocab


def _computed_bytes(source: Source, logits: int) -> int:
    """The weights as they are computed with: in float32 beside the 16 bit they are read in on a CPU that emulates 16 bit."""
    from studio.hardware import machine

    here, dtype = machine.probe(), source.model.dtype or "fp32"
    width = 4 if dtype == "fp32" else 6 if here.emulates(dtype) else 2
    return source.parameters * (2 if here.gpu else width) + (0 if here.gpu else logits * source.dims.vocab) + process_bytes()
