"""What llama.cpp needs to know of a model: metadata from its config, and how its weights are laid out.

What differs between architectures stands in `studio.models.architectures`, names of tensors come from the `gguf` package.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from studio.core.errors import ExportError
from studio.export.configs import model_type, rope_type
from studio.models.architectures import ARCHITECTURES, architecture
from studio.models.architectures.base import Gguf, TextConfig, head_size

ROPES = ("default", "llama3", "linear", "longrope")
"""RoPE scalings that are written."""
CONVERTER_HINT = "llama.cpp's own converter may know it: convert_hf_to_gguf.py FOLDER, run on the `merged` export."


def refuse_unless_known(config: Mapping[str, Any]) -> None:
    """Raise ExportError for a `config.json` whose architecture or RoPE scaling has no GGUF layout here."""
    _layout(model_type(config))
    if rope_type(config) not in ROPES:
        raise ExportError(f"RoPE scaling `{rope_type(config)}` is not written to GGUF here", hint=CONVERTER_HINT, where="gguf")


def layout(config: TextConfig) -> Gguf:
    """How a GGUF file holds a text config's architecture. Raises ExportError for one that is not known."""
    return _layout(config.model_type)


def _layout(name: str) -> Gguf:
    facts = architecture(name).gguf
    if facts is None:
        known = ", ".join(sorted(item.name for item in ARCHITECTURES.values() if item.gguf))
        raise ExportError(
            f"the architecture `{name}` has no GGUF layout here; known are {known}", hint=CONVERTER_HINT, where="gguf"
        )
    return facts


def laid_out(name: str, weight: np.ndarray, facts: Gguf, config: TextConfig) -> np.ndarray:
    """A weight (float32) as llama.cpp holds it: rows of queries and keys as neighbouring pairs, norms with their offset."""
    if facts.interleaved and name.endswith(("q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias")):
        heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
        return weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)
    return weight + facts.norm_offset if facts.norm_offset and name.endswith("norm.weight") else weight


def metadata(config: TextConfig) -> dict[str, Any]:
    """The `arch.*` keys of a text config (without that prefix). Raises ExportError for settings llama.cpp cannot follow."""
    facts = layout(config)
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
    return values | facts.metadata(config, rope)


def extra_tensors(config: TextConfig) -> dict[str, np.ndarray]:
    """Tensors a GGUF file has and the checkpoint has not: RoPE frequency factors."""
    rope = rope_settings(config)
    size = int(head_size(config) * rope.get("partial_rotary_factor", 1.0))
    match rope.get("rope_type", "default"):
        case "llama3":
            return {"rope_freqs.weight": llama3_factors(rope, size)}
        case "longrope":
            return {f"rope_factors_{name}.weight": np.array(rope[f"{name}_factor"], np.float32) for name in ("long", "short")}
    return {}


def rope_settings(config: TextConfig) -> Mapping[str, Any]:
    """RoPE settings of the full-attention layers: rope_theta, rope_type, factor, ... (transformers 5's rope_parameters)."""
    rope = dict(config.rope_parameters or {})
    return dict(rope["full_attention"]) if "full_attention" in rope else rope


def context_length(config: TextConfig) -> int:
    """Longest context; not more than the window where llama.cpp would not slide one but the model does."""
    longest = config.max_position_embeddings
    kinds = set(getattr(config, "layer_types", None) or ())
    window = getattr(config, "sliding_window", None)
    slides = "sliding_attention" in kinds or (not kinds and window)
    if window and slides and not layout(config).slides:
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


def _scaling(config: TextConfig, rope: Mapping[str, Any]) -> dict[str, Any]:
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
