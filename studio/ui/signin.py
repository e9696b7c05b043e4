"""The sign-in page and its routes: a one-time link, a password, or a name and its password; and signing out."""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

from studio.app import audit, users
from studio.core.errors import StudioError
from studio.core.html import render
from studio.core.text import duration
from studio.ui import visit
from studio.ui.session import COOKIE, LASTS, SHARED, OneTimeLink, Password, Sessions, Throttle

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

ANYONES = 50
"""Wrong passwords for one account, or for the one password, from whatever addresses, after which it has to wait as an address
does. The link in the terminal signs in meanwhile."""


def add_routes(app: Starlette, sessions: Sessions, link: OneTimeLink, password: Password | None, home: Path) -> None:
    """`/sign-in` (GET: the page, or a one-time link; POST: the password) and `/sign-out`."""
    from starlette.responses import HTMLResponse, RedirectResponse, Response

    throttle, accounts = Throttle(), Throttle(free=ANYONES)

    def shown(message: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        try:
            by_name = bool(users.listing(home))
        except StudioError as error:
            return HTMLResponse(page(f"{error.sentence}. {error.hint}", False), 503)
        return HTMLResponse(page(message, by_name or password is not None, by_name), status, headers)

    def let_in(request: Request, name: str, cookie: str) -> Response:
        audit.record(home, name, "sign-in", address=address_of(request))
        # A page rather than a redirect: a SameSite=Strict cookie does not travel with redirects that began on another site.
        response = HTMLResponse(page("You are signed in.", False, done=True))
        secure = request.url.scheme == "https"  # only behind a proxy that ends TLS: the studio itself speaks plain HTTP
        response.set_cookie(COOKIE, cookie, max_age=LASTS, httponly=True, samesite="strict", path="/", secure=secure)
        return response

    async def show(request: Request) -> Response:
        token = request.query_params.get("token")
        if token is None:
            return RedirectResponse("/", 303) if visit.of(request) else shown("")
        if link.spend(token):
            return let_in(request, "owner", sessions.new())
        if visit.of(request):
            return RedirectResponse("/", 303)
        return shown("This link has already been used. The terminal shows a new one.", 403)

    async def check(request: Request) -> Response:
        address = address_of(request)
        network = network_of(address)
        form = await request.form()
        given, name = str(form.get("password", "")), str(form.get("name", "")).strip().lower()[:64]
        if (wait := max(throttle.wait(network), accounts.wait(name))) > 0:
            text = f"Too many wrong passwords. Try again in {duration(max(1, wait))}."
            return shown(text, 429, {"retry-after": str(int(wait) + 1)})
        throttle.failed(network)  # counted before it is checked: parallel tries cannot slip through
        accounts.failed(name)
        try:
            cookie = await asyncio.to_thread(checked, name, given)
        except StudioError as error:
            return HTMLResponse(page(f"{error.sentence}. {error.hint}", False), 503)
        if not cookie:
            audit.record(home, name, "sign-in", outcome="refused", address=address)
            return shown("Wrong name or password." if users.listing(home) else "Wrong password.", 403)
        throttle.succeeded(network)
        accounts.succeeded(name)
        return let_in(request, name or "owner", cookie)

    def checked(name: str, entered: str) -> str:
        """The cookie of a new session; empty for a wrong password. Where there are accounts, only they sign in."""
        if users.listing(home):
            user = users.check(home, name, entered)
            return sessions.new(user.name, user.stamp) if user else ""
        return sessions.new(SHARED) if password is not None and password.matches(entered) else ""

    async def leave(request: Request) -> Response:
        if here := visit.of(request):
            audit.record(home, here.person, "sign-out", address=here.address)
        response = shown("You are signed out.")
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    async def leave_everywhere(request: Request) -> Response:
        if here := visit.of(request):
            audit.record(home, here.person, "sessions.end", address=here.address)
        sessions.end_all()
        return await leave(request)

    app.add_route("/sign-in", show, methods=["GET"])
    app.add_route("/sign-in", check, methods=["POST"])
    app.add_route("/sign-out", leave, methods=["POST"])
    app.add_route("/sign-out-everywhere", leave_everywhere, methods=["POST"])


def address_of(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else ""


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the first 64 bits, as whoever has one address has all that begin so."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((found, 64), strict=False))


def page(message: str, with_password: bool, by_name: bool = False, done: bool = False) -> str:
    """The page as HTML. by_name asks for a name too; done leads on to the studio."""
    return render("studio.ui", "sign_in.html", message=message, with_password=with_password, by_name=by_name, done=done)
