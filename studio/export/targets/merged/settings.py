"""Target `merged`: base and adapter as one safetensors model with the tokenizer and template that were trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from studio.export.targets.base import MergedModelTarget
from studio.export.work import Peak, Work

if TYPE_CHECKING:
    from studio.export.merging.source import Source
    from studio.export.resources import Need
    from studio.export.verification.probe import Probe
    from studio.export.verification.result import Verification
    from studio.hardware.dims import ModelDims
    from studio.tracking.reporter import Reporter


class MergedTarget(MergedModelTarget, frozen=True):
    """One full model folder that transformers, vLLM, SGLang and TensorRT-LLM load."""

    WORK: ClassVar[Mapping[str, Work]] = {"": Work(6.7, weights=65, token=105)}
    PEAK: ClassVar[Mapping[str, Peak]] = {"": Peak(weight=2, vocabulary=24 << 10)}
    STEM: ClassVar[str] = "merged"

    kind: Literal["merged"] = Field(default="merged", title="Kind")
    """A full model in safetensors."""
    merge_into: Literal["dequantized", "original"] | None = Field(default=None, title="Merge into")
    """dequantized: the very weights the adapter was trained on; original: the base's own 16-bit weights. Empty: dequantized."""
    dtype: Literal["bf16", "fp16", "fp32"] | None = Field(default=None, title="Saved as")
    """Number format of the saved weights. Empty: the base model's own."""

    def folder(self, source: Source) -> str:
        """`merged`, with the number format where it is not the base's own."""
        from studio.export.merging.merge import saved_dtype

        own = saved_dtype(source, self.dtype) == saved_dtype(source, None)
        return super().folder(source) + ("" if own else f"-{self.dtype}")

    def resolved(self, source: Source) -> dict[str, Any]:
        """The settings, base weights and number format decided."""
        from studio.export.merging.merge import saved_dtype

        return {**super().resolved(source), "dtype": saved_dtype(source, self.dtype)}

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """Every weight in 16 bit, or in 32."""
        from studio.export.resources import tokenizer_bytes

        return dims.parameters * (4 if self.dtype == "fp32" else 2) + tokenizer_bytes(dims)

    def estimate(self, source: Source) -> Need:
        """Disk space of the weights; memory of the larger of merging and checking."""
        from studio.export.merging.merge import merged_bytes
        from studio.export.resources import Need, process_bytes

        disk = merged_bytes(source, self.dtype)
        return Need(disk=disk + (32 << 20), memory=max(disk + process_bytes(), self.memory(source)))

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge and save."""
        from studio.export.merging.merge import saved_dtype, write_merged

        return write_merged(source, source.onto(self.merge_into), saved_dtype(source, self.dtype), out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it from disk as a server would and compare."""
        from studio.export.targets.merged_model import verify_merged

        return verify_merged(source, out, source.onto(self.merge_into), probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """vLLM, or transformers' own server."""
        from studio.core.text import slug

        return [
            f"vllm serve {folder} --served-model-name {slug(source.name)}",
            f'pip install "transformers[serving]" && transformers serve {folder}',
        ]
