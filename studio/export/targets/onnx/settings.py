"""Target `onnx`: a folder for ONNX Runtime GenAI, for Windows, browsers, servers and boards."""

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


class OnnxTarget(Section):
    """An ONNX model with tokenizer and settings, loaded and checked in ONNX Runtime GenAI."""

    kind: Literal["onnx"] = Field(default="onnx", title="Kind")
    """A folder for ONNX Runtime GenAI."""
    quant: Literal["int8", "int4", "fp16", "fp32"] = Field(default="int8", title="Quantization")
    """int8: hardly any loss; int4: the smallest, for over a billion weights; fp16, for GPUs, and fp32: no loss."""
    provider: Literal["cpu", "cuda", "dml", "webgpu"] = Field(default="cpu", title="Built for")
    """cpu: every device; cuda: NVIDIA; dml: any GPU on Windows; webgpu: browsers."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """Which base weights are merged, as for `merged`."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        device = "" if self.provider == "cpu" else f"-{self.provider}"
        return f"onnx-{self.quant}{device}" + source.apart(self.onto)

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.targets.onnx.files import estimate

        return estimate(source, self.quant, source.onto(self.onto))

    def size(self, parameters: int) -> int:
        """About how many bytes its files take for a base of so many weights."""
        from studio.export.targets.onnx.files import size_of

        return size_of(parameters, self.quant)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it; None if all is there."""
        from studio.export.targets.onnx import PACKAGES
        from studio.export.toolchains.extras import missing

        return missing("onnx", PACKAGES)

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and build. Returns details for the manifest."""
        from studio.export.targets.onnx.files import write_files

        return write_files(source, self.quant, self.provider, source.onto(self.onto), out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in ONNX Runtime GenAI and compare."""
        from studio.export.targets.onnx.verify import verify_onnx

        return verify_onnx(source, out, self.quant, self.provider, source.onto(self.onto), probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.export.targets.onnx.files import serve

        return serve(folder, self.provider)
