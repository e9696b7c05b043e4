"""Preference pairs and labelled answers, counted while rows go by: is what is preferred merely longer, is one kind rare?"""

from __future__ import annotations

from dataclasses import dataclass

from studio.data.findings import Finding
from studio.data.rows import Conversation

LONGER = 0.7
"""Share of pairs whose preferred answer is the longer (or the shorter) one, from which length itself may be learned."""
RARE = 0.1
"""Share of good or of bad answers below which one kind is rare."""


@dataclass
class AnswerCounts:
    """Counts over preference pairs and labelled answers."""

    pairs: int = 0
    longer: int = 0
    """Pairs whose preferred answer has more words."""
    shorter: int = 0
    chosen_words: int = 0
    rejected_words: int = 0
    good: int = 0
    bad: int = 0

    def add(self, conversation: Conversation) -> None:
        """Look at a usable row."""
        if conversation.good is not None:
            self.good += conversation.good
            self.bad += not conversation.good
        if conversation.rejected is None:
            return
        chosen, rejected = len(conversation.answer.split()), len(str(conversation.rejected.get("content") or "").split())
        self.pairs += 1
        self.longer += chosen > rejected
        self.shorter += chosen < rejected
        self.chosen_words += chosen
        self.rejected_words += rejected

    def findings(self) -> tuple[Finding, ...]:
        """What is to be known of them before they are learned from."""
        return (*self._of_pairs(), *self._of_labels())

    def _of_pairs(self) -> tuple[Finding, ...]:
        if not self.pairs:
            return ()
        more = max(self.longer, self.shorter)
        kind = "longer" if self.longer >= self.shorter else "shorter"
        message = (
            f"the preferred answer is the {kind} one ({self.chosen_words / self.pairs:.0f} words on average, the rejected one "
            f"{self.rejected_words / self.pairs:.0f})"
        )
        if biased := more / self.pairs > LONGER:
            message += ": length may be learned before anything else"
        severity = "warning" if biased else "info"
        return (
            Finding(
                check="answer_length", severity=severity, message=message, count=more, share=more / self.pairs, unit="pair"
            ),
        )

    def _of_labels(self) -> tuple[Finding, ...]:
        labelled = self.good + self.bad
        if not labelled:
            return ()
        share, severity = min(self.good, self.bad) / labelled, "info"
        message = f"{self.good:,} answers are labelled good and {self.bad:,} bad"
        if share < RARE:
            severity, message = "warning", f"{message}: hardly anything is learned from so few of one kind"
        return (Finding(check="labels", severity=severity, message=message, count=labelled, share=1.0, unit="answer"),)
