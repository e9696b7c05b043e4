"""How near a Core ML package must answer to base + adapter, with reasons."""

from __future__ import annotations

from studio.export.verification.limits import EXACT, Limits

LIMITS = {
    "fp16": EXACT,
    "int4": Limits(0.5, None, 0.7, 0.5, "4 bit with a scale every 32 weights: a loss is usual and larger for small models"),
}
