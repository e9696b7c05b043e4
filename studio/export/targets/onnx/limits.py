"""How near an ONNX model must answer to base + adapter, with reasons."""

from __future__ import annotations

from studio.export.verification.limits import EXACT, Limits

LIMITS = {
    "fp32": EXACT,
    "fp16": Limits(5e-3, 5e-2, 0.97, 0.75, "no quantisation; sums in 16 bit, whose rounding is as small as that of saving"),
    "int8": Limits(5e-2, 0.5, 0.9, 0.75, "8 bit with a scale every 32 weights: hardly any loss is usual"),
    "int4": Limits(0.5, None, 0.7, 0.5, "4 bit with a scale every 32 weights: a loss is usual; it must not hide the tuning"),
}
