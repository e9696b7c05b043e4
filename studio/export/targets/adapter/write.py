"""The adapter as a folder of its own: settings, weights, tokenizer and template; the base named, not its place here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from studio.core.errors import ExportError
from studio.core.files import read_json, write_json
from studio.core.text import slug
from studio.export.merging.merge import tidy_tokenizer
from studio.export.merging.source import Source, source_tokenizer
from studio.export.toolchains.vllm.ranks import rank_for


def write(source: Source, out: Path) -> dict[str, Any]:
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
        "statement": f"To be loaded on {source.base_name}, {_loaded_as(source)}.",
        "hot_swap": "yes" if source.by_name else f"no: {_whole(settings)} must be merged for servers",
    }


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the adapter in `folder` on its base."""
    if not source.by_name:
        return []  # the `merged` export serves it
    base = source.base_place
    rank = rank_for(source.rank)
    return [f"vllm serve {base} --enable-lora --max-lora-rank {rank} --lora-modules {slug(source.name)}={folder}"]


def _whole(settings: dict[str, Any]) -> str:
    return "DoRA" if settings.get("use_dora") else "modules trained whole"


def _loaded_as(source: Source) -> str:
    if source.quantized:
        return f"quantized to {source.model.quantization} as in training"
    return "in 16 or 32 bit as in training"
