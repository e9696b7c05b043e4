"""How likely a model finds the reference answers: teacher-forced loss and first choices, one number per row.

Only the answer's positions are ever turned into logits, and only some hundred at a time, so memory does not grow
with the vocabulary times the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import EvaluationError
from studio.evaluation.interval import Column

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH_TOKENS = 4096
"""Padded tokens computed at once."""

LOGITS = 1 << 25
"""Logits held at once: 32 Mi, 128 MiB in 32 bit."""


@dataclass(frozen=True)
class Likelihood:
    """Per row: summed negative log-likelihood in nats, tokens that were the first choice, and tokens counted."""

    loss: Column
    right: Column
    tokens: Column


def likelihood(
    model: Any, rows: Sequence[tuple[Sequence[int], Sequence[bool]]], done: Callable[[int], None] = lambda rows: None
) -> Likelihood:
    """Score each row's marked tokens given what stands before them.

    rows: (ids, mask) of equal length; mask marks the tokens that count (the first token never does: nothing is before
    it). done is told how many rows each batch held. Raises EvaluationError if a row has no finite loss or none fits.
    """
    import torch

    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    vocabulary = causal.config.get_text_config().vocab_size
    found = np.zeros((3, len(rows)))
    head: Callable[[Tensor], Tensor] | None = None
    waiting = list(_batches([len(ids) for ids, _ in rows]))
    with torch.inference_mode():
        while waiting:
            places = waiting.pop()
            batch = _Batch([rows[place] for place in places], causal.device)
            try:
                hidden = causal.get_decoder()(input_ids=batch.ids, attention_mask=batch.seen, use_cache=False).last_hidden_state
                head = head or _head(causal, batch)
                found[:, places] = _scored(hidden, batch, head, vocabulary)
            except torch.cuda.OutOfMemoryError:
                if len(places) == 1:
                    raise EvaluationError(
                        f"the GPU ran out of memory measuring the loss of one row of {batch.ids.shape[1]:,} tokens",
                        hint="Close other programs on the GPU, or set data.max_length to shorter rows.",
                    ) from None
                waiting += [places[::2], places[1::2]]
                continue
            done(len(places))
    loss, right, tokens = found
    if not np.isfinite(loss).all():
        bad = int((~np.isfinite(loss)).sum())
        raise EvaluationError(
            f"the loss of {bad} of {len(rows)} rows is not a number",
            hint="The weights are damaged or the number format overflows: set model.dtype to bf16 or fp32, or a lower rate.",
        )
    return Likelihood(loss, right, tokens)


class _Batch:
    """Rows padded on the right: ids and attention (rows, length), and where the counted tokens are."""

    def __init__(self, rows: list[tuple[Sequence[int], Sequence[bool]]], device: torch.device) -> None:
        import torch

        length = max(len(ids) for ids, _ in rows)
        self.ids = torch.zeros(len(rows), length, dtype=torch.long)
        self.seen = torch.zeros_like(self.ids)
        counted = torch.zeros(len(rows), length, dtype=torch.bool)
        for place, (ids, mask) in enumerate(rows):
            self.ids[place, : len(ids)] = torch.as_tensor(np.asarray(ids, dtype=np.int64))
            self.seen[place, : len(ids)] = 1
            counted[place, : len(ids)] = torch.as_tensor(np.asarray(mask, dtype=bool))
        self.row, self.column = counted[:, 1:].nonzero(as_tuple=True)  # position t predicts token t + 1
        self.wanted = self.ids[self.row, self.column + 1].to(device)
        self.ids, self.seen = self.ids.to(device), self.seen.to(device)


def _scored(hidden: Tensor, batch: _Batch, head: Callable[[Tensor], Tensor], vocabulary: int) -> tuple[Column, ...]:
    """Loss, first choices and token counts of each row of the batch."""
    import torch
    from torch.nn.functional import cross_entropy

    states = hidden[batch.row.to(hidden.device), batch.column.to(hidden.device)]
    losses, rights = [torch.zeros(0)], [torch.zeros(0)]
    for some, wanted in zip(*(item.split(max(1, LOGITS // vocabulary)) for item in (states, batch.wanted)), strict=True):
        logits = head(some)
        losses.append(cross_entropy(logits, wanted, reduction="none").cpu())
        rights.append((logits.argmax(-1) == wanted).float().cpu())
    row, count = batch.row.numpy(), len(batch.ids)
    loss, right = torch.cat(losses).double().numpy(), torch.cat(rights).double().numpy()
    sums = (np.bincount(row, weights=weights, minlength=count) for weights in (loss, right, np.ones_like(loss)))
    return tuple(np.asarray(item, dtype=np.float64) for item in sums)


def _head(causal: Any, batch: _Batch) -> Callable[[Tensor], Tensor]:
    """What turns hidden states into logits, proven against the model's own forward on one position.

    Most families only apply their output matrix; some scale the logits or cap them softly, as their settings declare. If
    the logits still differ from the model's own, nothing is measured.
    """
    import torch

    from studio.training.head import logit_transform

    embeddings, transform = causal.get_output_embeddings(), logit_transform(causal.config.get_text_config())

    def head(states: Tensor) -> Tensor:
        logits = embeddings(states.to(embeddings.weight.dtype)).float() * transform.scale
        return torch.tanh(logits / transform.cap) * transform.cap if transform.cap else logits

    first = {"input_ids": batch.ids[:1], "attention_mask": batch.seen[:1], "use_cache": False}
    own = causal(**first, logits_to_keep=1).logits
    # the same row alone again: beside other rows 16 bit rounds otherwise, and deep models carry that far
    hidden = causal.get_decoder()(**first).last_hidden_state
    apart = (head(hidden[0, -1]) - own[0, -1].float()).abs().max()
    if apart > 0.02 * own.float().abs().max() + 1e-3:  # not a number passes here and is reported with its rows
        raise EvaluationError(
            f"the logits of {type(causal).__name__} cannot be taken apart: it does more than scale and cap its output",
            hint="Choose a base model of another family, or report this one with its name.",
        )
    return head


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Places of rows, longest first, in groups of at most BATCH_TOKENS padded tokens (always at least one row)."""
    group: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if group and lengths[group[0]] * (len(group) + 1) > BATCH_TOKENS:
            yield group
            group = []
        group.append(place)
    if group:
        yield group
