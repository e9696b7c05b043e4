"""Inside the environment `compress`: a merged model's weights in 4 bit by GPTQ, written as vLLM loads them.

GPTQ (Frantar et al., arXiv:2210.17323) rounds a layer's weights column by column and lets those still to come make up for
each error, as the layer's inputs over calibration rows say it matters. Embeddings and the output layer stay as they are.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import ExportError
from studio.tracking.reporter import Reporter

GROUPS = (128, 64, 32)
"""Weights that share a scale, the usual number first; all are sizes that vLLM has kernels for."""
KEPT = "lm_head"
"""The layer that stays in 16 bit: it decides between tokens, and is one with the embeddings in many small models."""


def quantize(request: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Quantise the model in `model` and save it in `out`; `rows` is an .npz of calibration rows ("ids", "offsets").

    Without rows weights are rounded to the nearest step. Returns group, method and the names of the layers. Raises ExportError
    for layers whose width no group size divides.
    """
    reporter.progress(0, 1, "loading the merged model and llm-compressor")
    import torch
    from llmcompressor import oneshot
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from transformers import AutoModelForCausalLM

    from studio.models.widening import widened

    torch.manual_seed(0)
    model: Any = AutoModelForCausalLM.from_pretrained(request["model"], dtype="auto")
    saved = model.dtype
    model = widened(model, "cuda" if torch.cuda.is_available() else "cpu")
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear) and KEPT not in name}
    group = group_size({name: layer.in_features for name, layer in layers.items()})
    rows: Any = list(_rows(request["rows"])) if request.get("rows") else []
    kind = GPTQModifier if rows else QuantizationModifier
    with _listened(len(layers), reporter):
        oneshot(
            model=model,
            recipe=kind(config_groups={"group_0": _scheme(group)}, ignore=[KEPT]),
            dataset=torch.utils.data.DataLoader(rows, batch_size=None) if rows else None,
            num_calibration_samples=len(rows),
            pipeline="sequential" if rows else "datafree",
        )
    reporter.progress(len(layers), len(layers), "writing the 4-bit model")
    if model.dtype != saved:
        model.to(saved)
    model.save_pretrained(request["out"], save_compressed=True, max_shard_size="4GB")
    return {"group": group, "method": "gptq" if rows else "nearest", "layers": len(layers)}


def group_size(widths: dict[str, int]) -> int:
    """The first of `GROUPS` that divides the width of every layer. Raises ExportError if none does."""
    for group in GROUPS:
        if all(width % group == 0 for width in widths.values()):
            return group
    name, width = next((name, width) for name, width in widths.items() if width % GROUPS[-1])
    raise ExportError(
        f"{name} is {width} wide, which no group of {', '.join(map(str, GROUPS))} weights divides",
        hint="Export `merged`, or `gguf` for 4 bit.",
        where="merged_4bit",
    )


def _scheme(group: int) -> Any:
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    weights = QuantizationArgs(num_bits=4, type="int", symmetric=True, strategy="group", group_size=group)
    return QuantizationScheme(targets=["Linear"], weights=weights)


def _rows(file: str) -> Iterator[dict[str, Any]]:
    import torch

    with np.load(Path(file), allow_pickle=False) as kept:
        ids, offsets = kept["ids"].astype(np.int64), kept["offsets"]
    for start, end in itertools.pairwise(offsets):
        yield {"input_ids": torch.from_numpy(ids[start:end])[None]}


@contextlib.contextmanager
def _listened(layers: int, reporter: Reporter) -> Iterator[None]:
    """Progress from llm-compressor's log, which names each layer as it comes to it."""
    from loguru import logger

    done = 0

    def on_log(message: object) -> None:
        nonlocal done
        done += 1
        reporter.progress(min(done, layers), layers, "quantising")

    number = logger.add(on_log, filter=lambda record: record["message"].startswith("Quantizing "), level="INFO")
    try:
        yield
    finally:
        logger.remove(number)
