"""The gate before every route: known host, same origin, a session, bounded uploads, and headers that keep others out.

It is plain ASGI, outside Gradio and FastAPI, so that no route, present or future, can be reached around it.
"""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from studio.core.text import size
from studio.ui.session import COOKIE, Sessions

OPEN = ("/sign-in", "/look/")
"""What is served without a session: the page to sign in on, and the fonts and styles it needs."""
UPLOADS = "/gradio_api/upload"
LARGEST_UPLOAD = 2 << 30
"""Bytes of one upload, all its files together."""
LARGEST_REQUEST = 8 << 20
"""Bytes of any other request."""
KEEP_FREE = 1 << 30
"""Bytes of disk an upload must leave free."""
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=()",
}

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Guard:
    """ASGI middleware: what is refused never reaches the application."""

    def __init__(self, app: Any, sessions: Sessions, hosts: frozenset[str], any_address: bool, home: Path) -> None:
        self.app, self.sessions, self.hosts, self.any_address, self.home = app, sessions, hosts, any_address, home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refused = self.refusal(scope)
        if scope["type"] == "websocket":
            await (send({"type": "websocket.close", "code": 1008}) if refused else self.app(scope, receive, send))
            return
        if refused:
            await _answer(send, *refused)
            return
        most = LARGEST_UPLOAD if scope["path"].startswith(UPLOADS) else LARGEST_REQUEST
        await self.app(scope, _bounded(receive, most), _with_headers(send))

    def refusal(self, scope: Scope) -> tuple[int, str, dict[str, str]] | None:
        """Why a request is not let in: status, message, headers; None if it is."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        method, path = scope.get("method", "GET"), scope["path"]
        host = headers.get("host", "")
        if not known_host(host, self.hosts, self.any_address):
            return 421, "this host name is not served here", {}
        if method not in ("GET", "HEAD") or scope["type"] == "websocket":
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != host:
                return 403, "requests from other sites are refused", {}
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return 403, "requests from other sites are refused", {}
        if not any(path == name or (name.endswith("/") and path.startswith(name)) for name in OPEN) and not self.sessions.valid(
            cookie_of(headers.get("cookie", ""))
        ):
            if method == "GET" and "text/html" in headers.get("accept", ""):
                return 303, "sign in first", {"location": "/sign-in"}
            return 401, "sign in first", {}
        return self._too_large(path, method, headers)

    def _too_large(self, path: str, method: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]] | None:
        if method in ("GET", "HEAD"):
            return None
        length = headers.get("content-length", "")
        if path.startswith(UPLOADS):
            if not length.isdigit():
                return 411, "say how long the upload is", {}
            if int(length) > LARGEST_UPLOAD:
                return 413, f"one upload holds at most {size(LARGEST_UPLOAD)}", {}
            folder = next(item for item in (self.home, *self.home.parents) if item.exists())
            if shutil.disk_usage(folder).free - 2 * int(length) < KEEP_FREE:
                return 413, "there is too little free disk for this upload", {}
        elif length.isdigit() and int(length) > LARGEST_REQUEST:
            return 413, f"a request holds at most {size(LARGEST_REQUEST)}", {}
        return None


def known_host(host: str, names: frozenset[str], any_address: bool) -> bool:
    """Whether a Host header names this server. A bare IP address cannot be rebound by DNS and may be let in."""
    name = urlsplit(f"//{host}").hostname or "" if host.isprintable() else ""
    if name in names:
        return True
    if not any_address:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def cookie_of(header: str) -> str | None:
    """Our cookie in a Cookie header."""
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None


def _bounded(receive: Receive, most: int) -> Receive:
    seen = 0

    async def bounded() -> dict[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            return {"type": "http.disconnect"}
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    async def sending(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            there = {name.lower() for name, _ in message["headers"]}
            extra = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in there]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, text: str, headers: dict[str, str]) -> None:
    plain = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **HEADERS, **headers}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in plain.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
