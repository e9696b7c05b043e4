"""The number formats of GGUF files: bits a weight takes, and which formats llama.cpp falls back to for narrow matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from studio.hardware.dims import ModelDims

Quant = Literal["f16", "q8_0", "q6_k", "q5_k_m", "q4_k_m"]

BITS: dict[Quant, float] = {"f16": 16.0, "q8_0": 8.5, "q6_k": 6.6, "q5_k_m": 5.7, "q4_k_m": 4.9}
"""Bits a weight takes in the file, scales included: the mean over a usual model, whose embeddings are kept finer."""
BLOCK = 256
"""Weights in a block of a K-quant: llama.cpp takes another format for a matrix whose rows are no multiple of it."""
_COARSE: dict[str, tuple[float, float]] = {"q6_k": (6.5625, 8.5), "q5_k_m": (5.5, 6.0), "q4_k_m": (4.5, 5.5)}
"""Bits of a format's usual weights: in blocks of 256, and in the format llama.cpp takes for rows that do not divide."""
_FINE = (6.5625, 8.5)
"""Likewise of the weights it keeps finer: the output matrix, and half of the value and down projections."""


def fallback_share(dims: ModelDims, quant: Quant) -> float:
    """The share of the weights in matrices whose rows are no multiple of 256, which a K-quant stores in more bits."""
    if quant not in _COARSE:
        return 0.0
    narrow = sum(inputs * outputs for inputs, outputs in dims.linears.values() if inputs % BLOCK) * dims.layers
    narrow += (dims.embedding + dims.head) if dims.hidden % BLOCK else 0
    return narrow / dims.parameters


def bits_per_weight(dims: ModelDims, quant: Quant) -> float:
    """Bits a weight takes on average in a file of a model of these dimensions, scales and fallbacks included."""
    if quant not in _COARSE:
        return BITS[quant]
    bits = 0.0
    for name, (inputs, outputs) in dims.linears.items():
        narrow = bool(inputs % BLOCK)
        coarse, fine = _COARSE[quant][narrow], _FINE[narrow]
        usual = (coarse + fine) / 2 if name in ("v_proj", "down_proj") else coarse
        bits += usual * inputs * outputs * dims.layers
    narrow = bool(dims.hidden % BLOCK)
    output = _FINE[narrow]
    bits += dims.embedding * (_COARSE[quant][narrow] if dims.head else output) + dims.head * output
    counted = sum(inputs * outputs for inputs, outputs in dims.linears.values()) * dims.layers + dims.embedding + dims.head
    return bits / counted if not dims.experts else BITS[quant]


def fallback_note(dims: ModelDims, quant: Quant) -> str:
    """What to know of a K-quant of a narrow model before it is made; empty where nearly all of it is in its own format."""
    share = fallback_share(dims, quant)
    if share < 0.1:
        return ""
    bits, usual = bits_per_weight(dims, quant), BITS[quant]
    return (
        f"{quant} takes {bits:.1f} bits a weight in this model, not {usual:.1f}: {share:.0%} of its weights are in matrices "
        f"whose rows ({dims.hidden:,}) are no multiple of {BLOCK}, which llama.cpp stores in more bits"
    )
