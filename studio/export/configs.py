"""What a `config.json` says without transformers: enough to refuse an export in the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of the language model."""
    return config.get("text_config") or config


def model_type(config: Mapping[str, Any]) -> str:
    """The architecture of the language model, as transformers calls it."""
    text = text_config(config)
    return str(text.get("model_type") or config.get("model_type") or "unknown")


def rope_type(config: Mapping[str, Any]) -> str:
    """How positions are scaled: `default`, `linear`, `llama3`, `longrope`, `dynamic`, `yarn`, ... of the full-attention layers.

    Reads `rope_parameters` of transformers 5 and `rope_scaling` of 4.
    """
    text = text_config(config)
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    rope = rope.get("full_attention", rope)
    found = str(rope.get("rope_type") or rope.get("type") or "default")
    return "longrope" if found == "su" else found


def experts(config: Mapping[str, Any]) -> bool:
    """True for a mixture of experts."""
    text = text_config(config)
    return any(text.get(name) for name in ("num_experts", "num_local_experts", "n_routed_experts"))
