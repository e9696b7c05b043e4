"""Escalated questions, kept where whoever serves asked for it: the small model's answer with the large one's as its correction.

They lie in the home's feedback, personal data masked, and go from there to a dataset's desk as rows or as preference pairs.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from studio.cascade.routing import Assessment
from studio.core.messages import ChatMessage, chat_message
from studio.feedback.records import CollectedAnswer, Opinion
from studio.feedback.store import Feedback

log = logging.getLogger("studio.serve")


class Escalated:
    """Writes them one after the other, in a thread of its own, and never at the cost of an answer."""

    def __init__(self, home: Path, cascade: str, small: str, run: str = "", regions: Sequence[str] = ()) -> None:
        """small: the name it answers under; run: the run it is, if it is one. Raises StudioError if they cannot be kept."""
        self._feedback, self._thread = Feedback(home), ThreadPoolExecutor(1, "escalated")
        self._cascade, self._small, self._run, self._regions = cascade, small, run, tuple(regions)

    def keep(self, messages: Sequence[ChatMessage], small: str, large: str, assessment: Assessment) -> None:
        """Keep a question that the large model answered; returns at once."""
        item = CollectedAnswer(
            key=f"cascade-{secrets.token_hex(12)}", origin="served", model=self._small, run=self._run,
            side="tuned" if self._run else "", messages=tuple(messages),
            answer=chat_message("assistant", small),
        )  # fmt: skip
        why = "escalated" if assessment.escalate else "in shadow mode, would have stayed local"
        opinion = Opinion(correction=large, flag=f"{why}, confidence {assessment.confidence:.2f}")
        self._thread.submit(self._write, item, opinion)

    def _write(self, item: CollectedAnswer, opinion: Opinion) -> None:
        try:
            tokens: dict[Any, Any] = {}
            kept = self._feedback.add(item, self._regions, tokens)
            self._feedback.say(kept.number, opinion, f"cascade {self._cascade}", self._regions, tokens)
        except Exception as error:  # whatever it is, an answer was given: the next one may be kept
            log.warning("an escalated question was not kept: %s", error)

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._thread.shutdown(wait=True)
        self._feedback.close()
