"""The API: routes as OpenAI names them, on Starlette."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from studio.http.refusal import Refused
from studio.serving import endpoints, errors, requests
from studio.serving.answering import Inbox
from studio.serving.encoding import Encoders
from studio.serving.errors import ApiError, JsonResponse, bad
from studio.serving.job import Job, Piece
from studio.serving.metrics import CONTENT_TYPE, Metrics
from studio.serving.requests import ChatRequest, Common, TextRequest
from studio.serving.scheduler import Scheduler
from studio.serving.served import Served, find

R = TypeVar("R", bound=Common)
KNOWN = ("/v1/chat/completions", "/v1/completions", "/v1/feedback", "/v1/models", "/health", "/ready", "/metrics")


class Dispatcher:
    """Carries pieces from the schedulers' threads into the event loop, one wake-up per step."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """To be called in the event loop before the first request."""
        self._loop = asyncio.get_running_loop()

    def __call__(self, written: Sequence[tuple[Job, Piece]]) -> None:
        """Hand out what a step wrote."""
        if self._loop is not None and written and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_hand_out, written)


def _hand_out(written: Sequence[tuple[Job, Piece]]) -> None:
    for job, piece in written:
        job.receive(piece)


class Api:
    """The endpoints over some served models."""

    def __init__(self, models: Mapping[str, Served], metrics: Metrics, dispatcher: Dispatcher) -> None:
        self.models, self.metrics, self._dispatcher = dict(models), metrics, dispatcher
        self._encoders = Encoders()
        self._created = int(time.time())
        self.draining = False

    @property
    def schedulers(self) -> list[Scheduler]:
        """Each scheduler once."""
        return list(dict.fromkeys(model.scheduler for model in self.models.values()))

    def application(self) -> Starlette:
        """The routes; put a `studio.http.shell.Shell` around them."""
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self._writer(ChatRequest, endpoints.make_chat), methods=["POST"]),
                Route("/v1/completions", self._writer(TextRequest, endpoints.make_text), methods=["POST"]),
                Route("/v1/feedback", self._feedback, methods=["POST"]),
                Route("/v1/embeddings", self._no_embeddings, methods=["POST"]),
                Route("/v1/models", self._list),
                Route("/v1/models/{name:path}", self._describe),
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route("/metrics", self._metrics),
            ],
            exception_handlers={HTTPException: _refusal, ClientDisconnect: _gone, Exception: _failure},
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._dispatcher.open()
        for scheduler in self.schedulers:
            scheduler.start()
        yield
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, scheduler.close, 0.0) for scheduler in self.schedulers))
        self._encoders.close()

    def _writer(self, kind: type[R], make: Callable[..., endpoints.Answer]) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that writes: the body is checked, its prompts are encoded, its jobs are queued."""

        async def write(request: Request) -> Response:
            begun, body = time.perf_counter(), await request.body()
            asked = requests.parse(kind, _json(body))
            served = find(self.models, asked.model)
            request.state.model = served.name
            if not served.scheduler.ready and served.scheduler.failed is None:
                raise ApiError(503, "the model is still being loaded", code="loading", retry_after=2)
            inbox = Inbox(request.receive)
            try:
                work = partial(make, served, asked, inbox, request.state.client, begun, self.metrics)
                return await inbox.before_gone(self._encoders.run(work, len(body), request.state.client))
            except BaseException:
                inbox.close()
                raise

        return write

    async def _feedback(self, request: Request) -> Response:
        """What a client says of an answer it got."""
        collector = next((item.collector for item in self.models.values() if item.collector is not None), None)
        if collector is None:
            raise ApiError(404, "this server collects no answers: start it with --collect", code="not_collecting")
        return JsonResponse(await collector.say(_json(await request.body())))

    async def _no_embeddings(self, request: Request) -> Response:
        raise bad(
            "these models write text and make no embeddings; use an embedding model's server", code="embeddings_not_supported"
        )

    async def _health(self, request: Request) -> Response:
        failed = [str(item.failed) for item in self.schedulers if item.failed is not None]
        return JsonResponse({"status": "failed" if failed else "ok", "errors": failed}, 503 if failed else 200)

    async def _ready(self, request: Request) -> Response:
        ready = all(item.ready for item in self.schedulers) and not self.draining
        return JsonResponse({"status": "ready" if ready else "draining" if self.draining else "loading"}, 200 if ready else 503)

    async def _metrics(self, request: Request) -> Response:
        return Response(self.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def _list(self, request: Request) -> Response:
        return JsonResponse({"object": "list", "data": [self._model(item) for item in self.models.values()]})

    async def _describe(self, request: Request) -> Response:
        name = request.path_params["name"]
        return await self._list(request) if not name else JsonResponse(self._model(find(self.models, name)))

    def _model(self, served: Served) -> dict[str, Any]:
        head = {"id": served.name, "object": "model", "created": self._created, "owned_by": "studio"}
        collecting = {"collecting": True} if served.collector is not None else {}
        return {**head, "max_model_len": served.context, **served.about, **collecting}


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise bad(f"the body is not JSON: {problem}", code="bad_json") from None


async def _refusal(request: Request, error: Exception) -> Response:
    """An error as OpenAI's clients expect it; Starlette's own (404, 405) with what there is instead."""
    assert isinstance(error, HTTPException)
    if isinstance(error, Refused):
        return errors.response(error)
    path = request.scope["path"]
    if error.status_code == 405:
        takes = (error.headers or {}).get("Allow", "GET")
        return errors.response(ApiError(405, f"{path} takes {takes}", code="method_not_allowed"))
    known = "use /v1/chat/completions" if path.startswith("/v1/responses") else f"there are {', '.join(KNOWN)}"
    return errors.response(ApiError(404, f"there is no {path} here; {known}", code="unknown_url"))


async def _gone(request: Request, error: Exception) -> Response:
    """A client that left before its request was whole: nobody reads this."""
    request.state.client_gone = True
    return Response(status_code=400)


async def _failure(request: Request, error: Exception) -> Response:
    """A fault of ours; the shell writes it into the log."""
    return errors.response(ApiError(500, "internal error in the server; its log has the details", code="internal_error"))
