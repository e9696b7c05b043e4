"""A model of this machine, served on a free port while a block runs, so that it is asked as an API is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from dataclasses import dataclass

from studio.core.errors import JobError
from studio.remote.endpoint import Endpoint
from studio.serving.assemble import Source

LOADING = 1800.0
"""Seconds that loading a model may take."""


@dataclass(frozen=True)
class Local:
    """What is served: where, and the system prompt it was trained with."""

    endpoint: Endpoint
    system: str = ""


@contextlib.contextmanager
def served(source: Source, concurrency: int = 8) -> Generator[Local]:
    """The model behind an API of this machine. The caller holds the GPU. Raises StudioError."""
    from studio.hardware import machine
    from studio.http.server import listen
    from studio.serving import assemble, server
    from studio.serving.application import Dispatcher
    from studio.serving.limits import Limits

    limits, device = Limits(concurrency=concurrency, drain=1), machine.probe()
    dispatcher, listener = Dispatcher(), listen("127.0.0.1", 0)
    models = assemble.assemble([source], limits, device.device, device.cores, dispatcher)
    app = server.application(models, dispatcher, limits, None)
    ready, end = threading.Event(), threading.Event()
    running = threading.Thread(target=server.serve, args=(app, listener, limits, ready.set, end), daemon=True)
    running.start()
    try:
        _wait(ready, running, source.requested_as)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        yield Local(Endpoint(url=url, model=source.name), source.system)
    finally:
        end.set()
        running.join(20)
    failed = next((item.failed for item in app.schedulers if item.failed is not None), None)
    if failed is not None:
        raise failed


def _wait(ready: threading.Event, running: threading.Thread, name: str) -> None:
    """Until the model is loaded. Raises JobError if its server ends before."""
    waited = 0.0
    while not ready.wait(0.2):
        waited += 0.2
        if not running.is_alive() or waited > LOADING:
            raise JobError("the model could not be loaded", hint="Run it with studio serve to see why.", where=name)
