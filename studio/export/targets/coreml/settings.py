"""Target `coreml`: an .mlpackage with a stateful cache, for apps on iPhone, iPad and Mac."""

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


class CoremlTarget(Section):
    """A Core ML package; run on a Mac, elsewhere structure checked, not run."""

    kind: Literal["coreml"] = Field(default="coreml", title="Kind")
    """A Core ML package."""
    quant: Literal["int4", "fp16"] = Field(default="int4", title="Quantization")
    """int4: a third of the size, what phones take; fp16: no loss."""
    context: int | None = Field(default=None, ge=128, le=131_072, title="Context (tokens)")
    """Prompt and answer together, fixed in the file. Empty: twice the longest row trained on, between 1,024 and 4,096."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """Which base weights are merged, as for `merged`."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        return f"coreml-{self.quant}" + source.apart(self.onto)

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.targets.coreml.files import estimate

        return estimate(source, self.quant, source.onto(self.onto))

    def size(self, parameters: int) -> int:
        """About how many bytes it takes for a base of so many weights."""
        return int(parameters * {"int4": 0.65, "fp16": 2.0}[self.quant]) + (8 << 20)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it; None if all is there."""
        from studio.export.toolchains import missing

        return missing("coreml")

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and convert. Returns details for the manifest."""
        from studio.export.targets.coreml.files import write_files

        return write_files(source, self.quant, source.onto(self.onto), self.context, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Check its structure and its weights; on a Mac, run it."""
        from studio.export.targets.coreml.files import room
        from studio.export.targets.coreml.verify import verify_coreml

        tokens = room(source, self.context).tokens
        return verify_coreml(source, out, self.quant, source.onto(self.onto), tokens, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """None: apps load it."""
        return []
