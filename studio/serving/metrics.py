"""What Prometheus reads at `/metrics`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from studio.serving.scheduler import Scheduler

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self, schedulers: Iterable[Scheduler]) -> None:
        self.registry = CollectorRegistry()
        of: Any = {"registry": self.registry}
        self.requests = Counter("studio_requests", "Requests by path, model and status.", ["path", "model", "status"], **of)
        self.first = Histogram("studio_first_token_seconds", "From request to first token.", ["model"], buckets=SECONDS, **of)
        self.speed = Histogram(
            "studio_tokens_per_second", "Of one answer, after its first token.", ["model"], buckets=SPEEDS, **of
        )
        self.prompt = Counter("studio_prompt_tokens", "Tokens read.", ["model"], **of)
        self.written = Counter("studio_written_tokens", "Tokens written.", ["model"], **of)
        self.gone = Counter("studio_disconnects", "Requests whose client left before the end.", ["model"], **of)
        known = list(schedulers)
        Gauge("studio_queue", "Answers waiting.", **of).set_function(lambda: sum(item.waiting for item in known))
        Gauge("studio_active", "Answers being written.", **of).set_function(lambda: sum(item.active for item in known))

    def text(self) -> bytes:
        """Everything, in the exposition format."""
        return generate_latest(self.registry)
