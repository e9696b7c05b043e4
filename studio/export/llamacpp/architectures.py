"""What llama.cpp needs to know of each architecture: metadata from the config, and how its weights are laid out.

Only architectures whose answers a test compares with transformers are listed; any other is refused. Names of tensors
come from the `gguf` package; here stands what differs from a plain copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.core.errors import ExportError

CONVERTER_HINT = "llama.cpp's own converter may know it: convert_hf_to_gguf.py FOLDER, run on the `merged` export."


@dataclass(frozen=True)
class Layout:
    """One architecture as a GGUF file holds it.

    arch: llama.cpp's name. weight: (name, weight as float32, config) -> the weight as llama.cpp lays it out.
    metadata: (config, rope settings) -> further keys, without the `arch.` prefix.
    """

    arch: str
    weight: Callable[[str, np.ndarray, Any], np.ndarray]
    metadata: Callable[[Any, Mapping[str, Any]], dict[str, Any]]


def layout(config: Any) -> Layout:
    """The layout of a text config's architecture. Raises ExportError for one that is not known."""
    found = _LAYOUTS.get(config.model_type)
    if found is None:
        known = ", ".join(sorted(_LAYOUTS))
        raise ExportError(
            f"the architecture `{config.model_type}` has no GGUF layout here; known are {known}", hint=CONVERTER_HINT
        )
    return found


def metadata(config: Any) -> dict[str, Any]:
    """The `arch.*` keys of a text config (without that prefix). Raises ExportError for settings llama.cpp cannot follow."""
    more = layout(config).metadata
    rope = rope_settings(config)
    heads = config.num_attention_heads
    head = head_size(config)
    values: dict[str, Any] = {
        "context_length": context_length(config),
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", None) or heads,
        "attention.key_length": head,
        "attention.value_length": head,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.freq_base": float(rope["rope_theta"]),
        "rope.dimension_count": int(head * rope.get("partial_rotary_factor", 1.0)),
        "vocab_size": config.vocab_size,
    }
    values |= _scaling(config, rope)
    return values | more(config, rope)


def extra_tensors(config: Any) -> dict[str, np.ndarray]:
    """Tensors a GGUF file has and the checkpoint has not: RoPE frequency factors."""
    rope = rope_settings(config)
    size = int(head_size(config) * rope.get("partial_rotary_factor", 1.0))
    match rope.get("rope_type", "default"):
        case "llama3":
            return {"rope_freqs.weight": llama3_factors(rope, size)}
        case "longrope":
            return {f"rope_factors_{name}.weight": np.array(rope[f"{name}_factor"], np.float32) for name in ("long", "short")}
    return {}


def rope_settings(config: Any) -> Mapping[str, Any]:
    """RoPE settings of the full-attention layers: rope_theta, rope_type, factor, ... (transformers 5's rope_parameters)."""
    rope = dict(config.rope_parameters or {})
    return dict(rope["full_attention"]) if "full_attention" in rope else rope


def head_size(config: Any) -> int:
    """Dimension of one attention head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def context_length(config: Any) -> int:
    """Longest context; not more than the window where llama.cpp would not slide one but the model does."""
    longest = config.max_position_embeddings
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    slides = "sliding_attention" in kinds or (not kinds and window)
    if window and slides and config.model_type not in ("gemma2", "gemma3_text", "phi3"):
        return min(longest, window)
    return longest


def llama3_factors(rope: Mapping[str, Any], size: int) -> np.ndarray:
    """Llama 3's RoPE scaling as divisors of the frequencies, shape [size / 2], float32 (Llama 3.1 report, 2024).

    Long wavelengths are stretched by `factor`, short ones are kept, those between are blended.
    """
    frequency = float(rope["rope_theta"]) ** -(np.arange(0, size, 2, dtype=np.float64) / size)
    turns = rope["original_max_position_embeddings"] * frequency / (2 * math.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / (kept + (1 - kept) / rope["factor"])).astype(np.float32)


def _scaling(config: Any, rope: Mapping[str, Any]) -> dict[str, Any]:
    match rope.get("rope_type", "default"):
        case "default" | "llama3":
            return {}
        case "linear":
            return {"rope.scaling.type": "linear", "rope.scaling.factor": float(rope["factor"])}
        case "longrope":
            trained = rope.get("original_max_position_embeddings") or config.original_max_position_embeddings
            stretch = config.max_position_embeddings / trained
            factor = rope.get("attention_factor") or (
                math.sqrt(1 + math.log(stretch) / math.log(trained)) if stretch > 1 else 1.0
            )
            return {"rope.scaling.original_context_length": trained, "rope.scaling.attn_factor": float(factor)}
        case other:
            raise ExportError(f"RoPE scaling `{other}` is not written to GGUF here", hint=CONVERTER_HINT)


def _plain(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    return weight


def _interleaved(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    """Rows of Q and K from transformers' half-and-half rotation to llama.cpp's neighbouring pairs."""
    if not name.endswith(("q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias")):
        return weight
    heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
    return weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _one_added_to_norms(name: str, weight: np.ndarray, config: Any) -> np.ndarray:
    """Gemma multiplies by 1 + weight, llama.cpp by the weight."""
    return weight + 1 if name.endswith("norm.weight") else weight


def _nothing(config: Any, rope: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _gemma2(config: Any, rope: Mapping[str, Any]) -> dict[str, Any]:
    _check_attention_scale(config, large=46)
    return {
        "attention.sliding_window": config.sliding_window,
        "attn_logit_softcapping": float(config.attn_logit_softcapping),
        "final_logit_softcapping": float(config.final_logit_softcapping),
    }


def _gemma3(config: Any, rope: Mapping[str, Any]) -> dict[str, Any]:
    _check_attention_scale(config, large=62)
    expected = ["full_attention" if (place + 1) % 6 == 0 else "sliding_attention" for place in range(config.num_hidden_layers)]
    if list(config.layer_types) != expected:
        raise ExportError("llama.cpp slides five of six layers and this model another pattern", hint=CONVERTER_HINT)
    local = config.rope_parameters["sliding_attention"]
    if local.get("rope_type", "default") != "default":
        raise ExportError("its sliding layers scale RoPE, which llama.cpp does not", hint=CONVERTER_HINT)
    return {"attention.sliding_window": config.sliding_window, "rope.freq_base_swa": float(local["rope_theta"])}


def _check_attention_scale(config: Any, large: int) -> None:
    """llama.cpp derives Gemma's attention scale from the head size, or from the width in the model of `large` layers."""
    scale = config.hidden_size // config.num_attention_heads if config.num_hidden_layers == large else head_size(config)
    if config.query_pre_attn_scalar != scale:
        raise ExportError(
            f"query_pre_attn_scalar is {config.query_pre_attn_scalar}; llama.cpp computes with {scale}", hint=CONVERTER_HINT
        )


def _phi3(config: Any, rope: Mapping[str, Any]) -> dict[str, Any]:
    return {"attention.sliding_window": config.sliding_window or 0}


def _granite(config: Any, rope: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attention.scale": float(config.attention_multiplier),
        "embedding_scale": float(config.embedding_multiplier),
        "residual_scale": float(config.residual_multiplier),
        "logit_scale": float(config.logits_scaling),
    }


_LAYOUTS = {
    "llama": Layout("llama", _interleaved, _nothing),
    "mistral": Layout("llama", _interleaved, _nothing),
    "qwen2": Layout("qwen2", _plain, _nothing),
    "qwen3": Layout("qwen3", _plain, _nothing),
    "gemma2": Layout("gemma2", _one_added_to_norms, _gemma2),
    "gemma3_text": Layout("gemma3", _one_added_to_norms, _gemma3),
    "phi3": Layout("phi3", _plain, _phi3),
    "granite": Layout("granite", _interleaved, _granite),
}
