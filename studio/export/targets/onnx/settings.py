"""Target `onnx`: a folder for ONNX Runtime GenAI, for Windows, browsers, servers and boards."""

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

FINE = ("q_proj", "k_proj", "v_proj", "qkv_proj", "down_proj")
"""Linear layers that keep 8 bit in some of the layers of a 4-bit model."""


class OnnxTarget(MergedModelTarget, frozen=True):
    """An ONNX model with tokenizer and settings, loaded and checked in ONNX Runtime GenAI."""

    WORK: ClassVar[Mapping[str, Work]] = {
        "": Work(10.6, weights=222, token=250),
        "fp32": Work(9.9, weights=198, token=250),
        "fp16": Work(9.9, weights=198, token=250),
    }
    PEAK: ClassVar[Mapping[str, Peak]] = {
        "": Peak(process=95, weight=16),
        "fp32": Peak(process=95, weight=6.5),
        "fp16": Peak(process=95, weight=7.9),
    }
    STEM: ClassVar[str] = "onnx"
    QUANTS: ClassVar[tuple[str, ...]] = ("int4", "int8", "fp16", "fp32")
    PACKAGES: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnxruntime_genai", "onnx", "onnx_ir")

    kind: Literal["onnx"] = Field(default="onnx", title="Kind")
    """A folder for ONNX Runtime GenAI."""
    quant: Literal["int8", "int4", "fp16", "fp32"] = Field(default="int8", title="Quantization")
    """int8: hardly any loss; int4: the smallest, for over a billion weights; fp16, for GPUs, and fp32: no loss."""
    provider: Literal["cpu", "cuda", "dml", "webgpu"] = Field(default="cpu", title="Built for")
    """cpu: every device; cuda: NVIDIA; dml: any GPU on Windows; webgpu: browsers."""
    merge_into: MergeOnto = None

    def refuse(self, config: Mapping[str, Any]) -> None:
        """What the builder does not build, or builds otherwise than it was trained."""
        from studio.export.targets.onnx.write import refuse

        refuse(config)

    def folder(self, source: Source) -> str:
        """`onnx`, quantization, and the device where it is not the CPU."""
        device = "" if self.provider == "cpu" else f"-{self.provider}"
        return f"onnx-{self.quant}{device}" + source.folder_suffix(self.merge_into)

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """Blocks of 32 weights with a scale in 32 bit and a zero point; a tied embedding reads the output matrix.
        Beside them the graph, the cosines and sines of every position, and the tokenizer."""
        from studio.export.resources import tokenizer_bytes, weight_bytes

        wide, eight = 2.0 if self.quant == "fp16" else 4.0, 1 + 5 / 32
        if self.quant in ("fp32", "fp16"):
            weights = weight_bytes(dims, wide, wide)
        else:
            rounded = not dims.head or (self.provider == "cpu" and dims.hidden % 32 == 0)
            linear = eight if self.quant == "int8" else self._four(dims)
            weights = weight_bytes(dims, linear, eight if rounded else wide, eight if dims.head else None)
        positions = dims.max_positions * dims.head_dim * int(wide)
        return weights + positions + 8192 * dims.layers + tokenizer_bytes(dims)

    def _four(self, dims: ModelDims) -> float:
        """Bytes of a linear layer's weight in 4 bit, where the builder keeps some of the layers at 8, as llama.cpp does."""
        kept = [
            layer
            for layer in range(dims.layers)
            if layer < dims.layers / 8 or layer >= 7 * dims.layers / 8 or (layer - round(dims.layers / 8)) % 3 == 2
        ]
        sizes = {name: inputs * outputs for name, (inputs, outputs) in dims.linears.items()}
        fine = sum(size for name, size in sizes.items() if name in FINE)
        share = fine / sum(sizes.values()) * len(kept) / dims.layers
        return (1 - share) * (0.5 + 4.5 / 32) + share * (1 + 5 / 32)

    def estimate(self, source: Source) -> Need:
        """Disk space: the files, and a merged model unless there is one. Memory: the model in float32 and the graph."""
        from studio.export.resources import Need

        disk = self.size(source.dims) + self.merged_scratch(source)
        return Need(disk=disk, memory=self.memory(source))

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Merge (or take the merged export) and build."""
        from studio.export.targets.onnx.write import write

        return write(self, source, out, reporter)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in ONNX Runtime GenAI and compare."""
        from studio.export.targets.onnx.verify import verify

        return verify(self, source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """A question, in the build that runs on the provider."""
        from studio.export.targets.onnx.write import serve

        return serve(folder, self.provider)
