"""Target `adapter`: the PEFT folder that plain `peft` loads on the base model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from studio.export.targets.base import Target
from studio.export.work import Work

if TYPE_CHECKING:
    from studio.export.merging.source import Source
    from studio.export.resources import Need
    from studio.export.verification.probe import Probe
    from studio.export.verification.result import Verification
    from studio.hardware.dims import ModelDims
    from studio.tracking.reporter import Reporter


class AdapterTarget(Target, frozen=True):
    """The adapter alone: a few megabytes, loaded on the base model."""

    WORK: ClassVar[Mapping[str, Work]] = {"": Work(8, weights=38, token=245)}
    kind: Literal["adapter"] = Field(default="adapter", title="Kind")
    """A PEFT adapter folder."""

    def folder(self, source: Source) -> str:
        """`adapter`."""
        return "adapter"

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """The adapter, and the tokenizer."""
        from studio.export.resources import adapter_bytes, tokenizer_bytes

        return adapter_bytes(dims, trained) + tokenizer_bytes(dims)

    def memory(self, source: Source) -> int:
        """That of base + adapter."""
        from studio.export.resources import loaded_bytes

        return loaded_bytes(source)

    def estimate(self, source: Source) -> Need:
        """Disk space of a copy, and the memory of base + adapter."""
        from studio.core.files import bytes_in
        from studio.export.resources import Need

        return Need(disk=bytes_in(source.adapter) + (32 << 20), memory=self.memory(source))

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Copy settings and weights, add tokenizer and template, name the base."""
        from studio.export.targets.adapter.write import write

        return write(source, out)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it with plain peft on the base and compare."""
        from studio.export.targets.adapter.verify import verify

        return verify(source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """vLLM with the adapter on its base."""
        from studio.export.targets.adapter.write import serve

        return serve(source, folder)
