"""Target `gguf`: one file for llama.cpp, Ollama and LM Studio."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from studio.export.llamacpp.formats import Quant
from studio.export.targets.base import MergedModelTarget, MergeOnto
from studio.export.work import Work

if TYPE_CHECKING:
    from studio.export.merging.source import Source
    from studio.export.resources import Need
    from studio.export.verification.probe import Probe
    from studio.export.verification.result import Verification
    from studio.hardware.dims import ModelDims
    from studio.tracking.reporter import Reporter


class GgufTarget(MergedModelTarget, frozen=True):
    """A GGUF file, loaded and checked in llama.cpp."""

    WORK: ClassVar[Mapping[str, Work]] = {
        "": Work(5.7, weights=105, token=340),
        "q8_0": Work(5.7, weights=37, token=340),
        "f16": Work(5.7, weights=45, token=450),
    }
    STEM: ClassVar[str] = "gguf"
    QUANTS: ClassVar[tuple[str, ...]] = ("q4_k_m", "q5_k_m", "q6_k", "q8_0", "f16")

    kind: Literal["gguf"] = Field(default="gguf", title="Kind")
    """A GGUF file."""
    quant: Quant = Field(default="q8_0", title="Quantization")
    """f16: no loss; q8_0: half the size, hardly any loss; q6_k and q5_k_m: in between; q4_k_m: a third, for small machines."""
    merge_into: MergeOnto = None

    def refuse(self, config: Mapping[str, Any]) -> None:
        """Architectures and RoPE scalings that have no GGUF layout here."""
        from studio.export.llamacpp.architectures import refuse_unless_known

        refuse_unless_known(config)

    def missing(self) -> str | None:
        """f16 and q8_0 are written without llama.cpp, and are then not verified."""
        from studio.core import extras

        needed = ("gguf",) if self.quant in ("f16", "q8_0") else ("gguf", "cyllama")
        return extras.missing_packages(needed)

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """Bits of the format, of fallbacks where the model is narrow, and the vocabulary."""
        from studio.export.llamacpp.formats import bits_per_weight

        return int(dims.parameters * bits_per_weight(dims, self.quant) / 8) + 34 * dims.vocab

    def note(self, dims: ModelDims) -> str:
        """What a K-quant of a narrow model falls back to."""
        from studio.export.llamacpp.formats import fallback_note

        return fallback_note(dims, self.quant)

    def estimate(self, source: Source) -> Need:
        """Disk space and memory of merging, converting and checking."""
        from studio.export.targets.gguf.write import estimate

        return estimate(self, source)

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export), convert, quantize."""
        from studio.export.targets.gguf.write import write

        return write(self, source, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in llama.cpp and compare."""
        from studio.export.targets.gguf.verify import verify

        return verify(self, source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """llama-server and Ollama."""
        from studio.export.targets.gguf.write import serve

        return serve(source, folder)
