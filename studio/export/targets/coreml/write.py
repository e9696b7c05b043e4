"""Making a Core ML export: an .mlpackage of the shared decoder whose cache is a state, in 16 or 4 bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.text import slug
from studio.export import toolchains
from studio.export.merging.source import Source
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.coreml.settings import CoremlTarget

BESIDE = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json", "generation_config.json")
"""What Apple's chat libraries read beside the package."""


def write(target: CoremlTarget, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `<name>-<quant>.mlpackage` and what a tokenizer needs into `out`. Returns details for the manifest.

    Raises ExportError if the toolchain is not installed.
    """
    context = target.tokens(source)
    folder = target.merged(source, out, reporter)
    details = target.statement(source)
    package = out / f"{slug(source.name)}-{target.quant}.mlpackage"
    request = {"merged": folder, "out": package, "context": context, "quant": target.quant, "about": details["statement"]}
    done = toolchains.call("coreml", "studio.export.targets.coreml.convert:convert", request, reporter)
    for file in package.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    for name in BESIDE:
        if (folder / name).exists():
            shutil.copy(folder / name, out / name)
    return {
        **details,
        "quant": target.quant,
        **target.cache(source, bytes_per_number=2),
        "needs": "iOS 18, macOS 15 or later",
        **done,
    }


def package_in(folder: Path) -> Path:
    """The export's package."""
    return next(folder.glob("*.mlpackage"))
