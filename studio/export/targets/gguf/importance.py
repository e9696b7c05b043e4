"""The importance matrix: how strongly each column of each weight is used, measured on the run's own training rows.

For y = W x a rounding error in column j of W moves y by that error times x_j. So the mean of x_j squared over real tokens
says how much each column's error matters, and llama.cpp's quantizer weighs its errors by it (llama.cpp, tools/imatrix).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from studio.core.errors import Stopped
from studio.tracking.reporter import Reporter

LONGEST = 1024
"""Tokens of one row that are read."""


@dataclass(frozen=True)
class Importance:
    """columns: GGUF tensor name -> mean square of each of its inputs, float32 [columns]. tokens: over how many."""

    columns: dict[str, np.ndarray]
    tokens: int


def sample(lengths: np.ndarray, tokens: int) -> list[int]:
    """Rows, spread evenly over all of them, that together have about `tokens` tokens."""
    usual = float(np.minimum(lengths, LONGEST).mean())
    wanted = min(len(lengths), max(1, round(tokens / usual)))
    return np.linspace(0, len(lengths) - 1, wanted).round().astype(int).tolist()


def importance(model: Any, rows: Sequence[Sequence[int]], arch: str, reporter: Reporter) -> Importance:
    """What a transformers model's layers see while it reads `rows` of token ids. arch: llama.cpp's name of its kind.

    Raises Stopped if the run was asked to stop.
    """
    import torch

    device, read = model.get_input_embeddings().weight.device, 0
    with _watched(model, arch) as seen, torch.inference_mode():
        for done, row in enumerate(rows):
            if reporter.should_stop():
                raise Stopped
            ids = torch.tensor([list(row[:LONGEST])], device=device)
            model.base_model(input_ids=ids, use_cache=False)
            read += ids.shape[1]
            reporter.progress(done + 1, len(rows), "reading training rows for the importance matrix")
        columns = {name: (total / count).float().cpu().numpy() for name, (total, count) in seen.items()}
    return Importance(columns, read)


@contextlib.contextmanager
def _watched(model: Any, arch: str) -> Iterator[dict[str, tuple[Any, int]]]:
    """Sums of squares of what every linear layer is given, by GGUF tensor name, and over how many tokens, while inside."""
    import gguf
    import torch

    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    known = gguf.get_tensor_name_map(kinds[arch], model.config.get_text_config().num_hidden_layers)
    seen: dict[str, tuple[Any, int]] = {}

    def watch(name: str) -> Any:
        def read(layer: Any, given: tuple[Any, ...]) -> None:
            flat = given[0].detach().reshape(-1, given[0].shape[-1]).double()
            total, count = seen.get(name, (0, 0))
            seen[name] = (total + flat.square().sum(0), count + len(flat))

        return read

    hooks = []
    for name, layer in model.named_modules():
        plain = re.sub(r"^(model\.)?language_model\.(model\.)?", "model.", name)
        target = known.get_name(f"{plain}.weight", try_suffixes=(".weight",)) if isinstance(layer, torch.nn.Linear) else None
        if target and plain != "lm_head":
            hooks.append(layer.register_forward_pre_hook(watch(target)))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
