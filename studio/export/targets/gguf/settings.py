"""Target `gguf`: one file for llama.cpp, Ollama and LM Studio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from studio.core.section import Section
from studio.export.llamacpp.formats import BITS, Quant

if TYPE_CHECKING:
    from studio.export.artifacts.manifest import Verification
    from studio.export.merging.source import Probe, Source
    from studio.export.resources import Need
    from studio.tracking.reporter import Reporter


class GgufTarget(Section):
    """A GGUF file, loaded and checked in llama.cpp."""

    kind: Literal["gguf"] = Field(default="gguf", title="Kind")
    """A GGUF file."""
    quant: Quant = Field(default="q8_0", title="Quantization")
    """f16: no loss; q8_0: half the size, hardly any loss; q6_k and q5_k_m: in between; q4_k_m: a third, for small machines."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """Which base weights are merged, as for `merged`."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        return f"gguf-{self.quant}" + source.apart(self.onto)

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.targets.gguf.convert import estimate

        return estimate(source, self.quant, source.onto(self.onto))

    def size(self, parameters: int) -> int:
        """About how many bytes the file takes for a base of so many weights."""
        return int(parameters * BITS[self.quant] / 8) + (8 << 20)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it; None if all is there.

        f16 and q8_0 are written without llama.cpp, and are then not verified.
        """
        from importlib.util import find_spec

        needed = ("gguf",) if self.quant in ("f16", "q8_0") else ("gguf", "cyllama")
        absent = [package for package in needed if find_spec(package) is None]
        return f"{' and '.join(absent)} is not installed: pip install {' '.join(absent)}" if absent else None

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export), convert, quantise. Returns details for the manifest."""
        from studio.export.targets.gguf.convert import write_file

        return write_file(source, self.quant, source.onto(self.onto), out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in llama.cpp and compare."""
        from studio.export.targets.gguf.verify import verify_gguf

        return verify_gguf(source, out, self.quant, source.onto(self.onto), probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.export.targets.gguf.convert import serve

        return serve(source, folder)
