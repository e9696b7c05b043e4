"""Count the weights of any decoder transformers knows, on torch's meta device, where they take no memory.

`python -m studio.models.counting` reads a `config.json` on stdin and writes the fields of `ModelDims` as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from studio.models.architectures.base import ConfigValues, TextConfig

if TYPE_CHECKING:
    from torch import nn

MOST_LAYERS = 1000
"""A config with more layers than this describes no model there is."""


WITH_EXPERTS = ("mixtral", "qwen2_moe")
"""Conversions of transformers for which peft adapts the experts with `all-linear`."""
CLAMPED = 7
"""Tensors of an expert's width that a gate keeps which clamps what it multiplies (gpt-oss); another one keeps 3."""

JOINED = frozenset({"qkv", "qkv_proj", "query_key_value", "c_attn", "Wqkv", "Wqkv_proj", "qkvw", "attn_qkv"})
"""What the one layer for queries, keys and values is called."""


def count(config: ConfigValues) -> dict[str, Any]:
    """The fields of `ModelDims` of a config, by building the model without memory. No code of the model's own is run."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.conversion_mapping import _MODEL_TO_CONVERSION_PATTERN

    whole = AutoConfig.for_model(**{key: _number(value) for key, value in config.items() if key != "auto_map"})
    text: Any = whole.get_text_config()
    text.allow_global_per_layer_attribute_access = True  # where sizes differ by layer (Gemma 4), the common ones are meant
    if text.num_hidden_layers > MOST_LAYERS:
        raise ValueError(f"{text.num_hidden_layers} layers")
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(text)
    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    layer = max(_layers(model), key=_linear_weights)
    linears, by_layer = _linears(layer), [_linears(item) for item in _layers(model)]
    tied = head is not None and head.weight is embeddings.weight
    quantizable = _linear_weights(model, besides=head)
    parameters = sum(weight.numel() for weight in model.parameters())
    experts = _expert_weights(model)
    sparse = sum(bool(_expert_weights(item)) for item in _layers(model))
    matrix = 0 if tied or head is None else head.weight.numel()
    hidden, heads = text.hidden_size, _first(text, "num_attention_heads", "num_heads") or 1  # state spaces have no heads
    norms = [name for name, module in layer.named_modules() if "Norm" in type(module).__name__]
    of_queries = [name for name in norms if "attn" in name or "attention." in name]
    names = " ".join(linears)
    widest = max((inputs for inputs, outputs in linears.values() if outputs == hidden), default=4 * hidden)
    feed_forward = _first(text, "intermediate_size", "n_inner", "ffn_dim") or widest
    return {
        "architecture": str(text.model_type),
        "parameters": parameters,
        "quantizable": quantizable,
        "embedding": embeddings.weight.numel(),
        "head": matrix,
        "norms": parameters - quantizable - embeddings.weight.numel() - matrix - experts,
        "expert_parameters": experts,
        "layers": text.num_hidden_layers,
        "hidden": hidden,
        "ffn": (_first(text, "moe_intermediate_size") if experts else 0) or feed_forward,
        "heads": heads,
        "kv_heads": _first(text, "num_key_value_heads", "num_kv_heads") or heads,
        "head_dim": _first(text, "head_dim") or hidden // heads,
        "vocab": embeddings.weight.shape[0],
        "tied": tied,
        "max_positions": _first(text, "max_position_embeddings", "n_positions", "max_seq_len") or 2048,
        "linears": linears,
        "sliding_window": _first(text, "sliding_window") or None,
        "experts": _first(text, "num_local_experts", "num_experts", "n_routed_experts") if experts else 0,
        "experts_adapted": _MODEL_TO_CONVERSION_PATTERN.get(text.model_type) in WITH_EXPERTS,
        "experts_used": _first(text, "num_experts_per_tok", "top_k_experts") if experts else 0,
        "expert_tensors": CLAMPED if getattr(text, "swiglu_limit", None) else 3,
        "sparse_layers": sparse,
        "dense_ffn": feed_forward,
        "norms_per_layer": len(norms) - len(of_queries) or 2,
        "query_key_norms": bool(of_queries),
        "fused": any(name.rpartition(".")[2] in JOINED for name in linears),
        "gated": "gate" in names or "w3" in names,
        "only_eager": not getattr(model, "_supports_sdpa", True),
        "streams": _first(text, "altup_num_inputs") or 1,
        "per_layer": _first(text, "hidden_size_per_layer_input"),
        **_delta(text, model),
        "outside": _outside(model, head),
        "by_layer": by_layer if any(item != linears for item in by_layer) else [],
    }


def _delta(text: TextConfig, model: nn.Module) -> dict[str, int]:
    """Layers with a gated delta rule in place of attention, and the widths of such a layer; empty if there are none."""
    found = [layer for layer in _layers(model) if hasattr(layer, "linear_attn")]
    if not found:
        return {}
    heads, width = text.linear_num_value_heads, text.linear_value_head_dim
    keys = text.linear_num_key_heads * text.linear_key_head_dim
    return {
        "gated_attention": True,
        "delta_layers": len(found),
        "delta_heads": heads,
        "delta_head": width,
        "delta_width": 2 * keys + heads * width,
    }


def _number(value: object) -> Any:
    """A value as transformers writes it: JSON has no infinity, so it stands as `{"__float__": "Infinity"}`."""
    if isinstance(value, dict):
        return (
            float(value["__float__"]) if value.keys() == {"__float__"} else {key: _number(each) for key, each in value.items()}
        )
    return [_number(each) for each in value] if isinstance(value, list) else value


def _layers(model: nn.Module) -> Any:
    import torch

    return max((module for module in model.modules() if isinstance(module, torch.nn.ModuleList)), key=len)


def _outside(model: nn.Module, head: object) -> int:
    """in + out of the linear layers that are in no decoder layer."""
    inside = {id(module) for module in _layers(model).modules()}
    beside = (module for module in model.modules() if module is not head and id(module) not in inside)
    return sum(sum(size) for module in beside if (size := _size(module)))


def _expert_weights(model: nn.Module) -> int:
    """Weights of fused experts; a convolution's are three-dimensional too."""
    experts = (module for name, module in model.named_modules() if name.endswith("experts"))
    return sum(weight.numel() for module in experts for weight in module.parameters(recurse=False) if weight.dim() == 3)


def _linears(layer: nn.Module) -> dict[str, tuple[int, int]]:
    """The linear layers by their last name; by their path in the layer where two share that name."""
    sizes = {path: size for path, module in layer.named_modules() if (size := _size(module))}
    last = [path.rpartition(".")[2] for path in sizes]
    return {name if last.count(name) == 1 else path: size for name, (path, size) in zip(last, sizes.items(), strict=True)}


def _linear_weights(layer: nn.Module, besides: object = None) -> int:
    """Weights of all linear layers but one; those that several layers share count once (Zamba)."""
    held = {id(module.weight): size for module in layer.modules() if module is not besides and (size := _size(module))}
    return sum(inputs * outputs for inputs, outputs in held.values())


def _size(module: nn.Module) -> tuple[int, int] | None:
    """(in, out) of a layer that quantisation replaces and adapters sit on; None for any other module."""
    import torch
    from transformers.pytorch_utils import Conv1D

    if isinstance(module, torch.nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):
        return int(module.weight.shape[0]), int(module.weight.shape[1])
    return None


def _first(config: object, *names: str) -> int:
    return next((int(value) for name in names if isinstance(value := getattr(config, name, None), int)), 0)


if __name__ == "__main__":
    json.dump(count(json.load(sys.stdin)), sys.stdout)
