"""Target `tensorrt_llm`: merged weights with the options NVIDIA's TensorRT-LLM serves them with."""

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


class TensorrtLlmTarget(MergedModelTarget, frozen=True):
    """A full model folder for TensorRT-LLM's PyTorch backend; nothing is built beforehand."""

    WORK: ClassVar[Mapping[str, Work]] = {"": Work(6.2, weights=28, token=105)}
    PEAK: ClassVar[Mapping[str, Peak]] = {"": Peak(weight=2, vocabulary=24 << 10)}
    STEM: ClassVar[str] = "tensorrt-llm"

    kind: Literal["tensorrt_llm"] = Field(default="tensorrt_llm", title="Kind")
    """A full model with TensorRT-LLM's options; checked as far as is possible without running it."""
    merge_into: MergeOnto = None

    def refuse(self, config: Mapping[str, Any]) -> None:
        """Architectures and number formats that TensorRT-LLM does not take."""
        from studio.export.targets.tensorrt_llm.write import refuse

        refuse(config)

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """Every weight in 16 bit."""
        from studio.export.resources import tokenizer_bytes

        return dims.parameters * 2 + tokenizer_bytes(dims)

    def estimate(self, source: Source) -> Need:
        """Disk space and memory of merging and of the comparison."""
        from studio.export.merging import merge
        from studio.export.resources import MIB, Need

        merged = merge.merged_bytes(source, None)
        return Need(disk=merged + 32 * MIB, memory=self.memory(source))

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and write the options."""
        from studio.export.targets.tensorrt_llm.write import write

        return write(self, source, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Compare the weights in transformers and check what TensorRT-LLM reads; it is not run."""
        from studio.export.targets.tensorrt_llm.verify import verify

        return verify(self, source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """trtllm-serve, and the adapter by name on its base."""
        from studio.export.targets.tensorrt_llm.write import serve

        return serve(source, folder)
