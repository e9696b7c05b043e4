"""Answering a request: its jobs queued, their pieces sent on as a stream or gathered into one document."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from studio.serving import documents, errors
from studio.serving.errors import ApiError, JsonResponse
from studio.serving.job import Job, Piece
from studio.serving.metrics import Metrics
from studio.serving.served import Served

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
T = TypeVar("T")


class Inbox:
    """Pieces of one request's jobs, and whether its client is still there. Belongs to the event loop."""

    def __init__(self, receive: Receive) -> None:
        """receive: where the client's leaving is told; the request's body was read from it before."""
        self._pieces: deque[tuple[int, Piece]] = deque()
        self._event = asyncio.Event()
        self._gone = False
        self._watch = asyncio.create_task(self._until_gone(receive))

    def put(self, index: int, piece: Piece) -> None:
        """A piece of the job at `index`."""
        self._pieces.append((index, piece))
        self._event.set()

    async def take(self) -> list[tuple[int, Piece]]:
        """What came since, at least one piece. Raises ClientDisconnect."""
        await self._event.wait()
        self._event.clear()
        if self._gone:
            raise ClientDisconnect
        pieces = list(self._pieces)
        self._pieces.clear()
        return pieces

    async def before_gone(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns; it is cancelled when the client leaves. Raises ClientDisconnect then."""
        task = asyncio.create_task(work)
        await asyncio.wait({task, self._watch}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        raise ClientDisconnect

    def close(self) -> None:
        """Stop watching the client."""
        self._watch.cancel()

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._event.set()


class ResponseFormat(Protocol):
    """How an endpoint writes its choices; one of these per request."""

    object: str
    chunk_object: str
    prefix: str

    def chunk(self, index: int, piece: Piece) -> list[dict[str, Any]]:
        """The choices of the chunks that tell a piece."""
        ...

    def choice(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole choice."""
        ...


class Answer(Response):
    """The answer to one request whose jobs are made: it queues them and sends what they write, streamed or whole.

    A client that goes away ends its jobs at the next step.
    """

    def __init__(
        self,
        served: Served,
        jobs: list[Job],
        format: ResponseFormat,
        prompt_tokens: int,
        inbox: Inbox,
        begun: float,
        metrics: Metrics,
        stream: bool,
        with_usage: bool,
        completed: Callable[[str], None] = lambda key: None,
    ) -> None:
        """prompt_tokens: of all its prompts together; begun: when it came, on `time.perf_counter`; completed: called with the
        answer's id once all of it was written."""
        super().__init__()
        self.served, self.jobs, self.format, self.metrics = served, jobs, format, metrics
        self._inbox, self._stream, self._with_usage, self._completed = inbox, stream, with_usage, completed
        self._prompt_tokens, self._begun, self._first = prompt_tokens, begun, 0.0
        self._written = [0] * len(jobs)
        self._open = set(range(len(jobs)))
        self._head = {"id": f"{format.prefix}-{secrets.token_hex(12)}", "created": int(time.time()), "model": served.name}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Queue the jobs and send what they write; whatever ends it ends them too. Raises ApiError."""
        try:
            self.served.scheduler.submit(self.jobs)
            if self._stream:
                await self._send_stream(send)
            else:
                await JsonResponse(await self._whole())(scope, receive, send)
        except ClientDisconnect:
            scope["state"]["client_gone"] = True
            self.metrics.gone.labels(self.served.name).inc()
        finally:
            self._inbox.close()
            if self._open:
                self.served.scheduler.cancel([self.jobs[index] for index in self._open])
            self._measure()

    async def _whole(self) -> dict[str, Any]:
        """Everything, gathered into one document."""
        pieces: list[list[Piece]] = [[] for _ in self.jobs]
        while self._open:
            for index, piece in await self._inbox.take():
                self._note(index, piece)
                pieces[index].append(piece)
        choices = [self.format.choice(index, written) for index, written in enumerate(pieces)]
        self._completed(self._head["id"])
        return {**self._head, "object": self.format.object, "choices": choices, "usage": self._usage()}

    async def _send_stream(self, send: Send) -> None:
        """Send each piece when it comes. An error before the first piece is an error answer, later one an event."""
        head = {**self._head, "object": self.format.chunk_object}
        more = {"usage": None} if self._with_usage else {}
        begun = False
        while self._open:
            events = []
            for index, piece in await self._inbox.take():
                try:
                    self._note(index, piece)
                except ApiError as error:
                    if not begun:
                        raise
                    events.append(errors.as_dict(error))
                    await send({"type": "http.response.body", "body": _events(events)})
                    return
                events += [{**head, "choices": [choice], **more} for choice in self.format.chunk(index, piece)]
            if not begun:
                begun = True
                await send({"type": "http.response.start", "status": 200, "headers": list(STREAM_HEADERS)})
            if events:
                await send({"type": "http.response.body", "body": _events(events), "more_body": True})
        self._completed(self._head["id"])
        last = [{**head, "choices": [], "usage": self._usage()}] if self._with_usage else []
        await send({"type": "http.response.body", "body": _events(last) + b"data: [DONE]\n\n"})

    def _note(self, index: int, piece: Piece) -> None:
        if not self._first:
            self._first = time.perf_counter()
            self.metrics.first.labels(self.served.name).observe(self._first - self._begun)
        self._written[index] = piece.tokens
        if piece.last:
            self._open.discard(index)
        if piece.error is not None:
            raise piece.error

    def _usage(self) -> dict[str, int]:
        return documents.usage(self._prompt_tokens, sum(self._written))

    def _measure(self) -> None:
        written, model = sum(self._written), self.served.name
        self.metrics.prompt.labels(model).inc(self._prompt_tokens)
        self.metrics.written.labels(model).inc(written)
        seconds = time.perf_counter() - self._first if self._first else 0.0
        if len(self.jobs) == 1 and written > 1 and seconds > 0:
            self.metrics.speed.labels(model).observe((written - 1) / seconds)


def _events(values: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(value) + b"\n\n" for value in values)
