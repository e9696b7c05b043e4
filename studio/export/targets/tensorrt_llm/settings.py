"""Target `tensorrt_llm`: merged weights with the options NVIDIA's TensorRT-LLM serves them with."""

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


class TensorrtLlmTarget(Section):
    """A full model folder for TensorRT-LLM's PyTorch backend; nothing is built beforehand."""

    kind: Literal["tensorrt_llm"] = Field(default="tensorrt_llm", title="Kind")
    """A full model with TensorRT-LLM's options; checked as far as is possible without running it."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """Which base weights are merged, as for `merged`."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        return "tensorrt-llm" + source.apart(self.onto)

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.targets.tensorrt_llm.convert import estimate

        return estimate(source, source.onto(self.onto))

    def size(self, parameters: int) -> int:
        """About how many bytes its files take for a base of so many weights."""
        return parameters * 2 + (8 << 20)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it: nothing."""
        return None

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and write the options. Returns details for the manifest."""
        from studio.export.targets.tensorrt_llm.convert import write

        return write(source, source.onto(self.onto), out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Compare the weights in transformers and check what TensorRT-LLM reads; it is not run."""
        from studio.export.targets.tensorrt_llm.convert import verify

        return verify(source, out, source.onto(self.onto), probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.export.targets.tensorrt_llm.convert import serve

        return serve(source, folder)
