"""Target `merged_4bit`: the merged model in 4 bit for vLLM and SGLang (compressed-tensors, GPTQ on the training rows)."""

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


class Merged4BitTarget(Section):
    """A full model in 4 bit, made for servers on a GPU: about a third of `merged`."""

    kind: Literal["merged_4bit"] = Field(default="merged_4bit", title="Kind")
    """A full model whose weights are packed in 4 bit; vLLM loads it as it is."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """Which base weights are merged, as for `merged`."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        return "merged-4bit" + source.apart(self.onto)

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.targets.merged_4bit.convert import estimate

        return estimate(source, source.onto(self.onto))

    def size(self, parameters: int) -> int:
        """About how many bytes its files take for a base of so many weights, of which a tenth are embeddings in 16 bit."""
        return int(parameters * 0.67) + (8 << 20)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it; None if all is there."""
        from studio.export.toolchains import missing

        return missing("compress")

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export), and quantise on training rows. Returns details for the manifest."""
        from studio.export.targets.merged_4bit.convert import write

        return write(source, source.onto(self.onto), out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it with compressed-tensors and compare."""
        from studio.export.targets.merged_4bit.convert import verify

        return verify(source, out, source.onto(self.onto), probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.core.text import slug

        return [f"vllm serve {folder} --served-model-name {slug(source.name)}"]
