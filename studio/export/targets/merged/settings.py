"""Target `merged`: base and adapter as one safetensors model with the tokenizer and template that were trained."""

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


class MergedTarget(Section):
    """One full model folder that transformers, vLLM, SGLang and TensorRT-LLM load."""

    kind: Literal["merged"] = Field(default="merged", title="Kind")
    """A full model in safetensors."""
    onto: Literal["dequantized", "original"] | None = Field(default=None, title="Merge onto")
    """dequantized: the very weights the adapter was trained on; original: the base's own 16-bit weights. Empty: dequantized."""
    dtype: Literal["bf16", "fp16", "fp32"] | None = Field(default=None, title="Saved as")
    """Number format of the saved weights. Empty: the base model's own."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        from studio.export.merging.merge import saved_dtype

        own = saved_dtype(source, self.dtype) == saved_dtype(source, None)
        return "merged" + source.apart(self.onto) + ("" if own else f"-{self.dtype}")

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.merging.merge import BYTES, merged_bytes
        from studio.export.resources import RUNTIME, Need

        disk = merged_bytes(source, self.dtype)
        checked = source.parameters * BYTES[source.model.dtype or "fp32"]
        return Need(disk=disk + (32 << 20), memory=max(disk, checked) + RUNTIME)

    def size(self, parameters: int) -> int:
        """About how many bytes its files take for a base of so many weights."""
        return parameters * (4 if self.dtype == "fp32" else 2) + (8 << 20)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it: nothing."""
        return None

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge and save. Returns details for the manifest."""
        from studio.export.merging.merge import saved_dtype, write_merged

        return write_merged(source, source.onto(self.onto), saved_dtype(source, self.dtype), out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it from disk as a server would and compare."""
        from studio.export.verification.checks import verify_merged

        return verify_merged(source, out, source.onto(self.onto), probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.core.text import slug

        return [
            f"vllm serve {folder} --served-model-name {slug(source.name)}",
            f'pip install "transformers[serving]" && transformers serve {folder}',
        ]
