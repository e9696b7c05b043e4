"""vLLM where it is installed: the command that serves the same names, and the process that runs it.

vLLM loads one base model and LoRA adapters by name. What it cannot load as an adapter (DoRA, added tokens, whole modules
that were trained) is refused here with the way out, which is a merged export.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import HardwareError, ModelError, SpecError
from studio.core.files import read_json
from studio.export import toolchains as environments
from studio.export.artifacts.deploy.vllm import PARSERS
from studio.export.toolchains.vllm.ranks import rank_for
from studio.http.hosts import LOOPBACK
from studio.processes import foreground
from studio.serving.limits import Limits
from studio.serving.transformers_engine import Weights

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
KEY = "VLLM_API_KEY"
"""The environment variable vLLM takes its key from."""


@dataclass(frozen=True)
class Plan:
    """What vLLM is to serve."""

    weights: Weights
    base_name: str
    adapters: Mapping[str, Path]
    """Names to PEFT folders."""
    template: str = ""
    """A Jinja file, where another template than the model's own was trained."""
    mark: str = ""
    """What the template writes before a tool call."""


def program() -> list[str]:
    """How vLLM is started here. Raises HardwareError if it is not installed."""
    if importlib.util.find_spec("vllm") is not None:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    if environments.ready("vllm"):
        return [str(environments.python("vllm")), "-P", "-m", "vllm.entrypoints.openai.api_server"]
    found = shutil.which("vllm")
    if found:
        return [found, "serve"]
    raise HardwareError(
        "vLLM is not installed",
        hint="Run `studio exporters install vllm`, or use --engine transformers.",
        where="--engine vllm",
    )


def command(start: list[str], plan: Plan, limits: Limits, host: str, port: int) -> list[str]:
    """The whole command. Raises ModelError for an adapter that vLLM cannot load by name, or a base it cannot hold."""
    held = plan.weights.model
    model = plan.weights.base_model.path_or_id
    words = [*start, *(["--model", model] if start[-1].endswith("api_server") else [model])]
    words += ["--served-model-name", plan.base_name, "--host", host, "--port", str(port)]
    words += ["--dtype", DTYPES.get(held.dtype or "", "auto"), "--max-num-seqs", str(limits.concurrency)]
    if plan.weights.base_model.revision:
        words += ["--revision", plan.weights.base_model.revision]
    if limits.context:
        words += ["--max-model-len", str(limits.context)]
    if held.quantization in ("nf4", "int8"):
        raise ModelError(
            f"vLLM has no bitsandbytes, in whose {held.quantization} the base was held",
            hint="Serve the run's `merged` export; `merged_4bit` is the small one.",
            where=plan.base_name,
        )
    if plan.adapters:
        ranks = [_rank(name, folder) for name, folder in plan.adapters.items()]
        words += [
            "--enable-lora",
            "--max-lora-rank",
            str(rank_for(max(ranks))),
            "--max-loras",
            str(min(len(ranks), 8)),
            "--lora-modules",
        ]
        words += [
            json.dumps({"name": name, "path": str(path), "base_model_name": plan.base_name})
            for name, path in plan.adapters.items()
        ]
    if plan.template:
        words += ["--chat-template", plan.template]
    if plan.mark in PARSERS:
        words += ["--enable-auto-tool-choice", "--tool-call-parser", PARSERS[plan.mark]]
    return words


def run(words: list[str], host: str) -> int:
    """Run vLLM until it ends, or this process does; signals are passed on.

    To be called from the main thread. Raises SpecError for a host that other machines can reach, without a key.
    """
    if host not in LOOPBACK and not os.environ.get(KEY):
        raise SpecError(
            f"other machines can reach {host}, and vLLM has no API key",
            hint=f"Set {KEY} (vLLM takes it in clear; hashed keys are for the other engines).",
            where="--host",
        )
    return foreground.run(words, {**os.environ, "VLLM_NO_USAGE_STATS": "1"})


def _rank(name: str, folder: Path) -> int:
    """The adapter's rank. Raises ModelError for what vLLM's LoRA does not do."""
    settings = read_json(folder / "adapter_config.json")
    reason = (
        "is DoRA" if settings.get("use_dora")
        else "trained whole modules besides LoRA" if settings.get("modules_to_save")
        else "trained tokens" if settings.get("trainable_token_indices")
        else ""
    )  # fmt: skip
    if reason:
        raise ModelError(
            f"the adapter {reason}, which vLLM cannot load by name",
            hint="Serve its `merged` export, or use --engine transformers.",
            where=name,
        )
    return max([int(settings.get("r", 8)), *map(int, (settings.get("rank_pattern") or {}).values())])
