"""Target `gguf_adapter`: the adapter alone for llama.cpp and Ollama, loaded on a GGUF file of the base."""

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


class GgufAdapterTarget(Section):
    """A LoRA adapter as a GGUF file: a few megabytes, loaded on a GGUF file of the base, several on one base."""

    kind: Literal["gguf_adapter"] = Field(default="gguf_adapter", title="Kind")
    """A GGUF LoRA adapter."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        return "gguf-adapter"

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.export.targets.gguf_adapter.convert import estimate

        return estimate(source)

    def size(self, parameters: int) -> int:
        """About how many bytes its files take for a base of so many weights."""
        from studio.export.resources import lora_bytes

        return lora_bytes(parameters)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it; None if all is there."""
        from importlib.util import find_spec

        return None if find_spec("gguf") else "gguf is not installed: pip install gguf"

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Convert the matrices, add template and Modelfile. Returns details for the manifest."""
        from studio.export.targets.gguf_adapter.convert import write_file

        return write_file(source, out)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it in llama.cpp on the base's own weights and compare."""
        from studio.export.targets.gguf_adapter.convert import verify_file

        return verify_file(source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.export.targets.gguf_adapter.convert import serve

        return serve(source, folder)
