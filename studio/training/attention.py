"""Attention over several rows laid end to end: each row attends to itself only, without a mask of tokens x tokens.

Registered with transformers' attention interface, so any model that uses the interface can be trained with it. The row
lengths travel as the keyword `row_lengths` from the trainer through the model; without them a batch is causal as it
stands (one row, or rows padded on the right). With `row_prompts`, several answers share one prompt that stands once: each
attends to the prompt's keys, too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

LAYER_KINDS = {"full_attention", "sliding_attention"}
"""Layer types whose masks this module can make by itself."""


def register() -> None:
    """Make `studio_rows` and `studio_varlen` known to transformers."""
    from transformers import AttentionInterface

    AttentionInterface.register("studio_rows", attend_by_row)
    AttentionInterface.register("studio_varlen", attend_varlen)


def is_own(name: str) -> bool:
    """Whether an attention implementation is one of this module's, which tell rows apart by their lengths."""
    return name.startswith("studio_")


def choices(model: Any, device: str, dtype: str) -> list[str]:
    """Attention implementations to try for this model, fastest first; the last is the one it was loaded with."""
    own = str(model.config._attn_implementation)
    config = model.config.get_text_config()
    plain = set(getattr(config, "layer_types", None) or LAYER_KINDS) <= LAYER_KINDS
    if own not in ("sdpa", "eager") or not plain or getattr(config, "attention_chunk_size", None):
        return [own]
    if not model._can_set_attn_implementation():
        return [own]
    return [*(["studio_varlen"] if device == "cuda" and dtype != "fp32" else []), "studio_rows", own]


def attend_by_row(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    position_bias: torch.Tensor | None = None,
    row_lengths: tuple[int, ...] | None = None,
    row_prompts: tuple[int, ...] | None = None,
    **_: object,
) -> tuple[Any, None]:
    """Causal attention, one call per row. query [1, heads, tokens, size], key and value with as many or fewer heads.

    Returns [1, tokens, heads, size]. The rows are taken apart by one split, whose gradient is one concatenation. row_prompts:
    for each row the index of the row that holds its prompt, or less than 0.
    """
    import torch

    if attention_mask is not None or position_bias is not None:
        raise NotImplementedError("rows are told apart by their lengths, not by a mask")
    lengths = list(row_lengths or (query.shape[2],))
    keys, values = (_behind_prompts(part.split(lengths, 2), row_prompts) for part in (key, value))
    rows = zip(query.split(lengths, 2), keys, values, strict=True)
    outputs = [_attend(q, k, v, dropout, scaling, sliding_window, softcap, s_aux) for q, k, v in rows]
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return joined.transpose(1, 2).contiguous(), None


def behind_prompts(lengths: tuple[int, ...], prompts: tuple[int, ...] | None) -> tuple[int, ...]:
    """How many keys each row attends to: its own, and its prompt's where that stands elsewhere."""
    if prompts is None:
        return lengths
    return tuple(own + (0 if prompt < 0 else lengths[prompt]) for own, prompt in zip(lengths, prompts, strict=True))


def _behind_prompts(rows: Sequence[Any], prompts: tuple[int, ...] | None) -> list[Any]:
    """Keys or values of each row, behind those of its prompt where that stands elsewhere."""
    import torch

    if prompts is None:
        return list(rows)
    return [row if prompt < 0 else torch.cat([rows[prompt], row], dim=2) for row, prompt in zip(rows, prompts, strict=True)]


def attend_varlen(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    row_lengths: tuple[int, ...] | None = None,
    row_prompts: tuple[int, ...] | None = None,
    cu_seq_lens_q: Any = None,
    cu_seq_lens_k: Any = None,
    **more: Any,
) -> tuple[Any, None]:
    """The same by torch's variable-length flash attention: one kernel for all rows (CUDA, 16 bit), with a sliding window or
    without. Else by row."""
    import torch

    window = more.get("sliding_window")
    longest = max(row_lengths or (0,))
    unusual = more.get("softcap") or more.get("s_aux") is not None or more.get("position_bias") is not None
    unusual = unusual or dropout or attention_mask is not None or query.dtype == torch.float32
    if row_lengths is None or unusual:
        rows: dict[str, Any] = {"row_lengths": row_lengths, "row_prompts": row_prompts}
        return attend_by_row(module, query, key, value, attention_mask, dropout, scaling, **rows, **more)
    longest_key = longest
    if row_prompts is not None:
        key, value = (torch.cat(_behind_prompts(part.split(list(row_lengths), 2), row_prompts), 2) for part in (key, value))
        longest_key = max(behind_prompts(row_lengths, row_prompts))
    from torch.nn.attention.varlen import varlen_attn

    grouped: dict[str, Any] = (
        {"enable_gqa": True} if "enable_gqa" in _parameters(varlen_attn) else {}
    )  # torch 2.11 groups heads unasked

    q, k, v = (part.squeeze(0).transpose(0, 1) for part in (query, key, value))
    out = varlen_attn(
        q.contiguous(),  # it answers as the queries lie: where a part of each head is turned, that would be copied
        k,
        v,
        cu_seq_lens_q,
        cu_seq_lens_q if row_prompts is None else cu_seq_lens_k,
        longest,
        longest_key,
        scale=scaling,
        window_size=(window - 1 if window else -1, 0),
        **(grouped if q.shape[1] != k.shape[1] else {}),
    )
    return out.unsqueeze(0), None  # pyright: ignore[reportAttributeAccessIssue] - a tuple only when asked for more


def _attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    dropout: float,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
    sinks: torch.Tensor | None,
) -> Any:
    import torch

    grouped = q.shape[1] != k.shape[1]
    tokens, keys = q.shape[2], k.shape[2]
    banded = tokens != keys or (window is not None and keys > window)
    if not softcap and sinks is None:
        if grouped and not _groups_heads(banded):
            k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], dim=1) for part in (k, v))
            grouped = False
        return torch.nn.functional.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=_visible(tokens, keys, window, q.device) if banded else None,
            dropout_p=dropout,
            is_causal=not banded,
            scale=scaling,
            enable_gqa=grouped,
        )
    if grouped:
        k, v = (part.repeat_interleave(q.shape[1] // part.shape[1], dim=1) for part in (k, v))
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.masked_fill(~_visible(tokens, keys, window, q.device), float("-inf"))
    if sinks is not None:  # a learned score that takes weight from all tokens and gives nothing (gpt-oss)
        scores = torch.cat([scores, sinks.view(1, -1, 1, 1).expand(*scores.shape[:-1], 1).to(scores.dtype)], dim=-1)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32)[..., : k.shape[2]].to(q.dtype)
    return torch.nn.functional.dropout(weights, dropout) @ v


@functools.cache
def _parameters(function: Callable[..., object]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _groups_heads(masked: bool) -> bool:
    """Whether torch attends with fewer key heads than query heads without falling back to tokens x tokens for each head.

    On a GPU only its flash kernel does, which takes no mask and needs compute capability 8.0.
    """
    import torch

    return not torch.cuda.is_available() or (not masked and torch.cuda.get_device_capability() >= (8, 0))


def _visible(tokens: int, keys: int, window: int | None, device: torch.device) -> Any:
    """The keys that each of the last `tokens` positions sees, [tokens, keys]: its own and up to window - 1 before it."""
    import torch

    before = keys - tokens
    seen = torch.ones(tokens, keys, dtype=torch.bool, device=device).tril(before)
    return seen if window is None else seen.triu(before + 1 - window)
