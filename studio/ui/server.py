"""The web server: our own FastAPI app with the gate before it and Gradio's pages inside it."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.errors import HardwareError, SpecError
from studio.ui import downloads, signin
from studio.ui.guard import LARGEST_UPLOAD, Guard, cookie_of
from studio.ui.session import OneTimeLink, Password, Sessions

STATIC = Path(__file__).parent / "static"
Tell = Callable[[str], None]
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Served:
    """A server ready to run: the application to serve and the link that opens it once."""

    app: Any
    link: OneTimeLink
    url: str


def build(
    home: Path,
    host: str = "127.0.0.1",
    port: int = 7860,
    password: str | None = None,
    names: tuple[str, ...] = (),
    tell: Tell = lambda line: None,
) -> Served:
    """Put the application together. Raises SpecError for a host that others reach without a password."""
    _refuse_open_door(host, password)
    _environment(home)
    from fastapi import FastAPI
    from gradio import mount_gradio_app
    from starlette.staticfiles import StaticFiles

    from studio.ui import look, site

    sessions = Sessions(home / "ui" / "session.key")
    url = f"http://{_shown(host)}:{port}"
    link = OneTimeLink(lambda token: tell(f"For another browser: {url}/sign-in?token={token}"))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/look", StaticFiles(directory=STATIC), name="look")
    signin.add_routes(app, sessions, link, Password(password) if password else None)
    downloads.add_routes(app, home)

    def user(request: Any) -> str | None:
        return "you" if sessions.valid(cookie_of(request.headers.get("cookie", ""))) else None

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
        max_file_size=LARGEST_UPLOAD,
        blocked_paths=[str(home / "ui"), str(home / "secrets")],
        favicon_path=str(STATIC / "favicon.svg"),
        theme=look.theme(),
        css_paths=[STATIC / "studio.css"],
        head=look.HEAD,
    )
    hosts = LOOPBACK | frozenset(names) | ({socket.gethostname(), host} if host not in LOOPBACK else set())
    return Served(Guard(app, sessions, frozenset(hosts), host not in LOOPBACK, home), link, url)


def serve(home: Path, host: str, port: int, password: str | None, names: tuple[str, ...], tell: Tell) -> None:
    """Serve until interrupted. `tell` is given the link that lets a browser in. Raises SpecError, HardwareError."""
    _refuse_open_door(host, password)
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    _environment(home)
    os.chdir(home / "ui")  # a relative path from a page can name nothing of anyone's
    served = build(home, host, port, password, names, tell)
    import uvicorn

    tell(f"Studio is at {served.url}")
    if host in LOOPBACK or password is None:
        tell(f"Open it with this link (it works once): {served.url}/sign-in?token={served.link.token}")
    config = uvicorn.Config(served.app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=3)
    uvicorn.Server(config).run(sockets=[listener])


def _refuse_open_door(host: str, password: str | None) -> None:
    if host not in LOOPBACK and not password:
        raise SpecError(
            f"other machines can reach {host}, and no password is set",
            hint="Add --auth to set one, or leave --host out to serve this machine only.",
            where="--host",
        )
    if password is not None and len(password) < 8:
        raise SpecError("the password is shorter than 8 characters", hint="Choose a longer one.", where="--auth")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio then turns Nagle's algorithm off
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise HardwareError(
            f"port {port} cannot be served ({problem.strerror})",
            hint="The studio may be running already; else choose another with --port.",
            where=f"{host}:{port}",
        ) from None
    listener.listen(128)
    return listener


def _environment(home: Path) -> None:
    """What Gradio reads when it is imported: no telemetry, and a private folder for uploads."""
    folder = home / "ui" / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(home / "ui", 0o700)
    os.environ.update(GRADIO_TEMP_DIR=str(folder), GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1")


def _shown(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if address.version == 6 else host
