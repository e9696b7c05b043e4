"""How near a .pte program must answer to base + adapter, with reasons."""

from __future__ import annotations

from studio.export.verification.limits import EXACT, Limits

LIMITS = {
    "fp32": EXACT,
    "8da8w": Limits(0.1, 1.0, 0.85, 0.75, "8 bit with a scale per row, activations in 8 bit too: a small loss is usual"),
    "8da4w": Limits(0.5, None, 0.7, 0.5, "4 bit, activations in 8 bit: a loss is usual; it must not hide the tuning"),
}
