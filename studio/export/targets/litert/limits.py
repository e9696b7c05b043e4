"""How near a .tflite must answer to base + adapter, with reasons."""

from __future__ import annotations

from studio.export.verification.limits import EXACT, Limits

LIMITS = {
    "fp32": EXACT,
    "int8": Limits(0.1, 1.0, 0.85, 0.75, "8 bit with a scale per row, activations in 8 bit too: a small loss is usual"),
}
