"""How near an artifact must answer to base + adapter. Each target has its thresholds, with reasons, in its `limits.py`.

KL is the mean over teacher-forced answer tokens of KL(reference || artifact) in nats. Top-1 is the share of those tokens
on which both would choose the same next token, ties apart. Greedy answers may fork at a near tie: they are shown, not
judged, but whether they end is.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.export.verification.result import Check

EVIDENCE = 0.05
"""Most the metric that the run's verdict reads may lose on the rows asked again, of 1: an artifact fails if the whole 95 %
interval of the paired change lies below it. So a real loss of more than five points fails, and bad luck on few rows does
not: the fewer the rows, the wider the interval. One rule for all formats, since whoever ships the file promises what the
evaluation found, in however many bits."""


@dataclass(frozen=True)
class Limits:
    """The most an artifact may differ. None: reported, not judged."""

    kl: float
    kl_p99: float | None
    top1: float | None
    ends: float | None
    why: str
    evidence: float | None = EVIDENCE


ORIGINAL = Limits(
    1.0, None, None, None, "the base's own weights are not the quantised ones trained on: stated, not judged", evidence=None
)
EXACT = Limits(5e-3, 5e-2, 0.97, 0.75, "no quantisation: more than rounding would be a fault of the conversion")
CONVERSION = 1e-3
"""Most KL of an f16 file to the merged model computed in float32."""


def checks(limits: Limits, *, kl: float, p99: float, top1: float, ends: float, effect: float) -> list[Check]:
    """The judged figures. effect: KL of the untuned base, the scale on which a loss is small or large."""
    return [
        _most("kl_mean", kl, limits.kl, f"mean KL to base + adapter, nats per answer token; {limits.why}"),
        _most("kl_p99", p99, limits.kl_p99, "the worst hundredth of answer tokens"),
        _least("top1_agreement", top1, limits.top1, "answer tokens on which both choose the same token, or one within 0.1 nat"),
        _least("ends_itself", ends, limits.ends, "of the answers base + adapter ended by itself, those the artifact ended too"),
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
