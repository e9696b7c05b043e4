"""How near a GGUF file must answer to base + adapter, with reasons."""

from __future__ import annotations

from studio.export.verification.limits import EXACT, Limits

LIMITS = {
    "f16": EXACT,
    "q8_0": Limits(5e-2, 0.5, 0.9, 0.75, "8 bit with a scale every 32 weights: hardly any loss is usual"),
    "q6_k": Limits(0.1, 1.0, 0.85, 0.75, "6.6 bits a weight: near 8 bit, a little more loss in small models"),
    "q5_k_m": Limits(0.2, None, 0.8, 0.6, "5 to 6 bits: between 4 bit, whose loss shows, and 6, whose loss hardly does"),
    "q4_k_m": Limits(0.5, None, 0.7, 0.5, "4 bit: a loss is usual and larger for small models; it must not hide the tuning"),
}
