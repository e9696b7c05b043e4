"""How near a 4-bit model folder must answer to base + adapter, with reasons."""

from __future__ import annotations

from studio.export.verification.limits import Limits

LIMITS = Limits(0.5, None, 0.7, 0.5, "4 bit with a scale every 128 weights: a loss is usual; it must not hide the tuning")
