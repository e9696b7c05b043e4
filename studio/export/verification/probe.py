"""The questions every artifact of a run is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from studio.data.rows import Conversation

if TYPE_CHECKING:
    from studio.export.verification.evidence import Evidence
    from studio.export.verification.result import Verification

QUESTIONS = (
    "Hello! Who are you?",
    "What can you help me with?",
    "Please answer in one sentence: why is the sky blue?",
    "Give me three tips for a good night's sleep.",
)
"""Asked where a run has no held-out rows."""


CONVERSATIONS = 12
"""Held-out conversations that are compared token by token."""


def spread(rows: Sequence[Conversation], count: int = CONVERSATIONS) -> list[Conversation]:
    """`count` of the rows, spread evenly over all of them: neighbours in a file are often about one thing."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(index * (len(rows) - 1) / (count - 1))] for index in range(count)]


@dataclass(frozen=True)
class Probe:
    """Held-out conversations that every artefact is asked, and whose answers it must give as the adapter does."""

    conversations: list[Conversation]
    evidence: Evidence | None = None
    """What the run's evaluation measured, to be measured again on every artefact; None where it answered no rows."""
    general: tuple[Evidence, ...] = ()
    """What decides nothing of its verdict: the sets under `evaluation.also`, general questions and general text."""

    @property
    def sets(self) -> tuple[Evidence, ...]:
        """All that is measured again, the set that decides first."""
        return (*([self.evidence] if self.evidence else []), *self.general)

    def with_sets(self, change: Callable[[Evidence], Evidence | None]) -> Probe:
        """The probe with each set changed, or left out where that gives None."""
        general = tuple(found for item in self.general if (found := change(item)) is not None)
        return replace(self, evidence=change(self.evidence) if self.evidence else None, general=general)

    def agrees_with(self, verification: Verification) -> bool:
        """Whether an artifact was compared with the answers that the report has now; one of an earlier evaluation was not."""
        cost, wanted = verification.evidence, self.evidence
        if cost is None or wanted is None:
            return True  # nothing was to be compared, or its runtime is not on this machine
        now = {row.index: row.tuned.text for row in wanted.rows if row.tuned}
        return all(now.get(index, text) == text for index, text in zip(cost.indices, cost.tuned_answers, strict=True))

    @property
    def held_out(self) -> bool:
        """False if there are no held-out rows and general questions are asked instead."""
        return bool(self.conversations)

    def questions(self) -> list[Conversation]:
        """The conversations, or general questions without an answer where the run has none."""
        if self.conversations:
            return self.conversations
        return [
            Conversation(messages=({"role": "user", "content": question}, {"role": "assistant", "content": ""}))
            for question in QUESTIONS
        ]
