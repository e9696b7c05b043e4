"""Listening and serving, the same for the web studio and the API: sockets, signals, time limits, a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from studio.core.errors import HardwareError

HEADER_SECONDS = 20.0
"""How long a client may take to send a request's headers, once it has connected or begun to send them."""


def listen(host: str, port: int, hint: str = "Something else may use it; choose another with --port.") -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises HardwareError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP, or asyncio leaves Nagle's algorithm on and a kept-open connection's first token waits 40 ms for an ack
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise HardwareError(f"port {port} cannot be served ({problem.strerror})", hint=hint, where=f"{host}:{port}") from None
    listener.listen(1024)
    return listener


def url(host: str, port: int) -> str:
    """The address to open: this machine's name where the server listens on every address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        return f"http://{socket.gethostname()}:{port}"
    return f"http://[{host}]:{port}" if address.version == 6 else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn with our time limits; ended by SIGTERM or SIGINT it ends gracefully, and that is a good end (exit code 0)."""

    def __init__(self, app: ASGIApp, drain: float, ending: Callable[[], None] = lambda: None) -> None:
        """drain: seconds that answers under way may take when the server ends; ending: called when it begins to end."""
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # `http.proxy` reads them, and only where a proxy was named
                timeout_graceful_shutdown=max(1, round(drain)),
                timeout_keep_alive=30,
                h11_max_incomplete_event_size=64 << 10,
            )
        )
        self._ending = ending

    def run_on(self, listener: socket.socket, end: threading.Event | None = None) -> None:
        """Serve until a signal comes, or until `end` is set: in another thread than the first no signals come."""
        asyncio.run(self._run_on(listener, end))

    async def _run_on(self, listener: socket.socket, end: threading.Event | None) -> None:
        async def until(event: threading.Event) -> None:
            while not event.is_set():
                await asyncio.sleep(0.1)
            self.handle_exit(signal.SIGTERM, None)

        waiting = asyncio.create_task(until(end)) if end is not None else None
        await self.serve([listener])
        if waiting is not None:
            waiting.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT for the time of the block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Begin to end; a second time, end at once."""
        self._ending()
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


class _Protocol(H11Protocol):
    """uvicorn's protocol, which waits for a request's headers without end; here a half-sent request is dropped."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._watch_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_headers()

    def send_400_response(self, msg: str) -> None:
        """Refuse a body that is no HTTP; whoever was reading it has nobody to answer any more."""
        super().send_400_response(msg)
        if self.cycle is not None:
            self.cycle.disconnected = True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _watch_headers(self) -> None:
        """Set the clock while headers are awaited, and stop it while a request is under way or the connection rests."""
        awaited = self.conn.their_state is h11.IDLE and (self.cycle is None or bool(self.conn.trailing_data[0]))
        if not awaited:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(HEADER_SECONDS, self._drop)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _drop(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self.transport.close()
