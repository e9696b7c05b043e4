"""A folder for TensorRT-LLM, whose PyTorch backend loads merged weights as they are: the weights and the options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from studio.core.errors import ExportError
from studio.core.files import read_json, write_text
from studio.export.artifacts.deploy.runtime import LEAST_CONTEXT
from studio.export.artifacts.deploy.tensorrt_llm import VERSION
from studio.export.configs import text_config
from studio.export.merging import merge
from studio.export.merging.source import Source
from studio.export.targets.merged_model import copy_merged
from studio.export.targets.tensorrt_llm import documented
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.tensorrt_llm.settings import TensorrtLlmTarget

OPTIONS, LORA_OPTIONS = "trtllm.yaml", "trtllm-lora.yaml"


def refuse(config: Mapping[str, Any]) -> None:
    """Raise ExportError for an architecture or a number format that TensorRT-LLM does not take."""
    architecture = next(iter(config.get("architectures") or ["an unnamed architecture"]))
    if architecture not in documented.ARCHITECTURES:
        raise ExportError(
            f"TensorRT-LLM {VERSION} has no {architecture}",
            hint="Export `merged`: vLLM serves more architectures.",
            where="tensorrt_llm",
        )
    text = text_config(config)
    if (text.get("dtype") or text.get("torch_dtype") or config.get("dtype") or config.get("torch_dtype")) == "float32":
        raise ExportError(
            f"TensorRT-LLM computes in {' or '.join(documented.DTYPES)}, and the base is saved in float32",
            hint="Export `merged` with dtype bf16: trtllm-serve takes that folder.",
            where="tensorrt_llm",
        )


def write(target: TensorrtLlmTarget, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
    """The merged model with the options `trtllm-serve` is given. Returns details for the manifest."""
    copy_merged(target.merged(source, out, reporter), out)
    _write_options(out / OPTIONS, options(source), "trtllm-serve . --extra_llm_api_options trtllm.yaml")
    lora = lora_options(source)
    if lora:
        head = "trtllm-serve BASE --extra_llm_api_options trtllm-lora.yaml; the adapter is the export `adapter`"
        _write_options(out / LORA_OPTIONS, {**options(source), "lora_config": lora}, head)
    return {
        "onto": source.onto(target.merge_into),
        "statement": merge.statement(source, source.onto(target.merge_into), merge.saved_dtype(source, None)),
        "made_for": f"TensorRT-LLM {VERSION}, PyTorch backend",
        "adapter_by_name": "yes"
        if lora
        else "no: what was trained is more than LoRA on known layers; the merged weights serve it",
    }


def options(source: Source) -> dict[str, Any]:
    """The options of the server: room for twice the longest row trained on, JSON schemas, prompts shared between requests."""
    limit = int(getattr(source.base_config, "max_position_embeddings", 0)) or (1 << 20)
    return {
        "max_seq_len": min(limit, max(LEAST_CONTEXT, 2 * source.longest)),
        "max_batch_size": 16,
        "guided_decoding_backend": "xgrammar",
        "kv_cache_config": {"enable_block_reuse": True, "free_gpu_memory_fraction": 0.85},
    }


def lora_options(source: Source) -> dict[str, Any] | None:
    """The options that let requests name the adapter on its base; None if it cannot be loaded that way."""
    held = read_json(source.adapter / "adapter_config.json")
    layers = held.get("target_modules") or []
    plain = isinstance(layers, list) and all(layer.rpartition(".")[2] in documented.LORA for layer in layers)
    whole = held.get("use_dora") or held.get("modules_to_save") or held.get("trainable_token_indices")
    if not plain or whole:
        return None
    ranks = [source.rank, *map(int, (held.get("rank_pattern") or {}).values())]
    names = {documented.LORA[layer.rpartition(".")[2]] for layer in layers}
    return {"lora_target_modules": sorted(names), "max_lora_rank": max(ranks), "max_loras": 2, "max_cpu_loras": 8}


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the folder, and that serve the adapter by name on its base."""
    commands = [f"trtllm-serve {folder} --extra_llm_api_options {folder / OPTIONS}"]
    if (folder / LORA_OPTIONS).exists():
        base = source.base_place
        commands.append(f"trtllm-serve {base} --extra_llm_api_options {folder / LORA_OPTIONS}")
    return commands


def _write_options(file: Path, values: dict[str, Any], command: str) -> None:
    write_text(file, f"# {command}\n{yaml.safe_dump(values, sort_keys=False)}")
