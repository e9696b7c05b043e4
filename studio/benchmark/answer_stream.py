"""A streamed answer as it is read: its text, its times, its tokens."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

_APART = 0.0003
"""Seconds between two pieces that were not read together."""


@dataclass(frozen=True)
class Answer:
    """One answer. first, total: seconds from sending; tokens as told (`counted`) or one a piece."""

    text: str
    first: float
    total: float
    prompt_tokens: int
    tokens: int
    counted: bool
    finish: str = ""
    streamed: bool = True
    """It came in several parts over time, not in one burst."""

    @property
    def stream_speed(self) -> float | None:
        """Tokens per second after the first; None for an answer that came in one burst."""
        return (self.tokens - 1) / (self.total - self.first) if self.tokens > 1 and self.streamed else None


class Reading:
    """A stream as it is read, line by line."""

    def __init__(self, begun: float) -> None:
        self.begun, self.first, self.last = begun, 0.0, begun
        self.parts: list[str] = []
        self.pieces = self.arrivals = 0
        self.usage: dict[str, Any] = {}
        self.finish, self.ended = "", False
        self.error: dict[str, Any] | None = None

    def add(self, line: str) -> None:
        """One line. A reasoning model's thoughts are tokens, but not part of the answer."""
        if not line.startswith("data:"):
            return
        data = line[5:].strip()
        if data == "[DONE]":
            self.ended = True
            return
        now = time.perf_counter()
        try:
            value = json.loads(data)
        except ValueError:
            return
        if not isinstance(value, dict):
            return
        if error := value.get("error"):
            self.error = error if isinstance(error, dict) else {"message": str(error)}
            return
        self.usage = value.get("usage") or self.usage
        for choice in filter(None, value.get("choices") or ()):
            delta = choice.get("delta") or {}
            said = delta.get("content") or ""
            if said or delta.get("reasoning_content") or delta.get("reasoning") or delta.get("tool_calls"):
                self.first = self.first or now
                self.pieces += 1
                self.arrivals += now - self.last > _APART
                self.parts.append(said)
                self.last = now
            if choice.get("finish_reason"):
                self.finish, self.ended, self.last = choice["finish_reason"], True, now

    def answer(self) -> Answer:
        """The whole."""
        told = self.usage.get("completion_tokens")
        return Answer(
            text="".join(self.parts),
            first=(self.first or self.last) - self.begun,
            total=self.last - self.begun,
            prompt_tokens=int(self.usage.get("prompt_tokens") or 0),
            tokens=int(told) if told is not None else self.pieces,
            counted=told is not None,
            finish=self.finish,
            streamed=self.arrivals > 2,
        )
