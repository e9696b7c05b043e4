"""The next token from one row of logits: constraint, penalties, temperature, nucleus; and its log-probability.

Sampling is by inversion: one uniform number per token, drawn from the request's own generator, so that a seed gives the
same answer whatever else the server is doing.
"""

from __future__ import annotations

import numpy as np

from studio.serving.job import Job, TokenLogprob


def choose(row: np.ndarray, job: Job) -> int:
    """The next token of a job; row: float32 [vocabulary], not changed."""
    logits, settings = adjusted(row, job), job.sampling
    if settings.temperature <= 0:
        return int(np.argmax(logits))
    scaled = (logits - logits.max()) / settings.temperature
    weights = np.exp(scaled, dtype=np.float64)
    if 0 < settings.top_k < len(weights):
        weights = likeliest(weights, settings.top_k)
    if settings.top_p < 1:
        weights = nucleus(weights, settings.top_p)
    if settings.min_p > 0:
        weights = np.where(weights >= settings.min_p * weights.max(), weights, 0.0)
    sums = np.cumsum(weights)
    return int(min(np.searchsorted(sums, job.random.random() * sums[-1], side="right"), np.flatnonzero(weights)[-1]))


def adjusted(row: np.ndarray, job: Job) -> np.ndarray:
    """The logits with bias and penalties added and what the constraint forbids taken out."""
    if job.plain:
        return row
    settings, logits = job.sampling, row.astype(np.float32, copy=True)
    if settings.repetition != 1.0:
        seen = np.unique(np.asarray([*job.prompt, *job.written]))
        seen = seen[seen < len(logits)]
        logits[seen] = np.where(logits[seen] > 0, logits[seen] / settings.repetition, logits[seen] * settings.repetition)
    for token, value in settings.bias.items():
        if 0 <= token < len(logits):
            logits[token] += value
    if (settings.presence or settings.frequency) and job.written:
        tokens, counts = np.unique(np.asarray(job.written), return_counts=True)
        logits[tokens] -= settings.presence + settings.frequency * counts
    if job.constraint is not None:
        allowed = job.constraint.allowed(len(logits))
        logits[~allowed] = -np.inf
    return logits


def likeliest(weights: np.ndarray, count: int) -> np.ndarray:
    """The weights of the `count` likeliest tokens, and zero for the others."""
    best = np.argpartition(weights, len(weights) - count)[len(weights) - count :]
    cut = np.zeros_like(weights)
    cut[best] = weights[best]
    return cut


def nucleus(weights: np.ndarray, top_p: float) -> np.ndarray:
    """The weights without the tail: the fewest likeliest tokens whose share reaches top_p (Holtzman et al. 2020)."""
    total = weights.sum()
    count = min(256, len(weights))
    while True:  # the nucleus is nearly always small: sort only the likeliest
        best = np.argpartition(weights, len(weights) - count)[len(weights) - count :]
        best = best[np.argsort(-weights[best], kind="stable")]
        before = np.cumsum(weights[best]) - weights[best]
        if count == len(weights) or before[-1] >= top_p * total:
            break
        count = min(count * 8, len(weights))
    kept = best[before < top_p * total]
    kept = kept if len(kept) else best[:1]
    cut = np.zeros_like(weights)
    cut[kept] = weights[kept]
    return cut


def token_logprob(row: np.ndarray, token: int, top: int) -> TokenLogprob:
    """The log-probability of a token and of the `top` likeliest; row: logits [vocabulary]."""
    logits = row.astype(np.float64)
    logits -= logits.max()
    logs = logits - np.log(np.exp(logits).sum())
    alternatives: tuple[tuple[int, float], ...] = ()
    if top:
        best = np.argpartition(logs, len(logs) - top)[len(logs) - top :]
        best = best[np.lexsort((best, -logs[best]))]
        alternatives = tuple((int(index), float(logs[index])) for index in best)
    return TokenLogprob(int(token), float(logs[token]), alternatives)
