"""How near an artefact must answer to base + adapter, by format: the one place where thresholds stand, with reasons.

KL is the mean over teacher-forced answer tokens of KL(reference || artefact) in nats. Top-1 is the share of those tokens
on which both would choose the same next token, ties apart. Greedy answers may fork at a near tie: they are shown, not
judged, but whether they end is.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.export.artifacts.manifest import Check

EVIDENCE = 0.05
"""Most the metric that the run's verdict reads may lose on the rows asked again, of 1: an artefact fails if the whole 95 %
interval of the paired change lies below it. So a real loss of more than five points fails, and bad luck on few rows does
not: the fewer the rows, the wider the interval. One rule for all formats, since whoever ships the file promises what the
evaluation found, in however many bits."""


@dataclass(frozen=True)
class Limits:
    """The most an artefact may differ. None: reported, not judged."""

    kl: float
    kl_p99: float | None
    top1: float | None
    ends: float | None
    why: str
    evidence: float | None = EVIDENCE


ADAPTER = Limits(1e-4, 1e-3, 0.99, 0.9, "the same computation after a reload: only the order of sums may differ")
MERGED = Limits(5e-3, 5e-2, 0.97, 0.75, "merged into the very weights trained on: what is left is rounding as it is saved")
ORIGINAL = Limits(
    1.0, None, None, None, "the base's own weights are not the quantised ones trained on: stated, not judged", evidence=None
)
GGUF = {
    "f16": Limits(5e-3, 5e-2, 0.97, 0.75, "no quantisation: more than rounding would be a fault of the conversion"),
    "q8_0": Limits(5e-2, 0.5, 0.9, 0.75, "8 bit with a scale every 32 weights: hardly any loss is usual"),
    "q6_k": Limits(0.1, 1.0, 0.85, 0.75, "6.6 bits a weight: near 8 bit, a little more loss in small models"),
    "q5_k_m": Limits(0.2, None, 0.8, 0.6, "5 to 6 bits: between 4 bit, whose loss shows, and 6, whose loss hardly does"),
    "q4_k_m": Limits(0.5, None, 0.7, 0.5, "4 bit: a loss is usual and larger for small models; it must not hide the tuning"),
}
FOUR_BIT = Limits(0.5, None, 0.7, 0.5, "4 bit with a scale every 128 weights: a loss is usual; it must not hide the tuning")
LITERT = {
    "fp32": Limits(5e-3, 5e-2, 0.97, 0.75, "no quantisation: more than rounding would be a fault of the conversion"),
    "int8": Limits(0.1, 1.0, 0.85, 0.75, "8 bit with a scale per row, activations in 8 bit too: a small loss is usual"),
}
EXECUTORCH = {
    "fp32": Limits(5e-3, 5e-2, 0.97, 0.75, "no quantisation: more than rounding would be a fault of the conversion"),
    "8da8w": Limits(0.1, 1.0, 0.85, 0.75, "8 bit with a scale per row, activations in 8 bit too: a small loss is usual"),
    "8da4w": Limits(0.5, None, 0.7, 0.5, "4 bit, activations in 8 bit: a loss is usual; it must not hide the tuning"),
}
ONNX = {
    "fp32": Limits(5e-3, 5e-2, 0.97, 0.75, "no quantisation: more than rounding would be a fault of the conversion"),
    "fp16": Limits(5e-3, 5e-2, 0.97, 0.75, "no quantisation; sums in 16 bit, whose rounding is as small as that of saving"),
    "int8": Limits(5e-2, 0.5, 0.9, 0.75, "8 bit with a scale every 32 weights: hardly any loss is usual"),
    "int4": Limits(0.5, None, 0.7, 0.5, "4 bit with a scale every 32 weights: a loss is usual; it must not hide the tuning"),
}
COREML = {
    "fp16": Limits(5e-3, 5e-2, 0.97, 0.75, "no quantisation: more than rounding would be a fault of the conversion"),
    "int4": Limits(0.5, None, 0.7, 0.5, "4 bit with a scale every 32 weights: a loss is usual and larger for small models"),
}
CONVERSION = 1e-3
"""Most KL of an f16 file to the merged model computed in float32."""


def checks(limits: Limits, *, kl: float, p99: float, top1: float, ends: float, effect: float) -> list[Check]:
    """The judged figures. effect: KL of the untuned base, the scale on which a loss is small or large."""
    return [
        _most("kl_mean", kl, limits.kl, f"mean KL to base + adapter, nats per answer token; {limits.why}"),
        _most("kl_p99", p99, limits.kl_p99, "the worst hundredth of answer tokens"),
        _least("top1_agreement", top1, limits.top1, "answer tokens on which both choose the same token, or one within 0.1 nat"),
        _least("ends_itself", ends, limits.ends, "of the answers base + adapter ended by itself, those the artefact ended too"),
        _most(
            "kl_over_tuning",
            kl / effect if effect > 0 else 0.0,
            None if kl <= limits.kl / 10 else 0.9,
            f"its KL over that of the untuned base ({effect:.3g}): at 1 the conversion would lose as much as the tuning won",
        ),
    ]


def _most(name: str, value: float, limit: float | None, explanation: str) -> Check:
    return Check(name, value, limit, limit is None or value <= limit, explanation)


def _least(name: str, value: float, limit: float | None, explanation: str) -> Check:
    return Check(name, value, limit, limit is None or value >= limit, explanation)
