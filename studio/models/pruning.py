"""Layers left out of a model: which change least on the rows that matter, and the smaller model as a folder of its own.

A decoder layer adds to what it is given. Where what comes out is nearly what went in, on the run's own rows, little is lost
by leaving it out (Men et al. 2024, "ShortGPT"); the saving is real in every export, which masked weights' is not. The first
two layers and the last are never left out: they make and read the representation that the others share.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from studio.core.errors import ModelError
from studio.core.records import Record
from studio.core.text import plural
from studio.models import resizing
from studio.models.loading import DTYPES
from studio.models.writing import write_folder

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RECORD = "pruned.json"
FIRST, LAST = 2, 1
"""Layers at the beginning and at the end that stay."""


class PrunedModel(Record):
    """pruned.json of a model folder: what it was made from, and which layers were left out."""

    label: ClassVar[str] = "record of a pruned model"
    remedy: ClassVar[str] = "Prune the model again: studio prune."

    parent: str
    """The run or the model it was made from."""
    base: str
    """The base model's name."""
    layers: int
    """Decoder layers of the parent."""
    dropped: tuple[int, ...]
    """Those left out, counted from 0."""
    similarity: tuple[float, ...]
    """Of each layer's output to its input on the rows, by cosine; 1 is the same."""
    tokens: int
    """Tokens it was measured on."""
    parameters: int
    parent_parameters: int


@dataclass(frozen=True)
class Similarity:
    """How like its input each layer's output is: mean cosine over `tokens` tokens."""

    by_layer: tuple[float, ...]
    tokens: int

    def least_needed(self, count: int) -> tuple[int, ...]:
        """The `count` layers that change least, in order, never the first two nor the last. Raises ModelError for too many."""
        most = max(0, len(self.by_layer) - FIRST - LAST)
        if not 0 < count <= most:
            raise ModelError(
                f"{plural(count, 'layer')} cannot be left out of {len(self.by_layer)}",
                hint=f"At most {most}: the first {FIRST} and the last are always kept."
                if most
                else "This model is too small to prune.",
                where="--layers",
            )
        candidates = range(FIRST, len(self.by_layer) - LAST)
        return tuple(sorted(sorted(candidates, key=lambda layer: -self.by_layer[layer])[:count]))


def decoder_layers(model: Any) -> Any:
    """The list of a model's decoder layers. Raises ModelError for a model whose layers are not one list."""
    import torch

    wanted = int(model.config.get_text_config().num_hidden_layers)
    for module in model.modules():
        for value in module.children():
            if isinstance(value, torch.nn.ModuleList) and len(value) == wanted:
                return value
    raise ModelError(
        f"the decoder layers of a {type(model).__name__} are not one list", hint="Choose another model.", where="model.name"
    )


def similarity(model: Any, rows: Iterable[Sequence[int]]) -> Similarity:
    """How like its input the output of each decoder layer is, over all tokens of `rows` (token ids each).

    model: a plain model or a PEFT model with its adapter on, in evaluation mode.
    """
    import torch

    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = decoder_layers(base)
    sums, tokens = torch.zeros(len(layers), dtype=torch.float64), 0

    def look(index: int) -> Any:
        def compare(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: torch.Tensor) -> None:
            before = inputs[0] if inputs else named["hidden_states"]
            after = output[0] if isinstance(output, tuple) else output
            like = torch.nn.functional.cosine_similarity(before.float(), after.float(), dim=-1)
            sums[index] += like.sum().double().cpu()

        return compare

    handles = [layer.register_forward_hook(look(index), with_kwargs=True) for index, layer in enumerate(layers)]
    device = next(base.parameters()).device
    try:
        with torch.no_grad():
            for row in rows:
                base.base_model(input_ids=torch.tensor([list(row)], device=device), use_cache=False)
                tokens += len(row)
    finally:
        for handle in handles:
            handle.remove()
    if not tokens:
        raise ModelError("there are no rows to choose the layers with", hint="Name a file: --rows FILE.", where="--rows")
    return Similarity(tuple(round(float(value) / tokens, 6) for value in sums), tokens)


def drop(model: Any, dropped: Sequence[int]) -> Any:
    """The model without those layers, in place: the rest are numbered anew, and its config says so.

    Raises ModelError where the config numbers layers in a way that is not known here.
    """
    import torch

    layers, config = decoder_layers(model), model.config.get_text_config()
    before = len(layers)
    for name in ("mlp_only_layers", "full_attn_idxs", "attn_layer_indices", "cross_attention_layers"):
        if getattr(config, name, None):
            raise ModelError(
                f"the config of this model refers to layers by number ({name}), which pruning does not support",
                hint="Choose another model to prune.",
                where="model.name",
            )
    kept = [index for index in range(before) if index not in set(dropped)]
    rest = torch.nn.ModuleList(layers[index] for index in kept)
    for module in model.modules():
        for name, value in module.named_children():
            if value is layers:
                setattr(module, name, rest)
    for index, layer in enumerate(rest):
        parts: list[Any] = list(layer.modules())
        for module in parts:
            if hasattr(module, "layer_idx"):
                module.layer_idx = index
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == before:
            setattr(config, name, [value[index] for index in kept])
    config.num_hidden_layers = len(kept)
    return model


def write(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, record: PrunedModel, dtype: str, out: Path) -> None:
    """Write a pruned model as a model folder in a number format (bf16, fp16, fp32), with its tokenizer and record: complete, or
    not there."""
    import torch

    model.to(getattr(torch, DTYPES[dtype]))  # it may have been computed in fp32
    write_folder(model, tokenizer, record, RECORD, out)


def record_of(folder: Path | None) -> PrunedModel | None:
    """The record of a pruned model's folder; None for any other model."""
    file = folder / RECORD if folder is not None else None
    return PrunedModel.read(file) if file is not None and file.exists() else None


def base_of(name: str) -> str:
    """The model that a pruned or resized one was made from, however often; any other model's own name."""
    record = record_of(Path(name)) or resizing.record_of(Path(name))
    return base_of(record.base) if record is not None and record.base != name else name
