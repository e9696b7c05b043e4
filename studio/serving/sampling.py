"""The next token from one row of logits: constraint, penalties, temperature, nucleus; and what is told about it.

Sampling is by inversion: one uniform number per token, drawn from the request's own generator, so that a seed gives the
same answer whatever else the server is doing.
"""

from __future__ import annotations

import numpy as np

from studio.serving.job import Job, Told


def choose(row: np.ndarray, job: Job) -> int:
    """The next token of a job; row: float32 [vocabulary], not changed."""
    logits = adjusted(row, job)
    if job.sampling.temperature <= 0:
        return int(np.argmax(logits))
    scaled = (logits - logits.max()) / job.sampling.temperature
    weights = np.exp(scaled, dtype=np.float64)
    if job.sampling.top_p < 1:
        weights = nucleus(weights, job.sampling.top_p)
    sums = np.cumsum(weights)
    return int(min(np.searchsorted(sums, job.random.random() * sums[-1], side="right"), np.flatnonzero(weights)[-1]))


def adjusted(row: np.ndarray, job: Job) -> np.ndarray:
    """The logits with bias and penalties added and what the constraint forbids taken out."""
    if job.plain:
        return row
    sampling, logits = job.sampling, row.astype(np.float32, copy=True)
    for token, value in sampling.bias.items():
        if 0 <= token < len(logits):
            logits[token] += value
    if (sampling.presence or sampling.frequency) and job.written:
        tokens, counts = np.unique(np.asarray(job.written), return_counts=True)
        logits[tokens] -= sampling.presence + sampling.frequency * counts
    if job.constraint is not None:
        allowed = job.constraint.allowed(len(logits))
        logits[~allowed] = -np.inf
    return logits


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


def tell(row: np.ndarray, token: int, top: int) -> Told:
    """The log-probability of a token and of the `top` likeliest; row: logits [vocabulary]."""
    logits = row.astype(np.float64)
    logits -= logits.max()
    logs = logits - np.log(np.exp(logits).sum())
    likeliest: tuple[tuple[int, float], ...] = ()
    if top:
        best = np.argpartition(logs, len(logs) - top)[len(logs) - top :]
        best = best[np.lexsort((best, -logs[best]))]
        likeliest = tuple((int(place), float(logs[place])) for place in best)
    return Told(int(token), float(logs[token]), likeliest)
