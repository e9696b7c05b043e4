"""Making an ONNX export: the merged model as a folder for ONNX Runtime GenAI."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from studio.core.errors import ExportError
from studio.core.files import write_text
from studio.export.merging import merge
from studio.export.merging.merged_folder import WORK, merged_export, merged_folder
from studio.export.merging.source import Onto, Source
from studio.export.prompts import portable_template, stop_token_ids
from studio.export.resources import RUNTIME, Need
from studio.export.targets.onnx import PACKAGES
from studio.export.toolchains import call
from studio.export.toolchains.extras import refuse_if_missing
from studio.export.verification.reference import source_tokenizer
from studio.tracking.reporter import Reporter

Quant = Literal["fp32", "fp16", "int8", "int4"]
Provider = Literal["cpu", "cuda", "dml", "webgpu"]
BYTES: dict[Quant, float] = {"fp32": 4.0, "fp16": 2.0, "int8": 1.3, "int4": 0.85}
"""Bytes a weight takes, scales included; in 8 bit embeddings, which are not rounded, cost more the smaller the model."""
RUNS_ON: dict[Provider, str] = {
    "cpu": "onnxruntime-genai",
    "cuda": "onnxruntime-genai-cuda",
    "dml": "onnxruntime-genai-directml",
    "webgpu": "onnxruntime-genai",
}
"""The package that loads the model. There is none of its own for WebGPU: it wants an ONNX Runtime with WebGPU beside it."""
KNOWN = ("gemma2", "gemma3_text", "granite", "llama", "mistral", "phi3", "qwen2", "qwen3")
"""Architectures whose ONNX answers a test compares with transformers."""
ROPES = {"llama": ("default", "linear", "llama3"), "phi3": ("default", "longrope")}
"""Likewise RoPE scalings, where there are others than the usual ones."""


def estimate(source: Source, quant: Quant, onto: Onto) -> Need:
    """Disk: the file, and a merged model unless there is one. Memory: the builder holds the model in float32 and the graph."""
    merged = 0 if merged_export(source, onto) else merge.merged_bytes(source, None)
    return Need(disk=size_of(source.parameters, quant) + merged, memory=source.parameters * 10 + RUNTIME)


def size_of(parameters: int, quant: Quant) -> int:
    """About how many bytes the export takes for a base of so many weights."""
    return int(parameters * BYTES[quant]) + (24 << 20)


def write_files(source: Source, quant: Quant, device: Provider, onto: Onto, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write model.onnx with its data, genai_config.json, tokenizer and template. Returns details for the manifest.

    Raises ExportError if the extra is not installed or the architecture is not known to be built exactly.
    """
    refuse_if_missing("onnx", PACKAGES)
    refuse_unless_known(source.base_config)
    folder = merged_folder(source, onto, out, reporter)
    tokenizer = source_tokenizer(source)
    cache = out / WORK / "onnx"
    request = {"merged": folder, "out": out, "cache": cache, "quant": quant, "provider": device}
    made = call("onnx", "studio.export.targets.onnx.convert:convert", request, reporter)
    shutil.copyfile(folder / "tokenizer.json", out / "tokenizer.json")
    template = portable_template(tokenizer)
    if template:
        write_text(out / "chat_template.jinja", template)
    for file in out.glob("model.onnx*"):
        file.chmod(0o644)
    return {
        "onto": onto,
        "statement": merge.statement(source, onto, merge.saved_dtype(source, None)).replace("saved as", "converted from"),
        "quant": quant,
        "provider": device,
        "stops_at": [tokenizer.decode([token]) for token in stop_token_ids(folder)],
        **made,
    }


def refuse_unless_known(config: Any) -> None:
    """Raise ExportError for what the builder does not build, or builds otherwise than it was trained."""
    hint = "Export `gguf`, or `merged` for a server (vLLM)."
    if config.model_type not in KNOWN:
        known = ", ".join(KNOWN)
        raise ExportError(
            f"the architecture `{config.model_type}` is not known to be built exactly; known are {known}", hint=hint
        )
    rope = config.rope_parameters.get("full_attention", config.rope_parameters).get("rope_type", "default")
    if rope not in ROPES.get(config.model_type, ("default", "linear")):
        raise ExportError(f"RoPE scaling `{rope}` is not known to be built exactly for `{config.model_type}`", hint=hint)
    window = getattr(config, "sliding_window", None)
    if config.model_type in ("mistral", "phi3") and window and window < config.max_position_embeddings:
        raise ExportError(f"all its layers slide over {window} tokens, which ONNX Runtime does not run on the CPU", hint=hint)


def serve(folder: Path, provider: Provider) -> list[str]:
    """A command that answers a question with ONNX Runtime GenAI, in the build that runs on the provider."""
    lines = (
        f"import onnxruntime_genai as og; model = og.Model('{folder}'); words = og.Tokenizer(model); "
        "params = og.GeneratorParams(model); params.set_search_options(max_length=256); g = og.Generator(model, params); "
        'text = words.apply_chat_template(\'[{\\"role\\": \\"user\\", \\"content\\": \\"Hello!\\"}]\', '
        "add_generation_prompt=True); g.append_tokens(words.encode(text)); "
        "exec('while not g.is_done(): g.generate_next_token()'); print(words.decode(g.get_sequence(0)))"
    )
    return [f'pip install {RUNS_ON[provider]} && python -c "{lines}"']
