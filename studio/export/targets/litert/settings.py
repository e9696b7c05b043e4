"""Target `litert`: a .tflite and a .litertlm, for LiteRT-LM on phones, boards and computers."""

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


class LitertTarget(FixedContextTarget, frozen=True):
    """LiteRT files, loaded and checked in LiteRT's interpreter and in LiteRT-LM."""

    WORK: ClassVar[Mapping[str, Work]] = {
        "": Work(17.7, layer=1.4, weights=385, token=460),
        "fp32": Work(17.7, layer=1.4, weights=605, token=460),
    }
    PEAK: ClassVar[Mapping[str, Peak]] = {"": Peak(process=565, weight=20.5)}
    STEM: ClassVar[str] = "litert"
    QUANTS: ClassVar[tuple[str, ...]] = ("int8", "fp32")
    TOOLCHAIN: ClassVar[str] = "litert"

    kind: Literal["litert"] = Field(default="litert", title="Kind")
    """A .tflite and a .litertlm."""
    quant: Literal["int8", "fp32"] = Field(default="int8", title="Quantization")
    """int8: a quarter of the size, what phones take; fp32: no loss."""
    context: ContextTokens = None
    merge_into: MergeOnto = None

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """Two files with every weight, a tied matrix once, and about 110 kB a layer for the graphs of prompt and answer; the
        vocabulary, compressed, in one of them."""
        from studio.export.resources import weight_bytes

        each = {"int8": 1.03, "fp32": 4.0}[self.quant]
        model = weight_bytes(dims, each, each, each if dims.head else None) + 110_000 * dims.layers
        return 2 * model + 15 * dims.vocab

    def estimate(self, source: Source) -> Need:
        """Disk space: both files, the float32 ones they are made from, and a merged model unless there is one. Memory: five
        float32 copies of the weights at the peak of a conversion: torch's, the graph's constants and the file's."""
        from studio.export.resources import MIB, Need

        disk = self.size(source.dims) + source.parameters * 4 + self.merged_scratch(source) + 64 * MIB
        return Need(disk=disk, memory=self.memory(source))

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and convert."""
        from studio.export.targets.litert.write import write

        return write(self, source, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in both runtimes and compare."""
        from studio.export.targets.litert.verify import verify

        return verify(self, source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """LiteRT-LM's own command."""
        from studio.export.targets.litert.write import serve

        return serve(source, folder)
