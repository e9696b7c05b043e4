"""The application: routes as OpenAI names them. Plain ASGI, so that a token's way to its client is short."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import orjson

from studio.serving import endpoints, requests
from studio.serving.answering import Inbox
from studio.serving.errors import ApiError, bad
from studio.serving.gate import Gone, Receive, Scope, Send, answer
from studio.serving.job import Job, Piece
from studio.serving.metrics import CONTENT_TYPE, Metrics
from studio.serving.requests import ChatRequest, TextRequest
from studio.serving.scheduler import Scheduler
from studio.serving.served import Served, find

log = logging.getLogger(__name__)
WRITE = {"/v1/chat/completions": (ChatRequest, endpoints.make_chat), "/v1/completions": (TextRequest, endpoints.make_text)}
READ = ("/v1/models", "/health", "/ready", "/metrics")


class Post:
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


class Application:
    """ASGI application over some served models; put a `Gate` before it."""

    def __init__(self, models: Mapping[str, Served], metrics: Metrics, post: Post) -> None:
        self.models, self.metrics, self._post = dict(models), metrics, post
        self._encoding = ThreadPoolExecutor(1, "encoding")  # tokenizers are not for several threads at once
        self._created = int(time.time())
        self.draining = False

    @property
    def schedulers(self) -> list[Scheduler]:
        """Each scheduler once."""
        return list(dict.fromkeys(model.scheduler for model in self.models.values()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's beginning and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            await self._route(scope, receive, send)
        except Gone:
            return
        except ApiError:
            raise
        except Exception:
            log.exception("a request failed")
            raise ApiError(500, "this is a fault in the server; its log has the details", code="fault") from None

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._post.open()
        for scheduler in self.schedulers:
            scheduler.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, scheduler.close, 0.0) for scheduler in self.schedulers))
        self._encoding.shutdown(wait=False)
        await send({"type": "lifespan.shutdown.complete"})

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"].rstrip("/") or "/", scope["method"]
        if path in WRITE:
            if method != "POST":
                raise ApiError(405, f"{path} takes POST", code="method_not_allowed")
            await self._write(path, scope, receive, send)
        elif path == "/v1/embeddings":
            raise bad(
                "these models write text and make no embeddings; use an embedding model's server",
                code="embeddings_not_supported",
            )
        elif path in READ or path.startswith("/v1/models/"):
            if method not in ("GET", "HEAD"):
                raise ApiError(405, f"{path} takes GET", code="method_not_allowed")
            await self._read(path, send)
        else:
            known = ", ".join([*WRITE, *READ])
            raise ApiError(404, f"there is no {path} here; there are {known}", code="unknown_url")

    async def _write(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        kind, make = WRITE[path]
        try:
            body = orjson.loads(await state["bounded"]())
        except orjson.JSONDecodeError as problem:
            raise bad(f"the body is not JSON: {problem}", code="bad_json") from None
        request = requests.parse(kind, body)
        served = find(self.models, request.model)
        state["model"] = served.name
        if not served.scheduler.ready and served.scheduler.failed is None:
            raise ApiError(503, "the model is still being loaded", code="loading", retry_after=2)
        inbox = Inbox()
        work: Any = partial(make, served, request, inbox, state["client"], state["begun"], self.metrics)
        asked = await asyncio.get_running_loop().run_in_executor(self._encoding, work)
        if request.stream:
            usage = bool(request.stream_options and request.stream_options.include_usage)
            await asked.run(inbox, receive, lambda: asked.stream(inbox, send, usage))
        else:
            await asked.run(inbox, receive, lambda: asked.whole(inbox, send))

    async def _read(self, path: str, send: Send) -> None:
        if path == "/health":
            failed = [str(item.failed) for item in self.schedulers if item.failed is not None]
            await answer(send, 503 if failed else 200, {"status": "failed" if failed else "ok", "errors": failed})
        elif path == "/ready":
            ready = all(item.ready for item in self.schedulers) and not self.draining
            await answer(
                send, 200 if ready else 503, {"status": "ready" if ready else "draining" if self.draining else "loading"}
            )
        elif path == "/metrics":
            body = self.metrics.text()
            headers = [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        elif path == "/v1/models":
            await answer(send, 200, {"object": "list", "data": [self._model(item) for item in self.models.values()]})
        else:
            await answer(send, 200, self._model(find(self.models, path.removeprefix("/v1/models/"))))

    def _model(self, served: Served) -> dict[str, Any]:
        head = {"id": served.name, "object": "model", "created": self._created, "owned_by": "studio"}
        return {**head, "max_model_len": served.context, **served.about}
