"""Rows far longer, and answers far shorter, than the others."""

from __future__ import annotations

from array import array

import numpy as np

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.tracking.reporter import Reporter

SPREADS = 6.0
"""Median deviations of the logarithm of the length, beyond which a row is an outlier."""
LEAST_SPREAD = 0.35
"""The deviation counted at least: rows of much the same length do not make twice the length an outlier."""
ROWS = 20
"""Rows that are needed to speak of a usual length."""
_BATCH = 256


class Lengths:
    """Keeps a number a row: its tokens by the model's tokenizer, or estimated at four bytes each."""

    def __init__(self) -> None:
        self._tokens, self._answers = array("I"), array("I")
        self._waiting: list[str] = []
        self._exact = False

    def add(self, said: Said) -> None:
        """Count the tokens of a row."""
        self._answers.append(min(len(said.answer.strip()), 0xFFFFFFFF))
        count = said.options.count_tokens
        if count is None:
            size = len(said.whole) if said.ascii else len(said.whole.encode("utf-8", "replace"))
            self._tokens.append(min(-(-size // 4), 0xFFFFFFFF))
            return
        self._exact, self._count = True, count
        self._waiting.append(said.whole)
        if len(self._waiting) >= _BATCH:
            self._take()

    def _take(self) -> None:
        if self._waiting:
            self._tokens.extend(self._count(self._waiting))
            self._waiting = []

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """Rows of an unusual length, and answers of next to nothing."""
        self._take()
        tokens, answers = (np.frombuffer(sizes, dtype=np.uint32) for sizes in (self._tokens, self._answers))
        if len(tokens) < ROWS:
            return CheckResult(())
        logs = np.log(np.maximum(tokens, 1))
        usual = float(np.median(logs))
        spread = max(float(np.median(np.abs(logs - usual))), LEAST_SPREAD)
        limit = np.exp(usual + SPREADS * spread)
        long = tokens > limit
        empty = (answers <= 1) & (float(np.median(answers)) >= 20)
        about = "" if self._exact else "about "
        message = f"rows are of an unusual length (over {about}{limit:,.0f} tokens, or an answer of one character; half of the "
        message += f"rows have at most {about}{np.exp(usual):,.0f} tokens)"
        return CheckResult(
            np.flatnonzero(long | empty).tolist(),
            lambda index: f"{about}{tokens[index]:,} tokens: {texts.spoken(index)}",
            message,
        )


CHECK = Check(
    "length_outliers",
    "warning",
    "rows are of an unusual length",
    f"fewer than {ROWS} rows; whether a long row fits the model's longest row, which the plan says",
    scan=Lengths,
)
