"""A model's dimensions and exact parameter counts from its `config.json` alone: nothing is downloaded."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from typing import Any

from studio.core.errors import ModelError
from studio.hardware.dims import ModelDims
from studio.models import presets
from studio.models.architectures import ARCHITECTURES, UNLISTED, architecture
from studio.models.architectures.base import Architecture, ConfigValues
from studio.models.counting import MOST_LAYERS

BUILD_SECONDS = 120
"""Seconds that building a model without memory may take, imports included."""
SIZES = {
    "num_hidden_layers": (1, MOST_LAYERS), "hidden_size": (1, 1 << 18), "intermediate_size": (1, 1 << 22),
    "vocab_size": (1, 1 << 25), "num_attention_heads": (1, 1 << 14), "num_key_value_heads": (1, 1 << 14),
    "head_dim": (1, 1 << 16), "num_local_experts": (0, 1 << 16), "num_experts": (0, 1 << 16),
    "num_experts_per_tok": (0, 1 << 16), "decoder_sparse_step": (1, 1000),
}  # fmt: skip
"""What the sizes in a config can be at least and at most; ten times what the largest models have."""
WIDTHS = ("hidden_size", "n_embd", "d_model", "dim", "hidden_dim")
"""What configs call the hidden size; one that has none of them describes no decoder."""


def model_dims(config: ConfigValues) -> ModelDims:
    """The dimensions of a decoder from its config.

    Exact to the last weight for the architectures in `studio.models.architectures`. Another one that transformers knows is
    built once on torch's meta device, which takes no memory, in a process of its own, and its weights are counted; where that
    fails it is counted as a Llama of its sizes, and `counted` says so. Raises ModelError for a config that does not describe
    a decoder.
    """
    text = config.get("text_config") or config
    name = str(text.get("model_type") or config.get("model_type") or "")
    facts = architecture(name)
    _check_sizes(text)
    if name and (facts is UNLISTED or facts.built):
        if not any(text.get(width) for width in WIDTHS):
            raise _no_decoder("it has no hidden size")
        known = presets.counts(config)
        built = from_counts(known) if known else _built(json.dumps(config, sort_keys=True, default=str))
        if built is not None:
            return built
    return _counted(config, name, facts)


def _check_sizes(text: ConfigValues) -> None:
    """Raise ModelError for a size that no model has; what is counted and built by it would take all memory."""
    for key, (least, most) in SIZES.items():
        value = text.get(key)
        if isinstance(value, int | float) and not least <= value <= most:
            shown = f"{value:.6g}" if value > most else value
            raise _no_decoder(f"{key} must be from {least} to {most:,}, and is {shown}")


def _counted(config: ConfigValues, name: str, facts: Architecture) -> ModelDims:
    text = config.get("text_config") or config
    guessed = facts is UNLISTED or facts.built
    defaults = (ARCHITECTURES["llama"] if guessed else facts).defaults

    def value(key: str, *others: str, default: object = None) -> Any:
        for source in (text, config if key == "tie_word_embeddings" else {}, defaults):
            for wanted in (key, *others):
                if source.get(wanted) is not None:
                    return source[wanted]
        return default

    try:
        hidden, layers = int(text["hidden_size"]), int(text["num_hidden_layers"])
        ffn = int(value("intermediate_size"))
        heads = int(value("num_attention_heads"))
    except KeyError as missing:
        raise _no_decoder(f"it has no {missing.args[0]}") from None
    except (TypeError, ValueError):
        raise _no_decoder("hidden size, layers, heads or feed-forward width is missing or not a number") from None
    kv_heads = int(value("num_key_value_heads", default=heads))
    head_dim = int(value("head_dim", default=hidden // heads))
    vocab, tied = int(value("vocab_size")), bool(value("tie_word_embeddings", default=False))
    experts = int(value("num_local_experts", "num_experts", default=0)) if facts.mixture or guessed else 0
    expert_ffn = int(value("moe_intermediate_size", default=ffn))
    queries, keys = heads * head_dim, kv_heads * head_dim

    small = facts.norms * hidden + {"head": 2 * head_dim, "all": queries + keys, "": 0}[facts.query_key_norms]
    if facts.qkv_bias:
        small += queries + 2 * keys
    elif value("attention_bias", default=False):
        small += queries + 2 * keys + hidden
    if value("mlp_bias", default=False) and not experts:
        small += 2 * ffn + hidden
    dense = set(value("mlp_only_layers", default=())) if experts else set(range(layers))
    step = int(value("decoder_sparse_step", default=1))
    sparse = sum(index not in dense and (index + 1) % step == 0 for index in range(layers)) if experts else 0

    embedding = vocab * hidden
    head = 0 if tied else embedding
    attention = hidden * (queries + 2 * keys) + queries * hidden
    quantizable = layers * attention + (layers - sparse) * 3 * hidden * ffn
    expert_parameters = sparse * experts * 3 * hidden * expert_ffn
    norms = layers * small + sparse * experts * hidden + hidden
    return ModelDims(
        architecture=name,
        parameters=quantizable + expert_parameters + norms + embedding + head,
        quantizable=quantizable,
        embedding=embedding,
        head=head,
        norms=norms,
        expert_parameters=expert_parameters,
        layers=layers,
        hidden=hidden,
        ffn=expert_ffn if experts else ffn,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab=vocab,
        tied=tied,
        max_positions=int(value("max_position_embeddings", default=2048)),
        linears=_linears(hidden, queries, keys, 0 if experts else ffn, facts.fused),
        sliding_window=_window(text, value("sliding_window")),
        experts=experts,
        experts_used=int(value("num_experts_per_tok", default=0)) if experts else 0,
        sparse_layers=sparse,
        dense_ffn=ffn,
        norms_per_layer=facts.norms,
        query_key_norms=bool(facts.query_key_norms),
        fused=facts.fused,
        counted="like llama" if guessed else "exact",
    )


def _linears(hidden: int, queries: int, keys: int, ffn: int, fused: bool) -> dict[str, tuple[int, int]]:
    """The linear layers of one decoder layer as (in, out); without a feed-forward part where `ffn` is 0."""
    if fused:
        attention = {"qkv_proj": (hidden, queries + 2 * keys)}
    else:
        attention = {"q_proj": (hidden, queries), "k_proj": (hidden, keys), "v_proj": (hidden, keys)}
    attention["o_proj"] = (queries, hidden)
    if not ffn:
        return attention
    if fused:
        return {**attention, "gate_up_proj": (hidden, 2 * ffn), "down_proj": (ffn, hidden)}
    return {**attention, "gate_proj": (hidden, ffn), "up_proj": (hidden, ffn), "down_proj": (ffn, hidden)}


def _window(text: ConfigValues, window: Any) -> int | None:
    off = text.get("use_sliding_window") is False or ("sliding_window" in text and text["sliding_window"] is None)
    return None if off or not window else int(window)


@functools.lru_cache(maxsize=64)
def _built(config: str) -> ModelDims | None:
    """What `studio.models.counting` counts, in a process of its own: the one that plans need not import torch."""
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", "studio.models.counting"],
            input=config, capture_output=True, text=True, timeout=BUILD_SECONDS, check=True,
        )  # fmt: skip
        values = json.loads(child.stdout)
        return from_counts(values)
    except (subprocess.SubprocessError, OSError, ValueError, TypeError, KeyError):
        return None


def from_counts(values: ConfigValues) -> ModelDims:
    """What `studio.models.counting` wrote, as dimensions."""

    def sizes(layer: dict[str, list[int]]) -> dict[str, tuple[int, int]]:
        return {name: (inputs, outputs) for name, (inputs, outputs) in layer.items()}

    parts = {"linears": sizes(values["linears"]), "by_layer": tuple(map(sizes, values["by_layer"]))}
    return ModelDims(**{**values, **parts}, counted="built")


def _no_decoder(reason: str) -> ModelError:
    return ModelError(
        f"its config.json does not describe a decoder: {reason}", hint="Name a causal language model.", where="model.name"
    )
