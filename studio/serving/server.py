"""The server process: listen, serve, and end gracefully when asked to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping

from starlette.types import Receive, Scope, Send

from studio.http.hosts import LOOPBACK
from studio.http.server import Server
from studio.http.shell import Shell
from studio.serving import access
from studio.serving.application import Api, Dispatcher
from studio.serving.keys import Keys
from studio.serving.limits import Limits
from studio.serving.metrics import Metrics
from studio.serving.scheduler import Scheduler
from studio.serving.served import Served


class Application:
    """The API in its shell, as an ASGI application."""

    def __init__(self, api: Api, shell: Shell) -> None:
        self.api, self._shell = api, shell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's beginning and end. A slash at a path's end changes nothing."""
        if scope["type"] == "http" and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        await self._shell(scope, receive, send)

    @property
    def schedulers(self) -> list[Scheduler]:
        """The schedulers of its models."""
        return self.api.schedulers


def application(
    models: Mapping[str, Served], dispatcher: Dispatcher, limits: Limits, keys: Keys | None, host: str = "127.0.0.1"
) -> Application:
    """The whole application, shell and all."""
    metrics = Metrics(dict.fromkeys(model.scheduler for model in models.values()))
    api = Api(models, metrics, dispatcher)
    return Application(api, Shell(api.application(), access.rules(keys, LOOPBACK | {host.lower()}, limits, metrics)))


def serve(
    app: Application,
    listener: socket.socket,
    limits: Limits,
    ready: Callable[[], None] = lambda: None,
    end: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then take no more and let answers under way end within `limits.drain` seconds.

    ready is called once every model is loaded. A second signal ends at once. In another thread than the first, where
    signals do not come, `end` says when.
    """

    def drain() -> None:
        app.api.draining = True

    server = Server(app, limits.drain, drain)
    threading.Thread(target=_report_ready, args=(server, app.schedulers, ready), daemon=True).start()
    server.run_on(listener, end)


def _report_ready(server: Server, schedulers: list[Scheduler], ready: Callable[[], None]) -> None:
    """Call `ready` once everything is loaded; end the server if something cannot be."""
    while not all(item.ready or item.failed for item in schedulers):
        time.sleep(0.05)
    if all(item.ready for item in schedulers):
        ready()
    else:
        server.should_exit = True
