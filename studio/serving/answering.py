"""Answering a request: its jobs made and queued, their pieces sent on as a stream or gathered into one document.

A client that goes away ends its jobs at the next step.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import orjson

from studio.serving import shapes
from studio.serving.errors import ApiError
from studio.serving.gate import Gone, Receive, Send, answer
from studio.serving.job import Job, Piece
from studio.serving.metrics import Metrics
from studio.serving.served import Served

STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Inbox:
    """Pieces of one request's jobs, and whether its client is still there. Belongs to the event loop."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, Piece]] = deque()
        self._event = asyncio.Event()
        self._gone = False

    def put(self, place: int, piece: Piece) -> None:
        """A piece of the job at `place`."""
        self._pieces.append((place, piece))
        self._event.set()

    async def watch(self, receive: Receive) -> None:
        """Notice when the client goes away."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._event.set()

    async def take(self) -> list[tuple[int, Piece]]:
        """What came since, at least one piece. Raises Gone."""
        await self._event.wait()
        self._event.clear()
        if self._gone:
            raise Gone
        found = list(self._pieces)
        self._pieces.clear()
        return found


class Shape(Protocol):
    """How an endpoint tells its choices; one of these per request."""

    object: str
    chunk_object: str
    prefix: str

    def chunk(self, place: int, piece: Piece) -> list[dict[str, Any]]:
        """The choices of the chunks that tell a piece."""
        ...

    def choice(self, place: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole choice."""
        ...


class Request:
    """One request whose jobs are made: run it as a stream or as a whole."""

    def __init__(self, served: Served, jobs: list[Job], shape: Shape, prompts: int, begun: float, metrics: Metrics) -> None:
        """prompts: tokens of all its prompts; begun: when it came, on `time.perf_counter`."""
        self.served, self.jobs, self.shape, self.metrics = served, jobs, shape, metrics
        self._prompts, self._begun, self._first = prompts, begun, 0.0
        self._written = [0] * len(jobs)
        self._open = set(range(len(jobs)))
        self._head = {"id": f"{shape.prefix}-{secrets.token_hex(12)}", "created": int(time.time()), "model": served.name}

    async def run(self, inbox: Inbox, receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
        """Queue the jobs and do `work` with what they write; whatever ends it ends them too. Raises ApiError, Gone."""
        self.served.scheduler.submit(self.jobs)
        watch = asyncio.create_task(inbox.watch(receive))
        try:
            await work()
        except Gone:
            self.metrics.gone.labels(self.served.name).inc()
            raise
        finally:
            watch.cancel()
            if self._open:
                self.served.scheduler.cancel([self.jobs[place] for place in self._open])
            self._measure()

    async def whole(self, inbox: Inbox, send: Send) -> None:
        """Gather everything, then send one document."""
        pieces: list[list[Piece]] = [[] for _ in self.jobs]
        while self._open:
            for place, piece in await inbox.take():
                self._note(place, piece)
                pieces[place].append(piece)
        choices = [self.shape.choice(place, found) for place, found in enumerate(pieces)]
        await answer(send, 200, {**self._head, "object": self.shape.object, "choices": choices, "usage": self._usage()})

    async def stream(self, inbox: Inbox, send: Send, with_usage: bool) -> None:
        """Send each piece when it comes. An error before the first piece is an error answer, later one an event."""
        head = {**self._head, "object": self.shape.chunk_object}
        more = {"usage": None} if with_usage else {}
        begun = False
        while self._open:
            events = []
            for place, piece in await inbox.take():
                try:
                    self._note(place, piece)
                except ApiError as problem:
                    if not begun:
                        raise
                    events.append(problem.as_dict())
                    await send({"type": "http.response.body", "body": _events(events)})
                    return
                events += [{**head, "choices": [choice], **more} for choice in self.shape.chunk(place, piece)]
            if not begun:
                begun = True
                await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
            if events:
                await send({"type": "http.response.body", "body": _events(events), "more_body": True})
        last = [{**head, "choices": [], "usage": self._usage()}] if with_usage else []
        await send({"type": "http.response.body", "body": _events(last) + b"data: [DONE]\n\n"})

    def _note(self, place: int, piece: Piece) -> None:
        if not self._first:
            self._first = time.perf_counter()
            self.metrics.first.labels(self.served.name).observe(self._first - self._begun)
        self._written[place] = piece.tokens
        if piece.last:
            self._open.discard(place)
        if piece.error is not None:
            raise piece.error

    def _usage(self) -> dict[str, int]:
        return shapes.usage(self._prompts, sum(self._written))

    def _measure(self) -> None:
        written, model = sum(self._written), self.served.name
        self.metrics.prompt.labels(model).inc(self._prompts)
        self.metrics.written.labels(model).inc(written)
        seconds = time.perf_counter() - self._first if self._first else 0.0
        if len(self.jobs) == 1 and written > 1 and seconds > 0:
            self.metrics.speed.labels(model).observe((written - 1) / seconds)


def _events(values: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(value) + b"\n\n" for value in values)
