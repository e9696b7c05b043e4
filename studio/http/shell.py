"""The shell around an HTTP application: what is let in, how large and how slow a body may be, and how a refusal looks.

It is plain ASGI outside the application's own routes, so that no route, present or future, is reached around it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.core.text import size
from studio.http.refusal import Refused

log = logging.getLogger(__name__)
CLIENT_GONE = 499
"""The status noted for a request whose client left before the answer ended; nginx's number, never sent."""


@dataclass(frozen=True)
class Rules:
    """What one application lets in, and how it answers what it does not."""

    admit: Callable[[HTTPConnection], None]
    """Called before anything else of a request is read. Raises Refused."""
    body_limit: Callable[[str], int]
    """Most bytes of a request's body, by its path."""
    refusal: Callable[[Refused], Response]
    """A refusal as an answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of every answer that does not set them itself."""
    body_seconds: float = 60.0
    """Longest wait for the next part of a body; a client that is slower is refused with 408."""
    ended: Callable[[HTTPConnection, int, float], None] = lambda request, status, seconds: None
    """Called after each request with its status and the seconds it took."""


class Shell:
    """ASGI middleware. Sets `request.state.request_id`, which every answer carries as `x-request-id`."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self.rules.admit(HTTPConnection(scope))
        except Refused:
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, begun, status = HTTPConnection(scope), time.perf_counter(), 0
        request.state.request_id = _request_id(request.headers.get("x-request-id", ""))

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message["headers"])
                for name, value in self.rules.headers.items():
                    headers.setdefault(name, value)
                headers["x-request-id"] = request.state.request_id
            await send(message)

        try:
            self.rules.admit(request)
            limit = self.rules.body_limit(scope["path"])
            _require_length(request, limit)
            await self.app(scope, limited(receive, limit, self.rules.body_seconds), answer)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Refused as refusal:
            await self._refuse(refusal, scope, receive, answer, bool(status))
        except Exception:
            log.exception("a request failed")
            failure = Refused(500, "internal error in the server; its log has the details", code="internal_error")
            await self._refuse(failure, scope, receive, answer, bool(status))
        finally:
            if getattr(request.state, "client_gone", False):
                status = CLIENT_GONE
            self.rules.ended(request, status, time.perf_counter() - begun)

    async def _refuse(self, refusal: Refused, scope: Scope, receive: Receive, send: Send, begun: bool) -> None:
        if not begun:  # an answer under way can only be cut short
            await self.rules.refusal(refusal)(scope, receive, send)


def limited(receive: Receive, limit: int, seconds: float) -> Receive:
    """`receive`, raising Refused for a body that grows past `limit` bytes (413) or does not come (408)."""
    seen, whole = 0, False

    async def receive_limited() -> Message:
        nonlocal seen, whole
        if whole:  # what may still come is that the client leaves, whenever that is
            return await receive()
        try:
            async with asyncio.timeout(seconds):
                message = await receive()
        except TimeoutError:
            raise Refused(408, f"the request's body did not arrive within {seconds:.0f} s", code="request_timeout") from None
        seen += len(message.get("body", b""))
        if seen > limit:
            raise _too_large(limit)
        whole = not message.get("more_body", False)
        return message

    return receive_limited


def _require_length(request: HTTPConnection, limit: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> Refused:
    return Refused(413, f"the request is too large: at most {size(limit)} here", code="request_too_large")


def _request_id(proposed: str) -> str:
    """The id a proxy gave the request, if it is a plain one; else a new one."""
    usable = 0 < len(proposed) <= 128 and all(letter.isalnum() or letter in "-_." for letter in proposed) and proposed.isascii()
    return proposed if usable else f"req_{secrets.token_hex(12)}"
