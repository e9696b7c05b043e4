"""Who may use the web studio: known host, same origin, a session, bounded uploads; and headers that keep others out."""

from __future__ import annotations

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from pathlib import Path

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from studio.app import audit, quota, roles, users
from studio.app.quota import Uploads
from studio.app.roles import Action
from studio.core import journal
from studio.core.errors import SpecError, StudioError
from studio.core.text import size
from studio.http.hosts import LOOPBACK, require_known_host, require_same_origin
from studio.http.refusal import Refused
from studio.http.shell import Rules
from studio.ui.session import COOKIE, Sessions
from studio.ui.visit import Visit, person_of
from studio.ui.visit import of as visit_of

PUBLIC = ("/sign-in", "/look/")
"""What is served without a session: the page to sign in on, and the fonts and styles it needs."""
UPLOADS = "/gradio_api/upload"
LARGEST_UPLOAD = 2 << 30
"""Bytes of one upload, all its files together."""
LARGEST_REQUEST = 8 << 20
"""Bytes of any other request."""
EVENTS = (
    "/gradio_api/queue/",
    "/gradio_api/run/",
    "/gradio_api/api/",
    "/run/",
    "/api/",
    "/queue/",
)
"""Where Gradio takes events. Each event asks `roles` itself (`frame.act`), since it alone knows what it does."""
UNUSED = (
    "/gradio_api/call/",
    "/gradio_api/component_server",
    "/gradio_api/deep_link",
    "/gradio_api/process_recording",
    "/gradio_api/stream/",
    "/gradio_api/vibe-edit",
    "/gradio_api/undo-vibe-edit",
    "/call/",
)
"""Routes of Gradio that no page of this studio asks: they are not there."""
UNNOTED = (
    "/look/",
    "/assets/",
    "/static/",
    "/theme.css",
    "/gradio_api/heartbeat",
    "/gradio_api/queue/",
    "/favicon",
    "/svelte/",
)
"""What the log leaves out where it went well: what pages ask by themselves, every few seconds or many at once."""
OF_EVERYONE = ("/sign-in", "/sign-out", "/gradio_api/cancel", "/gradio_api/reset", "/cancel", "/reset")
"""What everybody may send who is signed in. Anything else that changes something needs a member."""
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # other sites learn nothing; with `no-referrer` a form's POST says `Origin: null`
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=()",
}


def rules(sessions: Sessions, hosts: Collection[str], any_address: bool, home: Path) -> Rules:
    """The web studio's rules. hosts: the names it is reached by; any_address: bare IP addresses are let in too."""

    uploads = Uploads()

    def admit(request: HTTPConnection) -> None:
        headers, path = request.headers, request.scope["path"]
        method = request.scope.get("method", "GET")
        host = headers.get("host", "")
        require_known_host(host, hosts, any_address)
        changes = method not in ("GET", "HEAD") or request.scope["type"] == "websocket"
        if changes:
            require_same_origin(headers.get("origin"), headers.get("sec-fetch-site"), host)
        visit = _visit(sessions, request, home)
        if visit is None and not _is_public(path):
            if method == "GET" and "text/html" in headers.get("accept", ""):
                raise Refused(303, "sign in first", headers={"location": "/sign-in"})
            raise Refused(401, "sign in first")
        if visit is None:
            return
        request.state.visit = visit
        if path.startswith(UNUSED):
            raise Refused(404, "not found")
        if changes and path.startswith(UPLOADS):
            require_role(visit, "data.upload")
            _require_space(headers.get("content-length", ""), visit, uploads)
        elif changes and path == "/sign-out-everywhere":
            require_role(visit, "sessions.end")
        elif changes and path not in OF_EVERYONE and not path.startswith(EVENTS):
            require_role(visit, "data.add")

    log = journal.of_home(home, "web")

    def ended(request: HTTPConnection, status: int, seconds: float) -> None:
        """Note a request: no query, no body, and of a path only its beginning, since file names may be data."""
        path, here = request.scope["path"], visit_of(request)
        if status >= 400 or not path.startswith(UNNOTED):
            values = {"event": "request", "method": request.scope.get("method", ""), "path": _path(path), "status": status}
            values |= {"ms": round(seconds * 1000), "who": here.person.name or "owner" if here else ""}
            log.write(values | {"id": request.state.request_id})

    return Rules(admit=admit, body_limit=_body_limit, refusal=_as_text, headers=HEADERS, ended=ended)


def _path(path: str) -> str:
    """A path as it may stand in a log: the route, without what names somebody's file."""
    return "/".join(path.split("=")[0][:80].split("/")[:4])


def require_password(host: str, password: str | None, home: Path, proxies: Collection[str] = ()) -> None:
    """Raise SpecError if other machines could come in without a password, the password is too short, or there are two ways in.

    Where there are accounts, they have passwords of their own, and no shared one is taken.
    """
    accounts = users.listing(home)
    if accounts and password:
        raise SpecError(
            f"there are accounts ({', '.join(user.name for user in accounts[:5])}), who sign in with their own passwords",
            hint="Leave --auth out; or remove the accounts: studio users remove NAME.",
            where="--auth",
        )
    if (host not in LOOPBACK or proxies) and not password and not accounts:
        raise SpecError(
            f"other machines can reach {'it through the proxy' if proxies else host}, and no password is set",
            hint="Add --auth to set one, add accounts (studio users add NAME), or leave --host out to serve this machine only.",
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


def require_role(visit: Visit, action: Action) -> None:
    """Raise Refused (403) if the role of who asks does not allow an action; the refusal stands in the audit log."""
    try:
        roles.require(visit.person, action)
    except StudioError as error:
        audit.record(visit.home, visit.person, action, outcome="refused", address=visit.address)
        raise Refused(403, f"{error.message}. {error.hint}", code="role") from None


def _visit(sessions: Sessions, request: HTTPConnection, home: Path) -> Visit | None:
    session = sessions.read(cookie_of(request.headers.get("cookie", "")))
    person = person_of(session, home) if session is not None else None
    if session is None or person is None:
        return None
    return Visit(person, session.id, home, request.client.host if request.client else "")


def _is_public(path: str) -> bool:
    return any(path == name or (name.endswith("/") and path.startswith(name)) for name in PUBLIC)


def _body_limit(path: str) -> int:
    return LARGEST_UPLOAD if path.startswith(UPLOADS) else LARGEST_REQUEST


def _require_space(length: str, visit: Visit, uploads: Uploads) -> None:
    """Raise Refused for an upload of unknown length, or one too large for session, quota or disk, where it is stored twice."""
    if not length.isdigit():
        raise Refused(411, "an upload must state its length (Content-Length)")
    if int(length) > LARGEST_UPLOAD:
        raise Refused(413, f"one upload holds at most {size(LARGEST_UPLOAD)}")
    try:
        quota.require_space(visit.home, 2 * int(length), "this upload")
        uploads.take(visit.session, int(length), quota.bounds(visit.home).session_uploads)
    except StudioError as error:
        audit.record(visit.home, visit.person, "data.upload", outcome="refused", address=visit.address, why=error.where)
        raise Refused(413, f"{error.message}. {error.hint}", code="quota") from None


def _as_text(refusal: Refused) -> Response:
    return PlainTextResponse(f"{refusal.message}\n", refusal.status, {"cache-control": "no-store", **(refusal.headers or {})})
