"""The gate before every route: known host, API key, JSON only, a bounded body, a request id, one log line per request."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import orjson

from studio.core.text import size
from studio.serving.errors import ApiError
from studio.serving.keys import Keys
from studio.serving.metrics import Metrics

log = logging.getLogger("studio.serve")
OPEN = ("/health", "/ready")
"""Served without a key: what a load balancer asks."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Gate:
    """ASGI middleware. What it lets in has `scope["state"]` with `id`, `client`, and `model` once it is known."""

    def __init__(self, app: Any, keys: Keys | None, hosts: frozenset[str], body: int, metrics: Metrics) -> None:
        """hosts: the names this server is reached by, checked where there are no keys (a web page that rebinds its
        host name to this machine must not reach it)."""
        self.app, self.keys, self.hosts, self.body, self.metrics = app, keys, hosts, body, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        state = scope.setdefault("state", {})
        state["id"] = given if _usable(given := headers.get("x-request-id", "")) else f"req_{secrets.token_hex(12)}"
        state["begun"], state["model"], status = time.perf_counter(), "", 500

        async def sending(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = (b"x-request-id", state["id"].encode())
                message = {**message, "headers": [*message["headers"], named, (b"x-content-type-options", b"nosniff")]}
            await send(message)

        try:
            state["client"] = self.admit(scope, headers)
            state["bounded"] = bounded(receive, self.body, headers.get("content-length", ""))
            await self.app(scope, receive, sending)
        except ApiError as problem:
            await answer(sending, problem.status, problem.as_dict(), problem.headers)
        finally:
            seconds = time.perf_counter() - state["begun"]
            if scope["path"] not in (*OPEN, "/metrics"):
                path = scope["path"] if status != 404 or state["model"] else "other"
                self.metrics.requests.labels(path, state["model"], str(status)).inc()
                log.info("%s %s %s %s %.0f ms", state["id"], scope["path"], state["model"] or "-", status, seconds * 1000)

    def admit(self, scope: Scope, headers: dict[str, str]) -> str:
        """Who asks. Raises ApiError for who is not let in."""
        if self.keys is None:
            host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
            if host not in self.hosts:
                raise ApiError(421, f"the host name {host!r} is not served here", code="unknown_host")
        elif scope["path"] not in OPEN:
            name = self.keys.name_of(headers.get("authorization", ""))
            if name is None:
                raise ApiError(401, "a valid API key is needed: `Authorization: Bearer sk-studio-...`", code="invalid_api_key")
            return name
        if scope["method"] == "POST" and not headers.get("content-type", "").lower().startswith("application/json"):
            raise ApiError(415, "send JSON, with `Content-Type: application/json`", code="not_json")
        return str((scope.get("client") or ("",))[0])


def bounded(receive: Receive, most: int, length: str) -> Callable[[], Awaitable[bytes]]:
    """A function that reads the body. It raises ApiError 413 for one that is too long."""

    def refuse() -> ApiError:
        return ApiError(413, f"the request is too large: at most {size(most)} here", code="request_too_large")

    async def read() -> bytes:
        if length.isdigit() and int(length) > most:
            raise refuse()
        parts, seen = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message.get("body", b""))
            seen += len(parts[-1])
            if seen > most:
                raise refuse()
            if not message.get("more_body"):
                return b"".join(parts)

    return read


class Gone(Exception):
    """The client went away."""


async def answer(send: Send, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
    """Send one JSON document."""
    body = orjson.dumps(value)
    plain = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        **(headers or {}),
    }
    pairs = [(name.encode(), text.encode("latin-1")) for name, text in plain.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _usable(text: str) -> bool:
    return 0 < len(text) <= 128 and all(letter.isalnum() or letter in "-_." for letter in text)
