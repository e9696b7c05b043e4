"""Checking a folder for TensorRT-LLM, which takes an NVIDIA GPU to run: the weights are compared with base + adapter in
transformers, and all that TensorRT-LLM reads is held against what it documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from studio.core.files import read_json
from studio.export.artifacts.deploy.tensorrt_llm import VERSION
from studio.export.merging.source import Source
from studio.export.targets.merged_model import verify_merged
from studio.export.targets.tensorrt_llm import documented
from studio.export.targets.tensorrt_llm.write import LORA_OPTIONS, OPTIONS
from studio.export.verification.probe import Probe
from studio.export.verification.result import Check, Verification, structural
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.tensorrt_llm.settings import TensorrtLlmTarget

LOADER = "PreTrainedTokenizerFast"
NEEDED = ("architectures", "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
          "rms_norm_eps", "max_position_embeddings", "rope_theta", "rope_scaling", "torch_dtype")  # fmt: skip
"""Fields of `config.json` it reads by these names, transformers 4's."""


def verify(target: TensorrtLlmTarget, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """The weights as transformers answers from them, and what TensorRT-LLM reads beside its documentation."""
    weights = verify_merged(source, out, source.onto(target.merge_into), probe, reporter)
    checks = [*structure(out), *weights.checks]
    why = f"TensorRT-LLM needs an NVIDIA GPU; its files hold what its documentation asks for, and answered in {weights.runtime}"
    return structural(f"TensorRT-LLM {VERSION}", checks, why)


def structure(out: Path) -> list[Check]:
    """What TensorRT-LLM reads before it computes anything, each held against what it documents."""
    config, tokenizer = read_json(out / "config.json"), read_json(out / "tokenizer_config.json")
    text = config.get("text_config") or config
    lacking = [name for name in NEEDED if name not in {**config, **text}]
    wrong = [
        fault for name in (OPTIONS, LORA_OPTIONS) if (out / name).exists() for fault in documented.faults(_options(out / name))
    ]
    architecture, dtype = config["architectures"][0], text.get("torch_dtype", config.get("torch_dtype"))
    loader = tokenizer.get("tokenizer_class")
    return [
        _check("architecture", architecture, architecture in documented.ARCHITECTURES, "one of the PyTorch backend's"),
        _check("config_fields", ", ".join(lacking) or "all there", not lacking, "the fields it reads, by the names it knows"),
        _check("number_format", str(dtype), dtype in documented.DTYPES, " or ".join(documented.DTYPES)),
        _check("tokenizer_class", str(loader), loader == LOADER, f"{LOADER}, which opens in transformers 4 and 5 alike"),
        _check("options", "; ".join(wrong) or "all known", not wrong, "names and types as in its reference"),
    ]


def _check(name: str, value: str, passed: bool, wanted: str) -> Check:
    return Check(name, value, wanted, passed, "read by TensorRT-LLM before it computes anything")


def _options(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text("utf-8"))
