"""The number formats of GGUF files that the studio makes."""

from __future__ import annotations

from typing import Literal

Quant = Literal["f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m"]

BITS: dict[Quant, float] = {"f16": 16.0, "q8_0": 8.5, "q6_k": 6.6, "q5_k_m": 5.7, "q4_k_m": 4.9}
"""Bits a weight takes in the file, scales included: the mean over a usual model, whose embeddings are kept finer."""
