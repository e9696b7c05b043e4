"""What of a spec is trained, as memory and speed are counted."""

from __future__ import annotations

from studio.hardware.memory_config import MemoryConfig
from studio.spec import RunSpec


def adapted(spec: RunSpec) -> MemoryConfig:
    """A run with the adapter of `spec`; all else as it stands by default."""
    adapter, factor = spec.adapter, spec.adapter.traits.factor
    return MemoryConfig(
        rank=factor * adapter.rank,
        targets=adapter.targets if isinstance(adapter.targets, str) else tuple(adapter.targets),
        ranks=tuple((pattern, factor * rank) for pattern, rank in adapter.ranks.items()),
        dora=adapter.kind == "dora",
        full=adapter.kind == "full",
        whole=tuple(adapter.modules_to_save),
        dropout=adapter.dropout,
    )
