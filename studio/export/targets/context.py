"""How many tokens a format is made for whose cache has its size from the start: decided from the run, with the reason.

Prompt and answer share it. It cannot be changed afterwards, and its memory is taken at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.core.errors import ExportError
from studio.core.text import count
from studio.export.merging.source import Source

STEP = 256
LEAST = 1024
"""A chat of a few turns, however short the rows."""
USUAL_MOST = 4096
"""Phones take the memory of the cache at once: more only if a row trained on is longer, or if it is asked for."""


@dataclass(frozen=True)
class Context:
    """Tokens of prompt and answer together, and why so many."""

    tokens: int
    why: str


def context(source: Source, requested: int | None = None, reach: int | None = None) -> Context:
    """The tokens to make the cache for. reach: a bound of the format's own, besides that of the model.

    Raises ExportError for more than the model's context length.
    """
    longest = int(getattr(source.base_config, "max_position_embeddings", 0)) or (1 << 20)
    bound = min(longest, reach or longest)
    if requested and requested > bound:
        raise ExportError(
            f"a context of {count(requested)} tokens was asked for and the model takes {count(bound)}",
            hint=f"Ask for at most {bound}, or leave it empty.",
            where="context",
        )
    if requested:
        return Context(requested, "as asked for")
    wanted = max(LEAST, min(2 * source.longest, USUAL_MOST), source.longest)
    tokens = min(-(-wanted // STEP) * STEP, bound)
    if tokens == bound:
        return Context(tokens, "as many as the model was made for")
    if wanted == LEAST:
        return Context(tokens, "a chat of several turns; the rows trained on need less")
    return Context(
        tokens, f"about twice the longest row trained on ({count(source.longest)} tokens), at most {count(USUAL_MOST)}"
    )
