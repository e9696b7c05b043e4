"""Making an ONNX export: the merged model as a folder for ONNX Runtime GenAI."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import ExportError
from studio.core.extras import refuse_if_missing
from studio.core.files import write_json, write_text
from studio.export import toolchains
from studio.export.configs import model_type, rope_type, text_config
from studio.export.merging.source import Source, source_tokenizer
from studio.export.prompts import portable_template, stop_token_ids
from studio.export.targets.merged_model import WORK
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.onnx.settings import OnnxTarget

RUNS_ON: Mapping[str, str] = {
    "cpu": "onnxruntime-genai",
    "cuda": "onnxruntime-genai-cuda",
    "dml": "onnxruntime-genai-directml",
    "webgpu": "onnxruntime-genai",
}
"""The package that loads the model. There is none of its own for WebGPU: it wants an ONNX Runtime with WebGPU beside it."""
MESSAGES = "messages.json"
"""A first question under the system prompt of the training, which the command asks."""
KNOWN = ("gemma2", "gemma3_text", "granite", "llama", "mistral", "phi3", "qwen2", "qwen3")
"""Architectures whose ONNX answers a test compares with transformers."""
ROPES = {"llama": ("default", "linear", "llama3"), "phi3": ("default", "longrope")}
"""Likewise RoPE scalings, where there are others than the usual ones."""


def refuse(config: Mapping[str, Any]) -> None:
    """Raise ExportError for what the builder does not build, or builds otherwise than it was trained."""
    hint = "Export `gguf`, or `merged` for a server (vLLM)."
    kind, rope, text = model_type(config), rope_type(config), text_config(config)
    if kind not in KNOWN:
        known = ", ".join(KNOWN)
        raise ExportError(
            f"the architecture `{kind}` is not known to be built exactly; known are {known}", hint=hint, where="onnx"
        )
    if rope not in ROPES.get(kind, ("default", "linear")):
        raise ExportError(f"RoPE scaling `{rope}` is not known to be built exactly for `{kind}`", hint=hint, where="onnx")
    window, longest = text.get("sliding_window"), text.get("max_position_embeddings")
    if kind in ("mistral", "phi3") and window and longest and window < longest:
        raise ExportError(
            f"all its layers slide over {window} tokens, which ONNX Runtime does not run on the CPU", hint=hint, where="onnx"
        )


def write(target: OnnxTarget, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write model.onnx with its data, genai_config.json, tokenizer, template and `messages.json`. Returns details.

    Raises ExportError if the extra is not installed.
    """
    refuse_if_missing("target onnx", "onnx", target.PACKAGES, ExportError)
    folder = target.merged(source, out, reporter)
    tokenizer = source_tokenizer(source)
    request = {"merged": folder, "out": out, "cache": out / WORK / "onnx", "quant": target.quant, "provider": target.provider}
    done = toolchains.call("onnx", "studio.export.targets.onnx.convert:convert", request, reporter)
    shutil.copyfile(folder / "tokenizer.json", out / "tokenizer.json")
    template = portable_template(tokenizer)
    if template:
        write_text(out / "chat_template.jinja", template)
        write_messages(source, out)
    for file in out.glob("model.onnx*"):
        file.chmod(0o644)
    return {
        **target.statement(source),
        "quant": target.quant,
        "provider": target.provider,
        "stops_at": [tokenizer.decode([token]) for token in stop_token_ids(folder)],
        **done,
    }


def write_messages(source: Source, out: Path) -> None:
    """Write what the command asks."""
    write_json(out / MESSAGES, source.first_messages)


def serve(folder: Path, provider: str) -> list[str]:
    """A command that answers `messages.json` with ONNX Runtime GenAI, in the build that runs on the provider."""
    asked = f"words.apply_chat_template(open('{folder / MESSAGES}').read(), add_generation_prompt=True)"
    text = asked if (folder / MESSAGES).exists() else "'Once'"
    lines = (
        f"import onnxruntime_genai as og; model = og.Model('{folder}'); words = og.Tokenizer(model); "
        "params = og.GeneratorParams(model); params.set_search_options(max_length=256); g = og.Generator(model, params); "
        f"text = {text}; g.append_tokens(words.encode(text)); "
        "exec('while not g.is_done(): g.generate_next_token()'); print(words.decode(g.get_sequence(0)))"
    )
    return [f'pip install {RUNS_ON[provider]} && python -c "{lines}"']
