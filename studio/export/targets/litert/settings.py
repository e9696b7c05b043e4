"""Target `litert`: a .tflite and a .litertlm, for LiteRT-LM on phones, boards and computers."""

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


class LitertTarget(Section):
    """LiteRT files, loaded and checked in LiteRT's interpreter and in LiteRT-LM."""

    kind: Literal["litert"] = Field(default="litert", title="Kind")
    """A .tflite and a .litertlm."""
    quant: Literal["int8", "fp32"] = Field(default="int8", title="Quantization")
    """int8: a quarter of the size, what phones take; fp32: no loss."""
    context: int | None = Field(default=None, ge=128, le=131_072, title="Context (tokens)")
    """Prompt and answer together, fixed in the file. Empty: twice the longest row trained on, between 1,024 and 4,096."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """Which base weights are merged, as for `merged`."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        return f"litert-{self.quant}" + source.apart(self.onto)

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.targets.litert.files import estimate

        return estimate(source, self.quant, source.onto(self.onto))

    def size(self, parameters: int) -> int:
        """About how many bytes its two files take for a base of so many weights."""
        return int(parameters * 2 * {"int8": 1.03, "fp32": 4.0}[self.quant]) + (8 << 20)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it; None if all is there."""
        from studio.export.toolchains import missing

        return missing("litert")

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and convert. Returns details for the manifest."""
        from studio.export.targets.litert.files import write_files

        return write_files(source, self.quant, source.onto(self.onto), self.context, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in both runtimes and compare."""
        from studio.export.targets.litert.verify import verify_litert
        from studio.export.verification.context import context

        tokens = context(source, self.context).tokens
        return verify_litert(source, out, self.quant, source.onto(self.onto), tokens, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.export.targets.litert.files import serve

        return serve(source, folder)
