"""Base + adapter as one plain model: merged layer by layer, saved as safetensors with the tokenizer that was trained.

An adapter trained on quantised weights learned to correct those. So by default it is merged into exactly them,
dequantised; merged into the base's original weights it answers measurably further from what was evaluated. It is never
merged in 4 bit: that rounds the result a second time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import ExportError
from studio.core.files import read_json, write_json
from studio.export.merging.source import Onto, Source, source_tokenizer
from studio.hardware import machine as machines
from studio.models.settings import Model
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
BYTES = {"bf16": 2, "fp16": 2, "fp32": 4}


def saved_dtype(source: Source, wanted: str | None) -> str:
    """The number format a merged model is saved in: the one asked for, or the base's own."""
    if wanted:
        return wanted
    config = source.base.config
    parts = [config, config.get("text_config") or {}]
    own = next((part[key] for part in parts for key in ("dtype", "torch_dtype") if part.get(key)), "bfloat16")
    return next((short for short, long in DTYPES.items() if long == own), "bf16")


def merged_bytes(source: Source, dtype: str | None) -> int:
    """Bytes of the merged weights."""
    return source.parameters * BYTES[saved_dtype(source, dtype)]


def write_merged(source: Source, onto: Onto, dtype: str, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Merge and save as a model folder that transformers 4 and 5 and servers built on them load. Returns what was done.

    Raises ExportError if the adapter does not fit the base.
    """
    import torch

    from studio.export.merging import merge_stream

    saved = getattr(torch, DTYPES[dtype])
    streamed = merge_stream.stream(source, onto, saved)
    if streamed is not None:
        tokenizer = source_tokenizer(source)
        _set_endings(streamed.skeleton, tokenizer)
        with quiet():
            merge_stream.write(streamed, saved, out, lambda done, of: reporter.progress(done, of, "merging"))
        _finish(tokenizer, source, out)
    else:
        reporter.progress(0, 3, "loading the base")
        model = plain_base(source, onto, dtype)
        reporter.progress(1, 3, "merging")
        model = _merge(model, source.adapter)
        reporter.progress(2, 3, "writing the merged model")
        _save(model, source, out)
        reporter.progress(3, 3, "writing the merged model")
    return {"onto": onto, "dtype": dtype, "statement": statement(source, onto, dtype)}


def write_base(source: Source, onto: Onto, dtype: str, out: Path) -> None:
    """Save the base alone as such a folder: what a file of an adapter is loaded on."""
    _save(plain_base(source, onto, dtype), source, out)


def _save(model: PreTrainedModel, source: Source, out: Path) -> None:
    tokenizer = source_tokenizer(source)
    _set_endings(model, tokenizer)
    with quiet():
        model.save_pretrained(out, max_shard_size="4GB")
    _finish(tokenizer, source, out)


def _finish(tokenizer: PreTrainedTokenizerBase, source: Source, out: Path) -> None:
    """The tokenizer beside the weights, and what other runtimes and users need."""
    with quiet():
        tokenizer.save_pretrained(out)
    _for_older_runtimes(out)
    tidy_tokenizer(out)
    _copy_sentencepiece(source, out)
    for file in out.iterdir():
        os.chmod(file, 0o644)  # safetensors writes 0600; a server under another user must read it


def statement(source: Source, onto: Onto, dtype: str) -> str:
    """Which weights the adapter was merged into, in one sentence."""
    base = f"{source.base_name}{f' at {source.base.revision}' if source.base.revision else ''}"
    if onto == "dequantized":
        held = "nf4 with double quantisation" if source.model.double_quantization else "nf4"
        held = held if source.model.quantization == "nf4" else "int8"
        return (
            f"Merged into the weights of {base} as the adapter was trained on them: quantised to {held}, then dequantised; "
            f"saved as {dtype}."
        )
    if source.quantized:
        return (
            f"Merged into the original weights of {base}, saved as {dtype}. The adapter was trained on them quantised to "
            f"{source.model.quantization}, so answers differ from those evaluated by the difference stated."
        )
    return f"Merged into the weights of {base}, on which the adapter was trained unquantised; saved as {dtype}."


def plain_base(source: Source, onto: Onto, dtype: str) -> Any:
    """The base as an ordinary model on the CPU: its original weights, or those it was trained on, dequantised."""
    from studio.models import loading

    if onto == "original":
        settings = Model(**{**source.model.model_dump(), "quantization": "none", "dtype": dtype})
        return loading.load_base(settings, "cpu", source.base, as_stored=True)
    import torch

    model = loading.load_base(source.model, machines.probe().device, source.base, as_stored=True)
    return _dequantize(model, getattr(torch, DTYPES[dtype]))


def _dequantize(model: Any, dtype: Any) -> Any:
    """Replace every bitsandbytes layer by a plain one on the CPU, one at a time: memory stays near that of the result."""
    import torch
    from peft.utils.integrations import dequantize_module_weight

    from studio.models import loading

    for name, layer in list(model.named_modules()):
        weight = getattr(layer, "weight", None)
        if type(weight).__name__ not in ("Params4bit", "Int8Params"):
            continue
        with torch.no_grad():
            full = dequantize_module_weight(layer).detach().to("cpu", dtype)
        plain = torch.nn.Linear(full.shape[1], full.shape[0], bias=layer.bias is not None, device="meta", dtype=dtype)
        plain.weight = torch.nn.Parameter(full, requires_grad=False)
        if layer.bias is not None:
            plain.bias = torch.nn.Parameter(layer.bias.detach().to("cpu", dtype), requires_grad=False)
        model.set_submodule(name, plain)
    for mark in ("is_loaded_in_4bit", "is_loaded_in_8bit", "is_quantized"):
        if hasattr(model, mark):
            setattr(model, mark, False)
    model.hf_quantizer = model.quantization_method = None
    with contextlib.suppress(AttributeError):
        del model.config.quantization_config
    model = loading.dequantize(model).to("cpu", dtype)  # fused experts, which are parameters and not layers
    model.config.dtype = dtype
    return model


def _merge(model: nn.Module, adapter: Path) -> Any:
    from peft import PeftModel

    try:
        with quiet():
            merged: Any = PeftModel.from_pretrained(model, adapter)
            return merged.merge_and_unload(safe_merge=True)
    except (ValueError, RuntimeError, KeyError) as problem:
        raise ExportError(
            f"the adapter could not be merged into the base: {problem}",
            hint="Check that it was trained on this base; a NaN in it means the training failed.",
            where=str(adapter),
        ) from None


def _set_endings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Generation settings that stop where training said stop, and greedy: what is verified is what is served. Whoever wants
    sampling asks for it with the request."""
    from studio.models.generation import stop_ids

    settings = model.generation_config
    ends = stop_ids(tokenizer, model)
    settings.eos_token_id = ends[0] if len(ends) == 1 else list(ends)
    if settings.pad_token_id is None:
        settings.pad_token_id = tokenizer.pad_token_id
    settings.do_sample = False
    for name in ("temperature", "top_p", "top_k", "min_p", "typical_p"):
        setattr(settings, name, None)


def _for_older_runtimes(folder: Path) -> None:
    """Fields that runtimes built on transformers 4 read where 5 writes others. Without them they take RoPE theta 10000
    without a word. No machine path stays inside."""
    config = read_json(folder / "config.json")
    for part in (config, config.get("text_config")):
        if isinstance(part, dict):
            _older_config(part)
    write_json(folder / "config.json", config)


def tidy_tokenizer(folder: Path) -> None:
    """Make a saved tokenizer open in transformers 4 too, and keep this machine's paths out of it."""
    file = folder / "tokenizer_config.json"
    settings = read_json(file)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    for private in ("name_or_path", "is_local", "local_files_only", "backend"):
        settings.pop(private, None)
    write_json(file, settings)


def _older_config(config: dict[str, Any]) -> None:
    config.pop("_name_or_path", None)
    if config.get("dtype"):
        config["torch_dtype"] = config["dtype"]
    rope = config.get("rope_parameters")
    if not rope:
        return
    if "full_attention" in rope:
        local = rope.get("sliding_attention") or {}
        if "rope_theta" in local:
            config["rope_local_base_freq"] = local["rope_theta"]
        rope = rope["full_attention"]
    config["rope_theta"] = rope["rope_theta"]
    if "partial_rotary_factor" in rope:
        config["partial_rotary_factor"] = rope["partial_rotary_factor"]
    plain = rope.get("rope_type", "default") == "default"
    left_out = ("rope_theta", "partial_rotary_factor")
    config["rope_scaling"] = None if plain else {key: value for key, value in rope.items() if key not in left_out}


def _copy_sentencepiece(source: Source, out: Path) -> None:
    """The base's tokenizer.model, where it has one: transformers 5 does not save it and other converters ask for it."""
    from transformers.utils.hub import cached_file

    with contextlib.suppress(OSError, ValueError):
        found = cached_file(
            str(source.base.path_or_id), "tokenizer.model", revision=source.base.revision, local_files_only=True
        )
        if found:
            shutil.copyfile(found, out / "tokenizer.model")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without other libraries' progress bars and advice to their own developers."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module=r"(peft|transformers)\.")
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
