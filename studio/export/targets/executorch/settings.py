"""Target `executorch`: a .pte program with XNNPACK kernels, for phones."""

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


class ExecutorchTarget(FixedContextTarget, frozen=True):
    """An ExecuTorch program, loaded and checked in ExecuTorch's runtime and in its runner for phones."""

    WORK: ClassVar[Mapping[str, Work]] = {
        "": Work(16.2, layer=3.2, weights=90, token=450),
        "fp32": Work(16.2, layer=2.4, weights=90, token=450),
    }
    PEAK: ClassVar[Mapping[str, Peak]] = {"": Peak(process=335, weight=12.5), "fp32": Peak(process=320, weight=15)}
    STEM: ClassVar[str] = "executorch"
    QUANTS: ClassVar[tuple[str, ...]] = ("8da4w", "8da8w", "fp32")
    PACKAGES: ClassVar[tuple[str, ...]] = ("executorch", "torchao", "pytorch_tokenizers")

    kind: Literal["executorch"] = Field(default="executorch", title="Kind")
    """A .pte for Android and iOS."""
    quant: Literal["fp32", "8da8w", "8da4w"] = Field(default="8da8w", title="Quantization")
    """8da8w: 8 bit, a quarter of the size, hardly any loss; 8da4w: 4 bit, for models over a billion weights; fp32: no loss."""
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
        """Linear layers in 4, 8 or 32 bit; embedding and output matrix in 8 or 32, stored apart even where they are tied."""
        from studio.export.resources import tokenizer_bytes, weight_bytes

        linear, fine = {"fp32": (4.0, 4.0), "8da8w": (1.03, 1.03), "8da4w": (0.57, 1.03)}[self.quant]
        return weight_bytes(dims, linear, fine, fine) + tokenizer_bytes(dims)

    def estimate(self, source: Source) -> Need:
        """Disk space: the file, and a merged model unless there is one. Memory: at the peak of lowering copies
        of the weights as torch's, the graph's constants and the file's, in float32 or in 8 bit."""
        from studio.export.resources import Need

        disk = self.size(source.dims) + self.merged_scratch(source)
        return Need(disk=disk, memory=self.memory(source))

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and lower."""
        from studio.export.targets.executorch.write import write

        return write(self, source, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in ExecuTorch and compare."""
        from studio.export.targets.executorch.verify import verify

        return verify(self, source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """`prompt.txt`, answered in ExecuTorch's runner."""
        from studio.export.targets.executorch.write import serve

        return serve(folder)
