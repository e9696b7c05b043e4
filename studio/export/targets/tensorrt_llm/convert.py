"""A folder for TensorRT-LLM, whose PyTorch backend loads merged weights as they are: weights, options, what can be checked.

It takes an NVIDIA GPU to run. So the weights are compared with base + adapter in transformers, and all that TensorRT-LLM reads
is held against what it documents.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import yaml

from studio.core.errors import ExportError
from studio.core.files import read_json, write_text
from studio.export.artifacts.deploy.runtime import LEAST_CONTEXT
from studio.export.artifacts.deploy.tensorrt_llm import VERSION
from studio.export.artifacts.manifest import Check, Verification, structural
from studio.export.merging import merge
from studio.export.merging.merged_folder import merged_folder
from studio.export.merging.source import Onto, Probe, Source
from studio.export.resources import RUNTIME, Need
from studio.export.targets.tensorrt_llm import known
from studio.export.verification.checks import verify_merged
from studio.tracking.reporter import Reporter

LOADER = "PreTrainedTokenizerFast"
OPTIONS, LORA_OPTIONS = "trtllm.yaml", "trtllm-lora.yaml"
NEEDED = ("architectures", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
          "rms_norm_eps", "max_position_embeddings", "rope_theta", "rope_scaling", "torch_dtype")  # fmt: skip
"""Fields of `config.json` it reads by these names, transformers 4's."""


def estimate(source: Source, onto: Onto) -> Need:
    """Disk and memory of merging and of the comparison."""
    merged = merge.merged_bytes(source, None)
    checked = source.parameters * merge.BYTES[source.model.dtype or "fp32"]
    return Need(disk=merged + (32 << 20), memory=max(merged, checked) + RUNTIME)


def refuse(source: Source) -> None:
    """Raise ExportError for an architecture or a number format that TensorRT-LLM does not take."""
    found = next(iter(source.base.config.get("architectures") or ["an unnamed architecture"]))
    if found not in known.ARCHITECTURES:
        raise ExportError(
            f"TensorRT-LLM {VERSION} has no {found}",
            hint="Export `merged`: vLLM serves more architectures.",
            where=source.base_name,
        )
    if merge.saved_dtype(source, None) == "fp32":
        raise ExportError(
            f"TensorRT-LLM computes in {' or '.join(known.DTYPES)}, and the base is saved in float32",
            hint="Export `merged` with dtype bf16: trtllm-serve takes that folder.",
            where=source.base_name,
        )


def write(source: Source, onto: Onto, out: Path, reporter: Reporter) -> dict[str, Any]:
    """The merged model with the options `trtllm-serve` is given. Returns details for the manifest."""
    refuse(source)
    folder = merged_folder(source, onto, out, reporter)
    for file in folder.iterdir():
        if file.is_file() and file.name not in ("README.md", "artifact.json"):
            (shutil.move if folder.is_relative_to(out) else shutil.copyfile)(file, out / file.name)
            os.chmod(out / file.name, 0o644)
    _write_options(out / OPTIONS, options(source), "trtllm-serve . --extra_llm_api_options trtllm.yaml")
    lora = lora_options(source)
    if lora:
        head = "trtllm-serve BASE --extra_llm_api_options trtllm-lora.yaml; the adapter is the export `adapter`"
        _write_options(out / LORA_OPTIONS, {**options(source), "lora_config": lora}, head)
    return {
        "onto": onto,
        "statement": merge.statement(source, onto, merge.saved_dtype(source, None)),
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
    plain = isinstance(layers, list) and all(layer.rpartition(".")[2] in known.LORA for layer in layers)
    whole = held.get("use_dora") or held.get("modules_to_save") or held.get("trainable_token_indices")
    if not plain or whole:
        return None
    ranks = [source.rank, *map(int, (held.get("rank_pattern") or {}).values())]
    names = {known.LORA[layer.rpartition(".")[2]] for layer in layers}
    return {"lora_target_modules": sorted(names), "max_lora_rank": max(ranks), "max_loras": 2, "max_cpu_loras": 8}


def verify(source: Source, out: Path, onto: Onto, probe: Probe, reporter: Reporter) -> Verification:
    """The weights as transformers answers from them, and what TensorRT-LLM reads beside its documentation."""
    weights = verify_merged(source, out, onto, probe, reporter)
    checks = [*structure(out), *weights.checks]
    why = f"TensorRT-LLM needs an NVIDIA GPU; its files hold what its documentation asks for, and answered in {weights.runtime}"
    return structural(f"TensorRT-LLM {VERSION}", checks, why)


def structure(out: Path) -> list[Check]:
    """What TensorRT-LLM reads before it computes anything, each held against what it documents."""
    config, tokenizer = read_json(out / "config.json"), read_json(out / "tokenizer_config.json")
    text = config.get("text_config") or config
    lacking = [name for name in NEEDED if name not in {**config, **text}]
    wrong = [fault for name in (OPTIONS, LORA_OPTIONS) if (out / name).exists() for fault in known.faults(_options(out / name))]
    architecture, dtype = config["architectures"][0], text.get("torch_dtype", config.get("torch_dtype"))
    loader = tokenizer.get("tokenizer_class")
    return [
        _check("architecture", architecture, architecture in known.ARCHITECTURES, "one of the PyTorch backend's"),
        _check("config_fields", ", ".join(lacking) or "all there", not lacking, "the fields it reads, by the names it knows"),
        _check("number_format", str(dtype), dtype in known.DTYPES, " or ".join(known.DTYPES)),
        _check("tokenizer_class", str(loader), loader == LOADER, f"{LOADER}, which opens in transformers 4 and 5 alike"),
        _check("options", "; ".join(wrong) or "all known", not wrong, "names and types as in its reference"),
    ]


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the folder, and that serve the adapter by name on its base."""
    commands = [f"trtllm-serve {folder} --extra_llm_api_options {folder / OPTIONS}"]
    if (folder / LORA_OPTIONS).exists():
        base = source.base_name if "/" in source.base_name else f"FOLDER_OF/{source.base_name}"
        commands.append(f"trtllm-serve {base} --extra_llm_api_options {folder / LORA_OPTIONS}")
    return commands


def _check(name: str, value: str, passed: bool, wanted: str) -> Check:
    return Check(name, value, wanted, passed, "read by TensorRT-LLM before it computes anything")


def _options(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text("utf-8"))


def _write_options(file: Path, values: dict[str, Any], command: str) -> None:
    write_text(file, f"# {command}\n{yaml.safe_dump(values, sort_keys=False)}")
