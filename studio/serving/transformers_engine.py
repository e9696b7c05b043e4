"""The transformers engine: one base model, any number of adapters on it, answers of one adapter advanced together.

An answer that is alone is computed step by step as `studio chat` computes it, with the same masks and caches. Answers
that run together are one batch, padded on the left; a batch is put together anew only when an answer joins or leaves.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.models.finding import FoundModel
from studio.models.settings import Model
from studio.serving import sampling
from studio.serving.job import Job, TokenLogprob

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
BASE = ""
"""The variant that is the base model itself."""


@dataclass(frozen=True)
class Weights:
    """A base model and how it is held; runs with equal ones share it."""

    base_model: FoundModel
    model: Model
    device: str
    threads: int | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for weights that are the same in memory."""
        held = self.model
        return (
            self.base_model.path_or_id, self.base_model.revision, self.device,
            held.quantization, held.double_quantization, held.dtype, held.attention,
        )  # fmt: skip


@dataclass(eq=False)
class _State:
    """What is kept for one answer: its own cache while it is alone, its place in a batch otherwise."""

    cache: Any
    length: int
    """Tokens in the cache."""
    prompt_logprobs_of: tuple[TokenLogprob, ...] = ()


@dataclass(eq=False)
class _Batch:
    """Answers that run together: one cache [answers, ...], padded on the left to the longest."""

    jobs: list[Job] = field(default_factory=list)
    cache: Any = None
    width: int = 0


class TransformersEngine:
    """See `studio.serving.engine.Engine`."""

    name = "transformers"

    def __init__(self, weights: Weights, adapters: Mapping[str, Path], context: int) -> None:
        """adapters: variant name to PEFT folder."""
        self.weights, self.adapters, self.context = weights, dict(adapters), context
        self._model: Any = None
        self._inner: Any = None
        self._now = BASE
        self._batches: dict[str, _Batch] = {}
        self._together = True

    def load(self) -> None:
        """Load the base once and every adapter onto it."""
        import torch

        from studio.models import loading

        if self.weights.device == "cpu" and self.weights.threads:
            torch.set_num_threads(self.weights.threads)  # a setting of this very thread
        model = loading.load_base(self.weights.model, self.weights.device, self.weights.base_model)
        for name, folder in self.adapters.items():
            model = loading.attach_adapter(model, folder, name)
        self._model = model.eval()
        self._inner = model.get_base_model() if self.adapters else model
        self._now = next(iter(self.adapters), BASE)
        self._use(BASE)

    def begin(self, job: Job) -> tuple[int, TokenLogprob | None]:
        """Read the prompt, all of it at once."""
        import torch
        from transformers import DynamicCache

        self._use(job.variant)
        with torch.inference_mode():
            ids = torch.tensor([job.prompt], device=self._device)
            cache = DynamicCache(config=self._inner.config)
            keep = {} if job.prompt_logprobs else {"logits_to_keep": 1}
            out = self._inner(
                input_ids=ids, attention_mask=torch.ones_like(ids), past_key_values=cache, use_cache=True,
                **(keep if self._can_keep else {}),
            )  # fmt: skip
            self._together = self._together and _plain(cache)
            job.state = _State(out.past_key_values, len(job.prompt))
            if job.prompt_logprobs:
                job.state.prompt_logprobs_of = _prompt_told(job, out.logits[0])
            return self._choose(out.logits[:, -1, :], [job])[0]

    def prompt_logprobs_of(self, job: Job) -> tuple[TokenLogprob, ...]:
        """The prompt's log-probabilities."""
        return job.state.prompt_logprobs_of if job.state is not None else ()

    def advance(self, jobs: Sequence[Job]) -> list[tuple[int, TokenLogprob | None]]:
        """One forward pass for all, or one each where the model's cache cannot be batched."""
        self._use(jobs[0].variant)
        if not self._together:
            return [self._forward(_Batch([job], job.state.cache, job.state.length))[job] for job in jobs]
        found = self._forward(self._gathered(jobs))
        return [found[job] for job in jobs]

    def end(self, job: Job) -> None:
        """Forget an answer's cache; its row in a batch goes when the batch is next put together."""
        job.state = None
        for name, batch in list(self._batches.items()):
            if all(member.state is None for member in batch.jobs):
                del self._batches[name]

    def close(self) -> None:
        """Drop the weights."""
        self._batches.clear()
        self._model = self._inner = None

    @property
    def _device(self) -> Any:
        return self._inner.get_input_embeddings().weight.device

    @property
    def _can_keep(self) -> bool:
        return bool(self._inner._supports_logits_to_keep())

    def _use(self, variant: str) -> None:
        """Switch to an adapter, or to the base alone."""
        if variant == self._now:
            return
        if variant == BASE:
            self._model.base_model.disable_adapter_layers()
        else:
            if self._now == BASE:
                self._model.base_model.enable_adapter_layers()
            self._model.set_adapter(variant, inference_mode=True)
        self._now = variant

    def _forward(self, batch: _Batch) -> dict[Job, tuple[int, TokenLogprob | None]]:
        import torch

        with torch.inference_mode():
            tokens = torch.tensor([[job.written[-1]] for job in batch.jobs], device=self._device)
            lengths = [job.state.length for job in batch.jobs]
            out = self._inner(
                input_ids=tokens,
                attention_mask=self._mask(lengths, batch.width),
                position_ids=torch.tensor([[length] for length in lengths], device=self._device),
                past_key_values=batch.cache,
                use_cache=True,
            )
            batch.cache, batch.width = out.past_key_values, batch.width + 1
            for job in batch.jobs:
                job.state.length += 1
            return dict(zip(batch.jobs, self._choose(out.logits[:, -1, :], batch.jobs), strict=True))

    def _mask(self, lengths: list[int], width: int) -> Any:
        import torch

        mask = torch.ones((len(lengths), width + 1), dtype=torch.long)
        for row, length in enumerate(lengths):
            mask[row, : width - length] = 0
        return mask.to(self._device)

    def _gathered(self, jobs: Sequence[Job]) -> _Batch:
        """The batch of exactly these jobs: those of the last one that go on, then the new ones."""
        import torch

        name, last = jobs[0].variant, self._batches.get(jobs[0].variant, _Batch())
        if set(last.jobs) == set(jobs):
            return last
        old = [job for job in last.jobs if job.state is not None]
        new = [job for job in jobs if job.state.cache is not None]
        width = max(job.state.length for job in jobs)
        if new and len(jobs) == 1:
            cache = new[0].state.cache
        else:
            rows = [place for place, job in enumerate(last.jobs) if job.state is not None]
            with torch.inference_mode():
                cache = _joined(last.cache if old else None, rows, [job.state.cache for job in new], width)
        for job in new:
            job.state.cache = None
        self._batches[name] = _Batch([*old, *new], cache, width)
        return self._batches[name]

    def _choose(self, logits: torch.Tensor, jobs: Sequence[Job]) -> list[tuple[int, TokenLogprob | None]]:
        """The next tokens; greedy and plainly sampled ones on the device, all others row by row."""
        logits = logits.float()
        plain = [job.plain for job in jobs]
        picks: list[int] = logits.argmax(dim=-1).tolist() if any(plain) else [0] * len(jobs)
        drawn = [place for place, job in enumerate(jobs) if plain[place] and job.sampling.temperature > 0]
        if drawn:
            for place, token in zip(drawn, _draw(logits[drawn], [jobs[place] for place in drawn]), strict=True):
                picks[place] = token
        found: list[tuple[int, TokenLogprob | None]] = [(token, None) for token in picks]
        for place in (place for place in range(len(jobs)) if not plain[place]):
            row, job = logits[place].cpu().numpy(), jobs[place]
            token = sampling.choose(row, job)
            found[place] = (token, sampling.token_logprob(row, token, job.logprobs) if job.logprobs is not None else None)
        return found


def _draw(logits: torch.Tensor, jobs: Sequence[Job]) -> list[int]:
    """Tokens sampled for rows of logits, each by its own generator: `sampling.choose`, on the device."""
    import torch

    device = logits.device
    warmth = torch.tensor([[job.sampling.temperature] for job in jobs], device=device)
    weights = torch.softmax(logits / warmth, dim=-1)
    if any(job.sampling.top_p < 1 for job in jobs):
        share = torch.tensor([[job.sampling.top_p] for job in jobs], device=device)
        best, order = weights.sort(dim=-1, descending=True)
        before = best.cumsum(dim=-1) - best
        cut = (before >= share) & (share < 1)
        cut[:, 0] = False
        weights = weights.scatter(-1, order, best.masked_fill(cut, 0.0))
    sums = weights.double().cumsum(dim=-1)
    places = torch.tensor([[job.random.random()] for job in jobs], device=device, dtype=torch.float64) * sums[:, -1:]
    found = torch.searchsorted(sums, places, right=True).clamp(max=weights.shape[-1] - 1)
    return found[:, 0].tolist()


def _prompt_told(job: Job, logits: torch.Tensor) -> tuple[TokenLogprob, ...]:
    rows: np.ndarray = logits.float().cpu().numpy()
    told = [TokenLogprob(job.prompt[0], None)]
    told += [sampling.token_logprob(rows[place], token, job.logprobs or 0) for place, token in enumerate(job.prompt[1:])]
    return tuple(told)


def _plain(cache: Any) -> bool:
    """True if the cache is keys and values of every token in every layer, so that rows can be put together."""
    return all(type(layer).__name__ == "DynamicLayer" for layer in cache.layers)


def _joined(last: Any, rows: list[int], new: Sequence[Any], width: int) -> Any:
    """One cache of some rows of the last one and of new ones, each padded on the left to `width`."""
    import torch
    from transformers.cache_utils import DynamicCache, DynamicLayer

    joined, layers = DynamicCache(), []
    for place in range(len((last or new[0]).layers)):
        layer = DynamicLayer()
        for name in ("keys", "values"):
            parts = [_fitted(getattr(cache.layers[place], name), width) for cache in new]
            if last is not None:
                before = _fitted(getattr(last.layers[place], name), width)
                parts.insert(0, before if len(rows) == len(before) else before[rows])
            whole = parts[0] if len(parts) == 1 else torch.cat(parts)
            if not layer.is_initialized:
                layer.lazy_initialization(whole, whole)
            setattr(layer, name, whole)
        layers.append(layer)
    joined.layers = layers
    return joined


def _fitted(tensor: torch.Tensor, width: int) -> Any:
    """Keys or values [answers, heads, tokens, ...] with padding put on or taken off on the left."""
    import torch

    there = tensor.shape[-2]
    return tensor[:, :, there - width :] if there >= width else torch.nn.functional.pad(tensor, (0, 0, width - there, 0))
