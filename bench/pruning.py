"""What pruning costs on a real model: perplexity, size and CPU time of SmolLM2-135M with layers left out, healed, and masked.

    nice -n 10 python bench/pruning.py      # about a quarter of an hour on two cores, writes bench/results/pruning.json

Every second page of the handbook chooses (layers by similarity; weights by |W| times the norm of what they read, within each
output: Wanda, Sun et al. 2024) and heals; the other pages measure. Healing is a run of the studio on the pages that chose,
plain cross entropy, with an adapter of rank 16; the whole model trained alike stands beside it. One seed, fp32, one thread.
"""

from __future__ import annotations

import copy
import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit import training
from kit.machine import ONE_THREAD, facts, keep

ROOT = Path(__file__).resolve().parents[1]
PIECE, EPOCHS = 256, 4
DROPPED = (2, 4, 8)
WHAT = "SmolLM2-135M-Instruct on held-out pages of the sample handbook: perplexity, parameters, CPU seconds of a forward pass"

Pieces = list[list[int]]


def pages(tokenizer: Any) -> tuple[Pieces, Pieces]:
    """Token ids of the pages that choose and heal, and of those that measure, in pieces of at most `PIECE`."""
    sides: tuple[Pieces, Pieces] = [], []
    for number, file in enumerate(sorted((ROOT / "datasets" / "handbook").iterdir())):
        ids = tokenizer.encode(file.read_text("utf-8"))
        sides[number % 2].extend(ids[first : first + PIECE] for first in range(0, len(ids), PIECE) if len(ids) - first > 8)
    return sides


def measured(model: Any, pieces: Pieces) -> dict[str, float]:
    """Perplexity a token, parameters that are not zero, all parameters, and CPU seconds of the forward passes."""
    import torch

    total, tokens, began = 0.0, 0, time.process_time()
    with torch.no_grad():
        for piece in pieces:
            ids = torch.tensor([piece])
            total += model(input_ids=ids, labels=ids).loss.item() * (len(piece) - 1)
            tokens += len(piece) - 1
    weights = [each for each in model.parameters()]
    return {
        "perplexity": round(math.exp(total / tokens), 2),
        "parameters": sum(each.numel() for each in weights),
        "zeros": sum(int((each == 0).sum()) for each in weights),
        "cpu_seconds": round(time.process_time() - began, 2),
    }


def masked(model: Any, pieces: Pieces, share: float = 0.5) -> Any:
    """A copy whose linear layers lost the weights that matter least by Wanda's score, the same share of each output's."""
    import torch

    model = copy.deepcopy(model)
    head = model.get_output_embeddings()
    layers = [each for each in model.modules() if isinstance(each, torch.nn.Linear) and each is not head]
    squares = {layer: torch.zeros(layer.in_features) for layer in layers}

    def look(layer: Any, inputs: Any, output: Any) -> None:
        squares[layer] += inputs[0].reshape(-1, layer.in_features).square().sum(0)

    handles = [layer.register_forward_hook(look) for layer in layers]
    with torch.no_grad():
        for piece in pieces:
            model(input_ids=torch.tensor([piece]))
        for handle in handles:
            handle.remove()
        for layer in layers:
            scores = layer.weight.abs() * squares[layer].sqrt()
            least = scores.argsort(dim=1)[:, : int(share * layer.in_features)]
            layer.weight.scatter_(1, least, 0.0)
    return model


def without(model: Any, dropped: Sequence[int]) -> Any:
    """A copy without those layers."""
    from studio.models import pruning

    return pruning.drop(copy.deepcopy(model), dropped)


def healed(model: Any, tokenizer: Any, pieces: Pieces, folder: Path) -> Any:
    """The model with an adapter that read the pieces, merged."""
    import numpy as np

    from studio.data.encode import EMPTY
    from studio.models import loading
    from studio.training.fit import fit

    ids = np.concatenate([np.array(piece, np.int32) for piece in pieces])
    mask = np.concatenate([np.arange(len(piece)) > 0 for piece in pieces]).astype(np.uint8)
    offsets = np.cumsum([0, *map(len, pieces)]).astype(np.int64)
    tokens = replace(EMPTY, ids=ids, mask=mask, offsets=offsets, meta={**EMPTY.meta, "trained": int(mask.sum())})
    job = training.job(folder, 8, 8192, "fp32", 4, True)
    settings = type(job.training)(**{**job.training.model_dump(), "epochs": EPOCHS, "batch_size": 4})
    fit(model, tokenizer, replace(job, train=tokens, training=settings, max_length=PIECE), training.Clock())
    return loading.attach_adapter(model, job.adapter_out).merge_and_unload()


def main() -> None:
    """Every variant, one after another."""
    os.environ.update(ONE_THREAD)
    from studio.models import finding, libraries, loading, pruning
    from studio.models.settings import Model

    libraries.import_heavy()
    import torch

    torch.set_num_threads(1)
    settings = Model(name="smollm2", quantization="none", dtype="fp32")
    base = finding.find(settings)
    model, tokenizer = loading.load_base(settings, "cpu", base).eval(), loading.tokenizer(base)
    choosing, measuring = pages(tokenizer)
    found: dict[str, Any] = {}

    def note(name: str, variant: Any, **more: Any) -> None:
        found[name] = {**measured(variant.eval(), measuring), **more}
        print(name, found[name], flush=True)

    note("whole", model)
    note("half of the weights masked (Wanda)", masked(model, choosing))
    alike = pruning.similarity(model, choosing)
    for count in DROPPED:
        dropped = alike.least_needed(count)
        note(f"{count} of {len(alike.by_layer)} layers left out", without(model, dropped), dropped=dropped)
    with tempfile.TemporaryDirectory() as folder:
        four = without(model, alike.least_needed(4))
        note("4 layers left out, healed", healed(four, tokenizer, choosing, Path(folder) / "four"))
        note("whole, trained alike", healed(copy.deepcopy(model), tokenizer, choosing, Path(folder) / "whole"))
    tokens = {"chosen_by": sum(map(len, choosing)), "measured_on": sum(map(len, measuring))}
    keep("pruning", {"what": WHAT, **facts("torch", "transformers", "peft"), "epochs": EPOCHS, "tokens": tokens, **found})


if __name__ == "__main__":
    main()
