"""The peak memory of a whole run, from the parts `studio.hardware.memory` counts: what stays, and the larger of a step and an
evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from studio.hardware.dims import ModelDims
from studio.hardware.memory import (
    CONTEXT,
    CPU_PROCESS,
    FRAGMENTATION,
    GIB,
    VLLM,
    VLLM_ANSWERS,
    activation_bytes,
    answer_bytes,
    expert_bytes,
    head_bytes,
    loading_bytes,
    optimizer_bytes,
    trained_parameters,
    vllm_bytes,
    weight_bytes,
    width,
    work_bytes,
)
from studio.hardware.memory_config import MemoryConfig

STEP = ("activations", "layer at work", "logits and loss")
"""The items that come and go in one training step."""


@dataclass(frozen=True)
class Item:
    """One part of the memory: its name, bytes, and the sentence that says where they come from."""

    name: str
    bytes: int
    why: str = ""


@dataclass(frozen=True)
class Memory:
    """The parts of a peak, and their sum. A plan compares hundreds: sentences are made for those that are shown."""

    parts: dict[str, int]
    """Bytes by name."""
    dims: ModelDims
    config: MemoryConfig
    device: str

    @property
    def items(self) -> tuple[Item, ...]:
        """Each part with the sentence that says where its bytes come from."""
        reasons = _reasons(self.dims, self.config, self.device)
        return tuple(Item(name, held, reasons.get(name, "")) for name, held in self.parts.items())

    @property
    def total(self) -> int:
        """Bytes together."""
        return sum(self.parts.values())

    @property
    def step(self) -> int:
        """Bytes that come and go in one training step: activations kept, and the larger of a layer at work and the head."""
        return sum(map(self.of, STEP))

    def of(self, name: str) -> int:
        """Bytes of the part called `name`; 0 if there is none."""
        return self.parts.get(name, 0)


def estimate(dims: ModelDims, config: MemoryConfig, device: str = "cuda", overheads: float = 1.0) -> Memory:
    """The peak memory of a run on one GPU (`cuda`), or of its process's RAM (`cpu`), by part.

    What stays (weights, adapter, gradients, optimizer), the activations kept for the backward pass, and the larger of what
    never meets in time: a layer at work, the head with its loss. An evaluation counts by what it needs beyond a step.
    overheads is what earlier runs on the machine say that fragmentation, context and process are to be multiplied by.
    """
    trained = trained_parameters(dims, config)
    kept, work, head, step = _step(dims, config, device)
    answers = answer_bytes(dims, config)
    parts = {
        "base weights": _base_bytes(dims, config),
        _trained(config): _adapter_bytes(trained, config),
        "gradients": config.trainer.adapter * trained,
        "optimizer": optimizer_bytes(trained, config.optimizer, config.trainer.adapter),
        STEP[0]: kept,
        STEP[1]: work,
        STEP[2]: max(0, head - work),
        _answering(config): max(0, answers - step),
        "fragmentation": round(overheads * FRAGMENTATION * max(step, answers)),
    }
    parts |= {"CUDA context": CONTEXT} if device == "cuda" else {"process": round(overheads * CPU_PROCESS)}
    if config.sampled_by == "vllm":
        parts[VLLM] = vllm_bytes(dims, config, device)
    beyond = _loading(dims, config) - sum(parts.values())
    if beyond > 0:  # experts that are joined before they are quantised
        parts["loading"] = beyond
    return Memory(parts, dims, config, device)


def _base_bytes(dims: ModelDims, config: MemoryConfig) -> int:
    held = weight_bytes(dims, config.quantization, config.double_quantization, config.dtype, config.trainer.head)
    beside = dims.embedding + dims.head + dims.norms  # what is never quantised
    return held + (4 - width(config.dtype)) * beside if config.trainer.prepared else held


def _step(dims: ModelDims, config: MemoryConfig, device: str) -> tuple[int, int, int, int]:
    """Bytes of the activations kept, of a layer at work, of the head with its loss, and of the step as a whole."""
    kept, work, head = activation_bytes(dims, config), work_bytes(dims, config), head_bytes(dims, config, device)
    return kept, work, head, kept + max(work, head)


def _loading(dims: ModelDims, config: MemoryConfig) -> int:
    """Bytes while the model is loaded."""
    return loading_bytes(dims, config.quantization, config.double_quantization, config.dtype) + CONTEXT


def _trained(config: MemoryConfig) -> str:
    return "trained weights" if config.full else "adapter"


def _answering(config: MemoryConfig) -> str:
    return "generation" if config.sampled_by == "model" else "evaluation"  # the first is part of what training shows


def _reasons(dims: ModelDims, config: MemoryConfig, device: str) -> dict[str, str]:
    """Where the bytes of each part come from."""
    trained = trained_parameters(dims, config)
    _, work, head, step = _step(dims, config, device)
    answers = answer_bytes(dims, config)
    asked = f"{config.answer_rows} answers at once, up to {config.answer_length:,} tokens with the prompt"
    return {
        "base weights": _weights(dims, config),
        _trained(config): _adapter(trained, config),
        "gradients": "of the linear layers, in 32 bit" if config.full else "of the adapter only, in 32 bit; the base is frozen",
        "optimizer": f"AdamW's two moments in {32 if config.optimizer == 'adamw' else 8} bit",
        STEP[0]: f"{config.rows} x {config.length:,} tokens, {_kept_activations(dims, config)}",
        STEP[1]: _working(dims, config),
        STEP[2]: f"{_gib(head)} in tiles over {dims.vocab:,} words; {_beyond(head, work)}",
        _answering(config): f"{_gib(answers)} for {asked}; {_beyond(answers, step)}",
        "fragmentation": "a tenth of what comes and goes",
        "CUDA context": "driver, kernels and workspaces",
        "process": "Python and its libraries",
        VLLM: f"a base of its own, {VLLM_ANSWERS} answers at once",
        "loading": f"{_gib(_loading(dims, config))} while the experts are read and quantised: that much more than the run",
    }


def _kept_activations(dims: ModelDims, config: MemoryConfig) -> str:
    again = config.recomputed(dims.layers)
    if again and config.offloaded:
        return "the inputs of layers wait in RAM"
    if not again:
        return "everything the backward pass uses is kept"
    if again == dims.layers:
        return "only each layer's input is kept"
    return f"of {again} of {dims.layers} layers only the input is kept, of the others everything the backward pass uses"


def _working(dims: ModelDims, config: MemoryConfig) -> str:
    experts = sum(expert_bytes(dims, config))
    parts = ["computed again, with its gradients" if config.checkpointing else "its gradients"]
    if experts and config.checkpointing:
        parts.append(f"{_gib(experts)} for its experts, as they are computed with")
    return "; ".join(parts)


def _holds_copy(config: MemoryConfig) -> bool:
    """Whether autocast keeps a copy of the adapter in 16 bit for the length of a step: not where layers are fused."""
    return not (config.dtype == "fp32" or config.fused or not config.trainer.copied)


def _adapter_bytes(trained: int, config: MemoryConfig) -> int:
    return (config.trainer.adapter + (2 if _holds_copy(config) else 0)) * trained


def _adapter(trained: int, config: MemoryConfig) -> str:
    held = f"{_count(trained)} parameters in {8 * config.trainer.adapter} bit"
    if config.full:
        held += ", beside the base as it was, with which the evidence compares"
    return f"{held}, and a copy in 16 bit while they are used" if _holds_copy(config) else held


def _weights(dims: ModelDims, config: MemoryConfig) -> str:
    bits = f"{8 * width(config.dtype)} bit"
    if config.quantization == "none":
        return f"{_count(dims.parameters)} weights in {bits}"
    nf4 = config.quantization == "nf4"
    held = dims.quantizable + (dims.expert_parameters if nf4 else 0)
    return f"{_count(held)} weights in {'4 bit (nf4)' if nf4 else '8 bit'}, {_count(dims.parameters - held)} in {bits}"


def _beyond(part: int, other: int) -> str:
    return "this much at another time than the rest" if part > other else "not at the same time as what is counted"


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB"


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} B" if number >= 1e8 else f"{number / 1e6:.2f} M"
