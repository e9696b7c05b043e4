"""What of a spec is trained, as memory and speed are counted, and whether its base may be quantized."""

from __future__ import annotations

from dataclasses import dataclass

from studio.hardware.memory_config import MemoryConfig
from studio.spec import RunSpec


def adapted(spec: RunSpec) -> MemoryConfig:
    """A run with the adapter of `spec`; all else as it stands by default."""
    adapter, factor, method = spec.adapter, spec.adapter.traits.factor, spec.training.method
    return MemoryConfig(
        rank=factor * adapter.rank,
        targets=adapter.targets if isinstance(adapter.targets, str) else tuple(adapter.targets),
        ranks=tuple((pattern, factor * rank) for pattern, rank in adapter.ranks.items()),
        dora=adapter.kind == "dora",
        full=adapter.kind == "full",
        whole=tuple(adapter.modules_to_save),
        dropout=adapter.dropout,
        sampled_by="vllm" if method.by_vllm else "model" if method.generates else "",
    )


@dataclass(frozen=True)
class ExactBase:
    """What needs an unquantized base, in which field, and why."""

    what: str
    field: str
    why: str


def needs_exact_base(spec: RunSpec) -> ExactBase | None:
    """What of the spec rules out a quantized base, if anything does."""
    if reason := spec.adapter.traits.exact_base:
        return ExactBase(spec.adapter.kind, "adapter.kind", reason)
    if spec.training.method.by_vllm:
        return ExactBase("vLLM", "training.method.engine", "it has no bitsandbytes, and would answer from other weights")
    return None
