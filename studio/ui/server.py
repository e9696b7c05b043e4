"""The web server: our own FastAPI app in the HTTP shell, with Gradio's pages inside it."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp

from studio import __version__
from studio.core import journal, outbound
from studio.core.files import make_home
from studio.core.html import render
from studio.http.hosts import LOOPBACK
from studio.http.proxy import Proxied
from studio.http.server import Server, listen
from studio.http.server import url as address
from studio.http.shell import Shell
from studio.ui import access, downloads, gradio_tuning, signin, visit
from studio.ui.session import OneTimeLink, Password, Sessions

if TYPE_CHECKING:
    from fastapi import FastAPI

STATIC = Path(__file__).parent / "static"
DRAIN = 3.0
"""Seconds that answers under way may take when the studio ends; its pages come back by themselves."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Served:
    """A server ready to run: the application to serve and the link that opens it once."""

    app: ASGIApp
    inner: FastAPI
    """What the shell is around."""
    link: OneTimeLink
    url: str


def build(
    home: Path,
    host: str = "127.0.0.1",
    port: int = 7860,
    password: str | None = None,
    names: tuple[str, ...] = (),
    tell: Tell = lambda line: None,
    proxies: tuple[str, ...] = (),
) -> Served:
    """Put the application together. Raises SpecError for a host that others reach without a password.

    proxies: addresses of reverse proxies whose headers are believed. Others reach the studio through them.
    """
    access.require_password(host, password, home, proxies)
    _environment(home)
    from fastapi import FastAPI
    from gradio import mount_gradio_app
    from starlette.staticfiles import StaticFiles

    from studio.ui import look, site

    sessions = Sessions(home / "ui" / "session.key")
    url = address(host, port)
    link = OneTimeLink(lambda token: tell(f"For another browser: {url}/sign-in?token={token}"))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/look", StaticFiles(directory=STATIC), name="look")
    signin.add_routes(app, sessions, link, Password(password) if password else None, home)
    downloads.add_routes(app, home)

    def user(request: HTTPConnection) -> str | None:
        here = visit.of(request)
        return (here.person.name or "owner") if here else None

    with warnings.catch_warnings():
        # Gradio warns of server-side rendering with several pages even where it is off
        warnings.filterwarnings("ignore", message="SSR mode")
        mount_gradio_app(
            app,
            site.build(home),
            path="/",
            auth_dependency=user,
            app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            max_file_size=access.LARGEST_UPLOAD,
            blocked_paths=[str(home / "ui"), str(home / "secrets")],
            favicon_path=str(STATIC / "favicon.svg"),
            theme=look.theme(),
            css_paths=[STATIC / "studio.css"],
            head=look.HEAD,
        )
    pages = next(route.app for route in reversed(app.routes) if isinstance(route, Mount) and route.path == "")
    cast("FastAPI", pages).add_exception_handler(404, _not_found)
    gradio_tuning.tune(pages)
    hosts = LOOPBACK | frozenset(names) | ({socket.gethostname(), host} if host not in LOOPBACK else set())
    shell = Shell(app, access.rules(sessions, frozenset(hosts), host not in LOOPBACK, home))
    return Served(Proxied(shell, proxies) if proxies else shell, app, link, url)


def serve(
    home: Path,
    host: str,
    port: int,
    password: str | None,
    names: tuple[str, ...],
    tell: Tell,
    proxies: tuple[str, ...] = (),
) -> None:
    """Serve until interrupted. `tell` takes lines for the terminal, among them the link that lets a browser in.

    Raises SpecError, HardwareError.
    """
    access.require_password(host, password, home, proxies)
    listener = listen(host, port, "The studio may be running already; else choose another with --port.")
    port = listener.getsockname()[1]
    _environment(home)
    outbound.apply(home, shared=host not in LOOPBACK or bool(names or proxies))
    os.chdir(home / "ui")  # a relative path from a page can name nothing of anyone's
    served = build(home, host, port, password, names, tell, proxies)
    tell(f"Studio is at {served.url}")
    if host in LOOPBACK or password is None:
        tell(f"Open it with this link (it works once): {served.url}/sign-in?token={served.link.token}")
    log = journal.of_home(home, "web")
    log.write({"event": "started", "version": __version__, "pid": os.getpid(), "host": host, "port": port})
    try:
        Server(served.app, DRAIN).run_on(listener)
    finally:
        log.write({"event": "ended", "pid": os.getpid()})


async def _not_found(request: Request, error: Exception) -> Response:
    """A page for people, a line for programs."""
    if "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(render("studio.ui", "not_found.html"), 404)
    return PlainTextResponse("not found\n", 404)


def _environment(home: Path) -> None:
    """What Gradio reads when it is imported: no telemetry, and a private folder for uploads."""
    make_home(home)
    folder = home / "ui" / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(home / "ui", 0o700)
    os.environ.update(GRADIO_TEMP_DIR=str(folder), GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")
