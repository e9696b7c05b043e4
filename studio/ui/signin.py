"""The sign-in page and its routes: a one-time link, or a password; and signing out."""

from __future__ import annotations

import asyncio
from typing import Any

from studio.core.html import render
from studio.core.text import duration
from studio.ui.session import COOKIE, LASTS, OneTimeLink, Password, Sessions, Throttle


def add_routes(app: Any, sessions: Sessions, link: OneTimeLink, password: Password | None) -> None:
    """`/sign-in` (GET: the page, or a one-time link; POST: the password) and `/sign-out`."""
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, RedirectResponse, Response

    throttle = Throttle()

    def let_in() -> Response:
        # A page rather than a redirect: a SameSite=Strict cookie does not travel with redirects that began on another site.
        response = HTMLResponse(page("You are signed in.", password is not None, done=True))
        response.set_cookie(COOKIE, sessions.new(), max_age=LASTS, httponly=True, samesite="strict", path="/")
        return response

    async def show(request: Request) -> Response:
        token = request.query_params.get("token")
        if token is None:
            if sessions.valid(request.cookies.get(COOKIE)):
                return RedirectResponse("/", 303)
            return HTMLResponse(page("", password is not None))
        if link.spend(token):
            return let_in()
        if sessions.valid(request.cookies.get(COOKIE)):
            return RedirectResponse("/", 303)
        return HTMLResponse(page("This link has already been used. The terminal shows a new one.", password is not None), 403)

    async def check(request: Request) -> Response:
        address = request.client.host if request.client else ""
        if (wait := throttle.wait(address)) > 0:
            text = f"Too many wrong passwords. Try again in {duration(max(1, wait))}."
            return HTMLResponse(page(text, True), 429, {"retry-after": str(int(wait) + 1)})
        form = await request.form()
        given = str(form.get("password", ""))
        throttle.failed(address)  # counted before it is checked: parallel tries cannot slip through
        if password is None or not await asyncio.to_thread(password.matches, given):
            return HTMLResponse(page("Wrong password.", password is not None), 403)
        throttle.succeeded(address)
        return let_in()

    async def leave(request: Request) -> Response:
        response = HTMLResponse(page("You are signed out.", password is not None))
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    async def leave_everywhere(request: Request) -> Response:
        sessions.end_all()
        return await leave(request)

    app.add_route("/sign-in", show, methods=["GET"])
    app.add_route("/sign-in", check, methods=["POST"])
    app.add_route("/sign-out", leave, methods=["POST"])
    app.add_route("/sign-out-everywhere", leave_everywhere, methods=["POST"])


def page(message: str, with_password: bool, done: bool = False) -> str:
    """The page as HTML. done leads on to the studio."""
    return render("studio.ui", "sign_in.html", message=message, with_password=with_password, done=done)
