"""The ranks of adapters that vLLM can load."""

from __future__ import annotations

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Those it has kernels for; an adapter is served under the next larger one."""


def rank_for(rank: int) -> int:
    """The least rank with kernels that holds an adapter of this one; itself where there is none."""
    return next((known for known in RANKS if known >= rank), rank)
