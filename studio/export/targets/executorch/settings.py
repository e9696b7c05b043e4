"""Target `executorch`: a .pte program with XNNPACK kernels, for phones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from studio.core.section import Section

if TYPE_CHECKING:
    from studio.export.artifacts.manifest import Verification
    from studio.export.merging.source import Probe, Source
    from studio.export.resources import Need
    from studio.tracking.reporter import Reporter


class ExecutorchTarget(Section):
    """An ExecuTorch program, loaded and checked in ExecuTorch's runtime and in its runner for phones."""

    kind: Literal["executorch"] = Field(default="executorch", title="Kind")
    """A .pte for Android and iOS."""
    quant: Literal["fp32", "8da8w", "8da4w"] = Field(default="8da8w", title="Quantization")
    """8da8w: 8 bit, a quarter of the size, hardly any loss; 8da4w: 4 bit, for models over a billion weights; fp32: no loss."""
    context: int | None = Field(default=None, ge=128, le=131_072, title="Context (tokens)")
    """Prompt and answer together, fixed in the file. Empty: twice the longest row trained on, between 1,024 and 4,096."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """Which base weights are merged, as for `merged`."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        return f"executorch-{self.quant}" + source.apart(self.onto)

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.targets.executorch.files import estimate

        return estimate(source, self.quant, source.onto(self.onto))

    def size(self, parameters: int) -> int:
        """About how many bytes its files take for a base of so many weights."""
        from studio.export.targets.executorch.files import size_of

        return size_of(parameters, self.quant)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it; None if all is there."""
        from studio.export.targets.executorch import PACKAGES
        from studio.export.toolchains.extras import missing

        return missing("executorch", PACKAGES)

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and lower. Returns details for the manifest."""
        from studio.export.targets.executorch.files import write_files

        return write_files(source, self.quant, source.onto(self.onto), self.context, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in ExecuTorch and compare."""
        from studio.export.decoder.architecture import architecture
        from studio.export.targets.executorch.verify import verify_executorch
        from studio.export.verification.context import context

        tokens = context(source, self.context, architecture(source.base_config).reach).tokens
        return verify_executorch(source, out, self.quant, source.onto(self.onto), tokens, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.export.targets.executorch.files import serve

        return serve(folder)
