"""The cascade as an OpenAI-compatible API: the small model answers, and what it is unsure of goes to the large one.

Route, reason, confidence and cost stand in headers (`x-studio-route`, …) and in the field `studio` of the answer.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from studio.cascade import routing
from studio.cascade.escalated import Escalated
from studio.cascade.record import Cascade
from studio.cascade.routing import Assessment, Breaker, Drift, Rules
from studio.core.errors import StudioError
from studio.http.refusal import Refused
from studio.remote.ceiling import CeilingReached
from studio.remote.client import Client
from studio.remote.completion import Completion, Request
from studio.serving import documents, errors, requests
from studio.serving.errors import ApiError, JsonResponse, bad
from studio.serving.metrics import CONTENT_TYPE, SECONDS
from studio.serving.metrics import Metrics as HttpMetrics
from studio.serving.requests import ChatRequest

log = logging.getLogger("studio.serve")
NAME = "cascade"
"""What requests call it, beside its id."""
THREADS = 64
"""Requests under way at once."""
UNSUPPORTED = (
    "tools", "tool_choice", "stop", "stop_token_ids", "logprobs", "top_logprobs", "logit_bias", "top_p", "top_k", "min_p",
    "repetition_penalty", "presence_penalty", "frequency_penalty", "ignore_eos", "chat_template_kwargs",
)  # fmt: skip
"""Parameters that would move the confidence away from what was calibrated, or that the two models share no form of."""


@dataclass(frozen=True)
class Answered:
    """A completion, and how it came to be. route: `local` or `large`."""

    completion: Completion
    route: str
    reason: str
    assessment: Assessment
    cost: float


class Metrics:
    """What Prometheus reads."""

    def __init__(self, drift: Drift) -> None:
        self.http, self.registry = HttpMetrics([]), CollectorRegistry()
        of: Any = {"registry": self.registry}
        self.requests = Counter("studio_cascade_requests", "Requests by route and reason.", ["route", "reason"], **of)
        self.cost = Counter("studio_cascade_cost_usd", "US dollars paid for the large model.", **of)
        self.seconds = Histogram("studio_cascade_seconds", "From request to answer.", ["route"], buckets=SECONDS, **of)
        tenths = [step / 10 for step in range(1, 11)]
        self.confidence = Histogram("studio_cascade_confidence", "In the small model's answers.", buckets=tenths, **of)
        Gauge("studio_cascade_drift", "1 while requests do not look like the calibration rows.", **of).set_function(
            lambda: float(bool(drift.alarm))
        )


class Gateway:
    """One cascade over two clients. keep: what keeps escalated questions and their answers; None: they are not kept."""

    def __init__(
        self,
        cascade: Cascade,
        small: Client,
        large: Client,
        rules: Rules,
        keep: Escalated | None = None,
        system: str = "",
    ) -> None:
        """system: the system prompt for conversations without one, as the small model was trained with."""
        self.cascade, self.small, self.large, self.rules, self._system = cascade, small, large, rules, system
        self.drift, self.breaker, self._keep = Drift(cascade.calibration), Breaker(), keep
        self.metrics = Metrics(self.drift)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="cascade")
        self._warned = ""
        self._created = int(time.time())

    def answer(self, request: Request, store: bool = True) -> Answered:
        """The cascade's answer to one request. store: it may be kept, where that was asked for.

        Raises StudioError where the small model does not answer.
        """
        begun = time.perf_counter()
        small = self.small.answer(request)
        assessment = routing.assess(self.cascade.calibration, small.top_logprobs)
        self.drift.add(assessment)
        wanted = assessment.escalate or self.rules.shadow
        found = self._escalated(request, assessment, small, store) if wanted else self._local(small, assessment, "sure")
        self._count(found, time.perf_counter() - begun)
        return found

    def _escalated(self, request: Request, assessment: Assessment, small: Completion, store: bool) -> Answered:
        if routing.private(request.messages, self.rules):
            return self._local(small, assessment, "personal data")
        if self.breaker.open:
            return self._local(small, assessment, "large model down")
        try:
            large = self.large.answer(replace(request, logprobs=False))
        except CeilingReached:
            return self._local(small, assessment, "budget spent")
        except StudioError as error:
            log.warning("the large model did not respond: %s", error.sentence)
            self.breaker.failed()
            return self._local(small, assessment, "large model down")
        reason = "unsure" if assessment.escalate else "shadow"
        if store and self._keep is not None and large.complete:
            self._keep.keep(request.messages, small.text, large.text, assessment)
        return Answered(large, "large", reason, assessment, large.paid)

    def _local(self, small: Completion, assessment: Assessment, reason: str) -> Answered:
        return Answered(small, "local", reason, assessment, 0.0)

    def _count(self, answered: Answered, seconds: float) -> None:
        self.metrics.requests.labels(answered.route, answered.reason).inc()
        self.metrics.cost.inc(answered.cost)
        self.metrics.seconds.labels(answered.route).observe(seconds)
        self.metrics.confidence.observe(answered.assessment.confidence)
        alarm = self.drift.alarm
        if alarm and not self._warned:
            log.warning("drift: %s", alarm)
        self._warned = alarm

    def application(self) -> Starlette:
        """The routes; put a `studio.http.shell.Shell` around them."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/health", self._health),
                Route("/ready", self._health),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={HTTPException: _refusal, Exception: _failure},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        yield
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _chat(self, http: HttpRequest) -> Response:
        try:
            body = orjson.loads(await http.body())
        except orjson.JSONDecodeError as problem:
            raise bad(f"the body is not JSON: {problem}", code="bad_json") from None
        asked = requests.parse(ChatRequest, body)
        if asked.model not in (NAME, self.cascade.id):
            hint = f"there is no model `{asked.model}`; this server has `{NAME}`"
            raise ApiError(404, hint, param="model", code="model_not_found")
        http.state.model = NAME
        request = self._request(asked, body)
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, self.answer, request, asked.store is not False)
        except StudioError as error:
            raise ApiError(
                503, f"the small model did not respond: {error.message}", code="unavailable", retry_after=5
            ) from None
        return self._response(asked, found)

    def _request(self, request: ChatRequest, body: Mapping[str, Any]) -> Request:
        """The request as both models are asked. Raises ApiError for what a cascade does not take."""
        named = next((name for name in UNSUPPORTED if getattr(request, name, None) and name in body), None)
        if named or (request.n or 1) > 1:
            raise bad(f"`{named or 'n'}` is not supported by a cascade", named or "n", "unsupported_parameter")
        schema = requests.schema(request.response_format)
        messages = requests.as_conversation(request.messages)
        if self._system and not any(message["role"] == "system" for message in messages):
            messages = [{"role": "system", "content": self._system}, *messages]
        limit = min(request.token_limit or self.cascade.max_tokens, self.cascade.max_tokens)
        return Request(
            messages, limit, request.temperature or 0.0, request.seed, schema.content if schema else None, logprobs=True
        )

    def _response(self, request: ChatRequest, answered: Answered) -> Response:
        about = {
            "route": answered.route, "reason": answered.reason, "confidence": round(answered.assessment.confidence, 4),
            "cost": answered.cost, "would": _route(answered.assessment),
        }  # fmt: skip
        headers = {f"x-studio-{name}": str(value) for name, value in about.items()}
        usage = answered.completion.usage
        counted = documents.usage(usage.prompt_tokens, usage.completion_tokens)
        head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": NAME}
        finish = answered.completion.finish_reason or "stop"
        if not request.stream:
            choice = documents.chat_choice(0, answered.completion.text, [], finish, None)
            values = {**head, "object": "chat.completion", "choices": [choice], "usage": counted, "studio": about}
            return JsonResponse(values, headers=headers)
        deltas = [
            documents.delta(0, {"role": "assistant", "content": answered.completion.text}),
            documents.delta(0, {}, finish),
        ]
        chunks: list[dict[str, Any]] = [{**head, "object": "chat.completion.chunk", "choices": [delta]} for delta in deltas]
        chunks[-1]["studio"] = about
        if request.with_usage:
            chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": counted})
        content = b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
        return Response(content, media_type="text/event-stream", headers={"cache-control": "no-store", **headers})

    async def _models(self, http: HttpRequest) -> Response:
        about = {"small": self.cascade.small, "large": self.cascade.large.model, "cascade": self.cascade.id}
        model = {"id": NAME, "object": "model", "created": self._created, "owned_by": "studio", **about}
        return JsonResponse({"object": "list", "data": [model]})

    async def _health(self, http: HttpRequest) -> Response:
        return JsonResponse({"status": "ok", "drift": self.drift.alarm, "large": "down" if self.breaker.open else "ok"})

    async def _metrics(self, http: HttpRequest) -> Response:
        text = generate_latest(self.metrics.registry) + self.metrics.http.text()
        return Response(text, headers={"content-type": CONTENT_TYPE})


def _route(assessment: Assessment) -> str:
    """Where an answer belongs by its confidence alone."""
    return "large" if assessment.escalate else "local"


async def _refusal(http: HttpRequest, error: Exception) -> Response:
    if isinstance(error, Refused):
        return errors.response(error)
    assert isinstance(error, HTTPException)
    return errors.response(ApiError(error.status_code, f"there is no {http.scope['path']} here", code="unknown_url"))


async def _failure(http: HttpRequest, error: Exception) -> Response:
    return errors.response(ApiError(500, "internal error in the server; its log has the details", code="internal_error"))
