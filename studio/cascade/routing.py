"""Which model answers a request that came: the rule alone, without a network."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from studio.cascade import signals
from studio.cascade.calibration import Calibration
from studio.cascade.risk import binomial_cdf
from studio.remote.completion import TokenChoice

Never = Literal["pii"]
"""What is never sent to the large model: questions with personal data."""

WINDOW = 200
"""Requests that drift is measured over."""
RARE = 0.05
"""Probability below which a window does not look like the calibration rows."""
PAUSE = 30.0
"""Seconds for which the large model is not asked after it did not answer."""


@dataclass(frozen=True)
class Assessment:
    """What the small model's answer is worth. escalate: it should be the large model's."""

    signal: float
    confidence: float
    escalate: bool


@dataclass(frozen=True)
class Rules:
    """How the cascade is served. shadow: the large model answers everything, and what would have stayed local is counted."""

    never: tuple[Never, ...] = ()
    shadow: bool = False


def assess(calibration: Calibration, tokens: Sequence[TokenChoice] | None) -> Assessment:
    """The assessment on an answer by its log-probabilities. Without any it is escalated."""
    value = signals.read(tokens)[calibration.signal]
    confidence = float(calibration.confidence(np.array([value]))[0])
    return Assessment(value, confidence, not bool(calibration.is_local(np.array([value]))[0]) or not tokens)


def private(messages: Sequence[Mapping[str, Any]], rules: Rules) -> bool:
    """Whether a conversation must not leave this machine."""
    if "pii" not in rules.never:
        return False
    from studio.data.checks import personal

    return any(personal.spans(str(message.get("content") or "")) for message in messages)


class Breaker:
    """Lets the large model rest after it did not answer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._until = clock, 0.0

    @property
    def open(self) -> bool:
        """It is not asked now."""
        return self._clock() < self._until

    def failed(self) -> None:
        """It did not answer."""
        self._until = self._clock() + PAUSE


@dataclass
class Drift:
    """Whether what comes still looks like the calibration rows: share escalated, and the middle of the signal.

    Both have a band that 90 % of the windows of calibration-like questions stay in.
    """

    calibration: Calibration
    window: int = WINDOW
    _seen: deque[Assessment] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, assessment: Assessment) -> None:
        """Count a request."""
        with self._lock:
            self._seen.append(assessment)
            if len(self._seen) > self.window:
                self._seen.popleft()

    @property
    def alarm(self) -> str:
        """What has drifted, as a sentence; empty while all is as calibrated or too few requests came."""
        with self._lock:
            seen = list(self._seen)
        if len(seen) < self.window:
            return ""
        escalated = sum(assessment.escalate for assessment in seen)
        _, low, high = self.calibration.share_local
        share = (
            f"{escalated / len(seen):.0%} of the last {len(seen)} questions were escalated, {1 - high:.0%} to {1 - low:.0%} "
        )
        share += "when calibrated"
        if binomial_cdf(escalated, len(seen), 1 - high) < RARE:
            return f"{share}: the questions have become easier, or the small model is overconfident."
        if 1 - binomial_cdf(escalated - 1, len(seen), 1 - low) < RARE:
            return f"{share}: the questions have changed. Calibrate again with new ones."
        middle, low, high = float(np.median([assessment.signal for assessment in seen])), *self._band(len(seen))
        if not low <= middle <= high:
            return f"the median of the signal is {middle:.3f}; at calibration it was {low:.3f} to {high:.3f}. Calibrate again."
        return ""

    def _band(self, rows: int) -> tuple[float, float]:
        """Where the median of so many calibration-like questions lies, nine times in ten: order statistics of the quantiles."""
        spread = 1.645 * 0.5 / np.sqrt(rows) * 100
        # the calibration rows are a sample as well
        spread = float(np.hypot(spread, 1.645 * 0.5 / np.sqrt(self.calibration.threshold.rows) * 100))
        low, high = np.interp([50 - spread, 50 + spread], np.arange(0, 101, 5), self.calibration.values)
        return float(low), float(high)
