"""The adapter as a folder of its own: settings, weights, tokenizer and template; the base named, not its place here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from studio.core.errors import ExportError
from studio.core.files import read_json, write_json
from studio.export.merge import tidy_tokenizer
from studio.export.reference import source_tokenizer
from studio.export.source import Source


def write_adapter(source: Source, out: Path) -> dict[str, Any]:
    """Write the PEFT folder. Returns details for the manifest. Raises ExportError if the run's adapter is not whole."""
    weights = source.adapter / "adapter_model.safetensors"
    if not weights.exists():
        raise ExportError(
            "the run's adapter has no safetensors weights", hint="Train again, or resume the run.", where=str(source.adapter)
        )
    shutil.copyfile(weights, out / weights.name)
    os.chmod(out / weights.name, 0o644)
    settings = read_json(source.adapter / "adapter_config.json")
    settings |= {"base_model_name_or_path": source.base_name, "revision": source.base.revision, "inference_mode": True}
    write_json(out / "adapter_config.json", settings)
    source_tokenizer(source).save_pretrained(out)
    tidy_tokenizer(out)
    return {
        "rank": source.rank,
        "statement": f"To be loaded on {source.base_name}, held as in training ({source.model.quantization or 'none'}).",
        "hot_swap": "no: DoRA must be merged for servers" if settings.get("use_dora") else "yes",
    }
