"""Target `gguf_adapter`: the adapter alone for llama.cpp and Ollama, loaded on a GGUF file of the base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from studio.export.targets.base import Target
from studio.export.work import Peak, Work

if TYPE_CHECKING:
    from studio.export.merging.source import Source
    from studio.export.resources import Need
    from studio.export.verification.probe import Probe
    from studio.export.verification.result import Verification
    from studio.hardware.dims import ModelDims
    from studio.tracking.reporter import Reporter
    from studio.training.settings import Adapter


class GgufAdapterTarget(Target, frozen=True):
    """A LoRA adapter as a GGUF file: a few megabytes, loaded on a GGUF file of the base, several on one base."""

    WORK: ClassVar[Mapping[str, Work]] = {"": Work(5.7, weights=100, token=340)}
    PEAK: ClassVar[Mapping[str, Peak]] = {"": Peak(weight=3.8, vocabulary=8 << 10)}

    kind: Literal["gguf_adapter"] = Field(default="gguf_adapter", title="Kind")
    """A GGUF LoRA adapter."""

    def refuse(self, config: Mapping[str, Any]) -> None:
        """Architectures and RoPE scalings that have no GGUF layout here."""
        from studio.export.llamacpp.architectures import refuse_unless_known

        refuse_unless_known(config)

    def refuse_adapter(self, adapter: Adapter) -> None:
        """DoRA, whole modules and full fine-tuning."""
        from studio.export.targets.gguf_adapter.lora import refuse_unfit

        whole = adapter.modules_to_save or adapter.kind == "full"
        refuse_unfit({"peft_type": "LORA", "use_dora": adapter.kind == "dora", "modules_to_save": whole})

    def missing(self) -> str | None:
        """The package that writes the file."""
        from studio.core import extras

        return extras.missing_packages(("gguf",))

    def folder(self, source: Source) -> str:
        """`gguf-adapter`."""
        return "gguf-adapter"

    def size(self, dims: ModelDims, trained: int | None = None) -> int:
        """The adapter in float32."""
        from studio.export.resources import adapter_bytes

        return adapter_bytes(dims, trained)

    def estimate(self, source: Source) -> Need:
        """Disk space: the file, and for the check the base twice. Memory: the base."""
        from studio.export.merging import merge
        from studio.export.resources import MIB, Need

        base = merge.merged_bytes(source, None)
        disk = self.size(source.dims) + base + source.parameters * 2
        return Need(disk=disk + 32 * MIB, memory=self.memory(source))

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Convert the matrices, add template and Modelfile."""
        from studio.export.targets.gguf_adapter.write import write

        return write(source, out)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in llama.cpp on the base's own weights and compare."""
        from studio.export.targets.gguf_adapter.verify import verify

        return verify(source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """llama-server and Ollama, on a file of the base."""
        from studio.export.targets.gguf_adapter.write import serve

        return serve(source, folder)
