"""Target `adapter`: the PEFT folder that plain `peft` loads on the base model."""

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


class AdapterTarget(Section):
    """The adapter alone: a few megabytes, loaded on the base model."""

    kind: Literal["adapter"] = Field(default="adapter", title="Kind")
    """A PEFT adapter folder."""

    def folder(self, source: Source) -> str:
        """Its name below `exports/`."""
        return "adapter"

    def estimate(self, source: Source) -> Need:
        """Disk and memory the export takes, in bytes."""
        from studio.core.files import bytes_in
        from studio.export.resources import Need, loaded

        return Need(disk=bytes_in(source.adapter) + (32 << 20), memory=loaded(source))

    def size(self, parameters: int) -> int:
        """About how many bytes its files take for a base of so many weights."""
        from studio.export.resources import lora_bytes

        return lora_bytes(parameters) + (8 << 20)

    def missing(self) -> str | None:
        """What is not installed to make it, with the command that installs it: nothing."""
        return None

    def write(self, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
        """Copy settings and weights, add tokenizer and template, name the base. Returns details for the manifest."""
        from studio.export.targets.adapter.convert import write_adapter

        return write_adapter(source, out)

    def verify(self, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
        """Load it with plain peft on the base and compare."""
        from studio.export.verification.checks import verify_adapter

        return verify_adapter(source, out, probe, reporter)

    def serve(self, source: Source, folder: Path) -> list[str]:
        """Commands that serve it from `folder`."""
        from studio.export.targets.adapter.convert import serve

        return serve(source, folder)
