"""What each figure is: its name for people, which way is better, how it is written, and its formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from studio.evaluation.interval import Estimate


@dataclass(frozen=True)
class Metric:
    """A figure of the report. unit: `share` is written as a percentage, its change in percentage points."""

    name: str
    label: str
    better: Literal["higher", "lower", "neither"]
    unit: Literal["share", "number", "tokens"]
    formula: str

    def show(self, value: float) -> str:
        """The value as people read it: 96 %, 0.1623, 12.4."""
        if self.unit == "share":
            return f"{_round(value * 100)} %"
        if self.unit == "tokens":
            return f"{value:,.1f}"
        return _significant(value)

    def show_change(self, value: float) -> str:
        """The change with its sign: +94 points, -0.878."""
        if self.unit == "share":
            return f"{_signed(value * 100)} points"
        return f"{value:+,.1f}" if self.unit == "tokens" else _significant(value, "+")

    def show_interval(self, found: Estimate, *, change: bool = False) -> str:
        """The interval: `90 to 98`, or why there is none."""
        if found.low is None or found.high is None:
            return "no interval from one row"
        if self.unit == "share":
            spell = _signed if change else _round
            return f"{spell(found.low * 100)} to {spell(found.high * 100)}"
        if change:
            return f"{self.show_change(found.low)} to {self.show_change(found.high)}"
        return f"{self.show(found.low)} to {self.show(found.high)}"

    def gained(self, change: Estimate) -> bool:
        """The change is for the better, beyond its interval."""
        return change.above_zero if self.better == "higher" else self.better == "lower" and change.below_zero

    def lost(self, change: Estimate) -> bool:
        """The change is for the worse, beyond its interval."""
        return change.below_zero if self.better == "higher" else self.better == "lower" and change.above_zero


def _round(points: float) -> str:
    """Whole points, with a decimal only next to 0 and 100 where it matters."""
    near_edge = 0 < abs(points) < 1 or 99 < abs(points) < 100
    text = f"{points:.1f}" if near_edge else f"{points:.0f}"
    return "0" if text in ("-0", "0.0", "-0.0") else "100" if text == "100.0" else text


def _significant(value: float, sign: str = "") -> str:
    """Three decimals below 10, three digits below 1,000, whole numbers above, powers of ten for what is absurd."""
    size = abs(value)
    kind = ".3f" if size < 10 else ".1f" if size < 100 else ",.0f" if size < 1e6 else ".1e"
    return format(value, sign + kind)


def _signed(points: float) -> str:
    text = _round(points)
    return text if text.startswith("-") or text == "0" else f"+{text}"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "exact_match", "Exact match", "higher", "share", "share of answers equal to the reference, character by character"
        ),
        Metric(
            "normalised_match",
            "Normalised match",
            "higher",
            "share",
            "the same without case, punctuation and articles (SQuAD, Rajpurkar et al. 2016)",
        ),
        Metric("token_f1", "Token F1", "higher", "share", "2PR / (P + R) over the words shared with the reference (SQuAD)"),
        Metric("rouge_l", "ROUGE-L", "higher", "share", "F-measure of the longest common subsequence of words (Lin 2004)"),
        Metric("loss", "Loss", "lower", "number", "mean negative log-likelihood of the reference's tokens, in nats"),
        Metric("perplexity", "Perplexity", "lower", "number", "exp(loss)"),
        Metric(
            "token_accuracy",
            "Token accuracy",
            "higher",
            "share",
            "share of the reference's tokens that were the model's first choice",
        ),
        Metric(
            "pair_accuracy",
            "Preferred answer likelier",
            "higher",
            "share",
            "share of preference pairs whose preferred answer has the higher mean log p a token",
        ),
        Metric(
            "logp_chosen",
            "log p of preferred answers",
            "higher",
            "number",
            "mean sum of log p over a preferred answer, in nats",
        ),
        Metric("logp_rejected", "log p of rejected answers", "neither", "number", "the same of the rejected answers"),
        Metric("answer_tokens", "Answer length (tokens)", "neither", "tokens", "mean number of tokens generated"),
        Metric("stop_rate", "Stopped by itself", "higher", "share", "share of answers that ended before the limit on tokens"),
    )
}
"""Every figure, in the order of the report."""

PAIR_METRICS = ("pair_accuracy", "logp_chosen", "logp_rejected")
"""Those of preference pairs."""
TEXT_METRICS = ("exact_match", "normalised_match", "token_f1", "rouge_l")
"""Those that need only the reference and the answer as text."""
