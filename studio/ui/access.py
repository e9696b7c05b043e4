"""Who may use the web studio: known host, same origin, a session, bounded uploads; and headers that keep others out."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from studio.core.errors import SpecError
from studio.core.text import size
from studio.http.hosts import LOOPBACK, require_known_host, require_same_origin
from studio.http.refusal import Refused
from studio.http.shell import Rules
from studio.ui.session import COOKIE, Sessions

PUBLIC = ("/sign-in", "/look/")
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


def rules(sessions: Sessions, hosts: Collection[str], any_address: bool, home: Path) -> Rules:
    """The web studio's rules. hosts: the names it is reached by; any_address: bare IP addresses are let in too."""

    def admit(request: HTTPConnection) -> None:
        headers, path = request.headers, request.scope["path"]
        method = request.scope.get("method", "GET")
        host = headers.get("host", "")
        require_known_host(host, hosts, any_address)
        changes = method not in ("GET", "HEAD") or request.scope["type"] == "websocket"
        if changes:
            require_same_origin(headers.get("origin"), headers.get("sec-fetch-site"), host)
        if not _is_public(path) and not sessions.valid(cookie_of(headers.get("cookie", ""))):
            if method == "GET" and "text/html" in headers.get("accept", ""):
                raise Refused(303, "sign in first", headers={"location": "/sign-in"})
            raise Refused(401, "sign in first")
        if changes and path.startswith(UPLOADS):
            _require_disk_space(headers.get("content-length", ""), home)

    return Rules(admit=admit, body_limit=_body_limit, refusal=_as_text, headers=HEADERS)


def require_password(host: str, password: str | None) -> None:
    """Raise SpecError if other machines could come in without a password, or the password is too short."""
    if host not in LOOPBACK and not password:
        raise SpecError(
            f"other machines can reach {host}, and no password is set",
            hint="Add --auth to set one, or leave --host out to serve this machine only.",
            where="--host",
        )
    if password is not None and len(password) < 8:
        raise SpecError("the password is shorter than 8 characters", hint="Choose a longer one.", where="--auth")


def cookie_of(header: str) -> str | None:
    """Our cookie in a Cookie header."""
    try:
        cookie = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie else None


def _is_public(path: str) -> bool:
    return any(path == name or (name.endswith("/") and path.startswith(name)) for name in PUBLIC)


def _body_limit(path: str) -> int:
    return LARGEST_UPLOAD if path.startswith(UPLOADS) else LARGEST_REQUEST


def _require_disk_space(length: str, home: Path) -> None:
    """Raise Refused for an upload of unknown length, or one that leaves too little disk space: it is stored twice."""
    if not length.isdigit():
        raise Refused(411, "an upload must state its length (Content-Length)")
    if int(length) > LARGEST_UPLOAD:
        raise Refused(413, f"one upload holds at most {size(LARGEST_UPLOAD)}")
    folder = next(item for item in (home, *home.parents) if item.exists())
    if shutil.disk_usage(folder).free - 2 * int(length) < KEEP_FREE:
        raise Refused(413, "there is too little free disk space for this upload")


def _as_text(refusal: Refused) -> Response:
    return PlainTextResponse(f"{refusal.message}\n", refusal.status, {"cache-control": "no-store", **(refusal.headers or {})})
