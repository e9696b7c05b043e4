"""Evidence of a reward model: does it score the preferred answer of a held-out pair higher, and is that more than length?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import EvaluationError, Stopped
from studio.core.text import plural
from studio.data.rows import Conversation
from studio.evaluation.answering import Question, questions, share
from studio.evaluation.interval import Column, Draws, change, estimate
from studio.evaluation.likelihood import BATCH_TOKENS, likelihood
from studio.evaluation.report import HELD_OUT, Compared, Report, SetReport
from studio.evaluation.settings import Evaluation
from studio.evaluation.sides import adapter_off, device, fitting
from studio.evaluation.verdict import decide
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

ACCURACY = "score_accuracy"
WHY = "a reward model is there to score the preferred answer of a pair higher"


def load(base: nn.Module, adapter: Path) -> Any:
    """The base with the adapter and the head of a reward model on it."""
    from studio.models import loading
    from studio.training import score_head

    score_head.add(base, 0)
    return loading.attach_adapter(base, adapter)


def scores(model: Any, sequences: Sequence[Sequence[int]], done: Callable[[int], None] = lambda rows: None) -> Column:
    """The score of each sequence of token ids, float64 [sequences], by a model that `load` gave."""
    import torch

    from studio.training import score_head

    causal, found = model.get_base_model(), np.zeros(len(sequences))
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index]))
    with torch.inference_mode():
        while order:
            longest = len(sequences[order[0]])
            some, order = order[: max(1, BATCH_TOKENS // longest)], order[max(1, BATCH_TOKENS // longest) :]
            ids = torch.zeros(len(some), longest, dtype=torch.long)
            seen = torch.zeros_like(ids)
            for row, index in enumerate(some):
                ids[row, : len(sequences[index])] = torch.as_tensor(np.asarray(sequences[index], dtype=np.int64))
                seen[row, : len(sequences[index])] = 1
            ends = torch.arange(len(some)) * longest + seen.sum(dim=1) - 1
            inputs = {"input_ids": ids.to(causal.device), "attention_mask": seen.to(causal.device), "use_cache": False}
            hidden = causal.get_decoder()(**inputs).last_hidden_state
            found[some] = score_head.values(model, hidden, ends.to(causal.device)).double().cpu().numpy()
            done(len(some))
    if not np.isfinite(found).all():
        raise EvaluationError("a score is not a number", hint="Set model.dtype to bf16 or fp32, or a lower learning rate.")
    return found


def compare(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Conversation],
    settings: Evaluation,
    *,
    seed: int,
    reporter: Reporter,
    max_length: int,
) -> Report:
    """Held-out preference pairs: how often the preferred answer has the higher score, against what the base alone finds
    likelier. Raises EvaluationError if no pair can be measured, Stopped."""
    asked, refused = questions(rows, tokenizer, "last_assistant")
    asked, too_long = fitting(asked, max_length)
    pairs = [item for item in asked if item.rejected is not None and len(item.rejected.ids) <= max_length]
    if not pairs:
        raise EvaluationError(
            "no held-out row is a preference pair that can be measured",
            hint="Give pairs in data.holdout, or hold out a share such as 0.1.",
        )
    before = _likelier(model, pairs)
    total = 2 * len(pairs)
    so_far = 0

    def done(count: int) -> None:
        nonlocal so_far
        so_far += count
        reporter.progress(so_far, total, "scores of answers")
        if reporter.should_stop():
            raise Stopped

    found = scores(model, [ids for item in pairs if item.rejected for ids in (item.ids, item.rejected.ids)], done)
    after = (found[::2] > found[1::2]).tolist()
    longer = [len(item.ids) > len(item.rejected.ids) for item in pairs if item.rejected]
    draws = Draws(len(pairs), settings.resamples, seed)
    base, tuned, length = share(before), share(after), share(longer)
    figures = Compared(estimate(base, draws), estimate(tuned, draws), change(base, tuned, draws))
    left_out = refused + too_long
    held_out = SetReport(
        name=HELD_OUT, rows=len(pairs), answers=[], metrics={ACCURACY: figures}, headline=ACCURACY, why=WHY,
        max_new_tokens=0, left_out=left_out,
    )  # fmt: skip
    verdict = decide([held_out])
    beside = change(length, tuned, draws)
    if beside.low is None or beside.low <= 0:
        verdict.cautions.append(
            f"the preferred answer is the longer one in {length.value:.0%} of {plural(len(pairs), 'pair')}: this model is not "
            "clearly better than that rule alone"
        )
    return Report(sets=[held_out], verdict=verdict, device=device(model), resamples=settings.resamples, seed=seed, speed={})


def _likelier(model: nn.Module, pairs: Sequence[Question]) -> list[float]:
    """Whether the base finds the preferred answer likelier, by the mean log p of its tokens."""
    with adapter_off(model):
        sides = [
            likelihood(model, [(item.ids, item.mask) for item in pairs]),
            likelihood(model, [(item.rejected.ids, item.rejected.mask) for item in pairs if item.rejected]),
        ]
    chosen, rejected = (side.loss / np.maximum(side.tokens, 1) for side in sides)
    return (chosen < rejected).astype(np.float64).tolist()
