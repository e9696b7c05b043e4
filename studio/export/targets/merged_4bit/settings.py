"""Target `merged_4bit`: the merged model in 4 bit for vLLM and SGLang (compressed-tensors, GPTQ on the training rows)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from studio.export.targets.base import MergedModelTarget, MergeOnto
from studio.export.work import Peak, Work

if TYPE_CHECKING:
    from studio.export.merging.source import Source
    from studio.export.resources import Need
    from studio.export.verification.probe import Probe
    from studio.export.verification.result import Verification
    from studio.hardware.dims import ModelDims
    from studio.tracking.reporter import Reporter


class Merged4BitTarget(MergedModelTarget, frozen=True):
    """A full model in 4 bit, made for servers on a GPU: about a third of `merged`."""

    WORK: ClassVar[Mapping[str, Work]] = {"": Work(15.5, columns=1.32, weights=30, token=105)}
    PEAK: ClassVar[Mapping[str, Peak]] = {"": Peak(process=377, weight=2, vocabulary=6 << 10)}
    STEM: ClassVar[str] = "merged-4bit"
    TOOLCHAIN: ClassVar[str] = "compress"

    kind: Literal["merged_4bit"] = Field(default="merged_4bit", title="Kind")
    """A full model whose weights are packed in 4 bit; vLLM loads it as it is."""
    merge_into: MergeOnto = None

    def refuse(self, config: Mapping[str, Any]) -> None:
        """Mixtures of experts, which are untested."""
        from studio.core.errors import ExportError
        from studio.export.configs import experts

        if experts(config):
            raise ExportError(
                "mixture-of-experts models are not quantized to 4 bit for vLLM here",
                hint="Export `merged`; vLLM can round it to 8 bit as it loads: --quantization fp8.",
                where="merged_4bit",
            )

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """Linear layers in 4 bit and a 16-bit scale every 128 weights; embeddings and output matrix in 16 bit."""
        from studio.export.resources import tokenizer_bytes, weight_bytes

        return weight_bytes(dims, (4 + 16 / 128) / 8, 2, 2 if dims.head else None) + tokenizer_bytes(dims)

    def estimate(self, source: Source) -> Need:
        """Disk space: the files, and a merged model unless there is one. Memory: the merged model, the statistics of one
        block's inputs, and the libraries twice, for two processes."""
        from studio.export.resources import MIB, Need

        statistics = 2 * 4 * source.dims.ffn**2
        return Need(
            disk=self.size(source.dims) + self.merged_scratch(source) + 32 * MIB, memory=self.memory(source) + statistics
        )

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export), and quantize on training rows."""
        from studio.export.targets.merged_4bit.write import write

        return write(self, source, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it with compressed-tensors or vLLM and compare."""
        from studio.export.targets.merged_4bit.verify import verify

        return verify(self, source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """vLLM."""
        from studio.core.text import slug

        return [f"vllm serve {folder} --served-model-name {slug(source.name)}"]
