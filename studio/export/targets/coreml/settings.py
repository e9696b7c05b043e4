"""Target `coreml`: an .mlpackage with a stateful cache, for apps on iPhone, iPad and Mac."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from studio.export.targets.base import ContextTokens, FixedContextTarget, MergeOnto
from studio.export.work import Peak, Work

if TYPE_CHECKING:
    from studio.export.merging.source import Source
    from studio.export.resources import Need
    from studio.export.verification.probe import Probe
    from studio.export.verification.result import Verification
    from studio.hardware.dims import ModelDims
    from studio.tracking.reporter import Reporter


class CoremlTarget(FixedContextTarget, frozen=True):
    """A Core ML package; run on a Mac, elsewhere structure checked, not run."""

    WORK: ClassVar[Mapping[str, Work]] = {
        "": Work(24.5, layer=1.1, weights=286, token=890),
        "fp16": Work(24.5, layer=1.1, weights=143, token=890),
    }
    PEAK: ClassVar[Mapping[str, Peak]] = {"": Peak(process=480, weight=18.2), "fp16": Peak(process=480, weight=15.6)}
    STEM: ClassVar[str] = "coreml"
    QUANTS: ClassVar[tuple[str, ...]] = ("int4", "fp16")
    TOOLCHAIN: ClassVar[str] = "coreml"

    kind: Literal["coreml"] = Field(default="coreml", title="Kind")
    """A Core ML package."""
    quant: Literal["int4", "fp16"] = Field(default="int4", title="Quantization")
    """int4: a third of the size, what phones take; fp16: no loss."""
    context: ContextTokens = None
    merge_into: MergeOnto = None

    def refuse(self, config: Mapping[str, Any]) -> None:
        """Architectures that the decoder does not compute."""
        from studio.export.decoder.architecture import refuse_unless_known

        refuse_unless_known(config)

    def positions(self, source: Source) -> int | None:
        """Up to where the decoder computes positions as transformers does."""
        from studio.export.decoder.architecture import architecture

        return architecture(source.base_config).reach

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """Linear layers in 4 bit with a 16-bit scale every 32 weights, embedding and output matrix, one where they are
        tied, in 8; or all in 16."""
        from studio.export.resources import tokenizer_bytes, weight_bytes

        linear, fine = {"int4": (0.5625, 1.0), "fp16": (2.0, 2.0)}[self.quant]
        return weight_bytes(dims, linear, fine, fine if dims.head else None) + tokenizer_bytes(dims)

    def estimate(self, source: Source) -> Need:
        """Disk space: the package, the 16-bit one before it, and a merged model unless there is one. Memory: converting."""
        from studio.export.resources import MIB, Need

        disk = self.size(source.dims) + source.parameters * 2 + self.merged_scratch(source) + 32 * MIB
        return Need(disk=disk, memory=self.memory(source))

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and convert."""
        from studio.export.targets.coreml.write import write

        return write(self, source, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Check its structure and its weights; on a Mac, run it."""
        from studio.export.targets.coreml.verify import verify

        return verify(self, source, out, probe, reporter)
