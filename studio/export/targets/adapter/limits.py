"""How near a PEFT folder must answer to base + adapter, with reasons."""

from __future__ import annotations

from studio.export.verification.limits import Limits

LIMITS = Limits(1e-4, 1e-3, 0.99, 0.9, "the same computation after a reload: only the order of sums may differ")
