"""The server process: listen, serve, and end gracefully when asked to."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import uvicorn

from studio.core.errors import HardwareError, SpecError
from studio.serving.asgi import Application, Post
from studio.serving.gate import LOOPBACK, Gate
from studio.serving.keys import Keys
from studio.serving.limits import Limits
from studio.serving.metrics import Metrics
from studio.serving.served import Served


def refuse_open_door(host: str, keys: Keys | None) -> None:
    """Raise SpecError if other machines could ask without a key."""
    if host not in LOOPBACK and keys is None:
        raise SpecError(
            f"other machines can reach {host}, and there are no API keys",
            hint="Make one with `studio serve --new-key NAME` and add --api-key-file FILE, or leave --host out.",
            where="--host",
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises HardwareError if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP, or asyncio leaves Nagle's algorithm on and a kept-open connection's first token waits 40 ms for an ack
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise HardwareError(
            f"port {port} cannot be served ({problem.strerror})",
            hint="Something else may use it; choose another with --port.",
            where=f"{host}:{port}",
        ) from None
    listener.listen(1024)
    return listener


def application(models: Mapping[str, Served], post: Post, limits: Limits, keys: Keys | None, host: str = "127.0.0.1") -> Gate:
    """The whole application, gate and all."""
    metrics = Metrics(dict.fromkeys(model.scheduler for model in models.values()))
    hosts = LOOPBACK | {host.lower()}
    return Gate(Application(models, metrics, post), keys, frozenset(hosts), limits.body, metrics)


def serve(
    gate: Gate,
    listener: socket.socket,
    limits: Limits,
    ready: Callable[[], None] = lambda: None,
    end: threading.Event | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then take no more and let answers under way end within `limits.drain` seconds.

    ready is called once every model is loaded. A second signal ends at once. In another thread than the first, where
    signals do not come, `end` says when.
    """
    config = uvicorn.Config(
        gate,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=max(1, round(limits.drain)),
        timeout_keep_alive=30,
        ws="none",
        h11_max_incomplete_event_size=64 << 10,
    )
    server = _Server(config)
    server.gate = gate
    threading.Thread(target=_tell_when_ready, args=(server, ready), daemon=True).start()
    asyncio.run(_run(server, listener, end))


async def _run(server: _Server, listener: socket.socket, end: threading.Event | None) -> None:
    async def until() -> None:
        while end is not None and not end.is_set():
            await asyncio.sleep(0.1)
        server.handle_exit(signal.SIGTERM, None)

    watch = asyncio.create_task(until()) if end is not None else None
    await server.serve([listener])
    if watch is not None:
        watch.cancel()


class _Server(uvicorn.Server):
    """uvicorn, but ending by a signal is a good end: the exit code is 0, and /ready says so while answers end."""

    gate: Gate

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
        self.gate.app.draining = True
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def _tell_when_ready(server: _Server, ready: Callable[[], None]) -> None:
    """Call `ready` once everything is loaded; end the server if something cannot be."""
    schedulers = server.gate.app.schedulers
    while not all(item.ready or item.failed for item in schedulers):
        time.sleep(0.05)
    if all(item.ready for item in schedulers):
        ready()
    else:
        server.should_exit = True
