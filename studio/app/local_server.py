"""Use case of asking a run, export or model as a server answers: it is served on this machine while a block runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import JobError, SpecError
from studio.remote.endpoint import Endpoint

LOADING = 1800.0
"""Seconds that loading a model may take."""


@dataclass(frozen=True)
class Local:
    """What is served: where, and the system prompt it was trained with."""

    endpoint: Endpoint
    system: str = ""


def endpoint(given: str, key: str | None = None, price: tuple[float, float] | None = None) -> Endpoint:
    """A model behind an API, `URL#MODEL`. price: US dollars per million tokens read and written. Raises SpecError."""
    from studio.remote.endpoint import Price

    url, mark, model = given.partition("#")
    if not (mark and model and url.startswith(("http://", "https://"))):
        raise SpecError(
            "expected a model behind an API", hint="Write URL#MODEL, for example http://127.0.0.1:8000/v1#bot.", where=given
        )
    return Endpoint(url=url, model=model, key=key, price=Price(input=price[0], output=price[1]) if price else None)


@contextlib.contextmanager
def serve(given: str, home: Path, concurrency: int = 8) -> Iterator[Local]:
    """A run, an export or a model on a free port of this machine; an API, `URL#MODEL`, as it is. Raises StudioError."""
    if given.startswith(("http://", "https://")):
        yield Local(endpoint(given))
        return
    from studio import worker
    from studio.app import serving
    from studio.hardware import machine
    from studio.http.server import listen
    from studio.serving import server
    from studio.serving.limits import Limits

    worker.set_environment()
    limits = Limits(concurrency=concurrency, drain=1)
    source = serving.sources(serving.ServeRequest((given,), limits=limits), home)[0]
    device = machine.probe()
    with serving.gpu(device.uuid if device.device == "cuda" else ""):
        from studio.serving import assemble
        from studio.serving.application import Dispatcher

        dispatcher, listener = Dispatcher(), listen("127.0.0.1", 0)
        models = assemble.assemble([source], limits, device.device, device.cores, dispatcher)
        app = server.application(models, dispatcher, limits, None)
        ready, end = threading.Event(), threading.Event()
        running = threading.Thread(target=server.serve, args=(app, listener, limits, ready.set, end), daemon=True)
        running.start()
        try:
            _wait(ready, running, given)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            yield Local(Endpoint(url=url, model=source.name), source.system)
        finally:
            end.set()
            running.join(20)
        failed = next((item.failed for item in app.schedulers if item.failed is not None), None)
        if failed is not None:
            raise failed


def _wait(ready: threading.Event, running: threading.Thread, given: str) -> None:
    """Until the model is loaded. Raises JobError if its server ends before."""
    waited = 0.0
    while not ready.wait(0.2):
        waited += 0.2
        if not running.is_alive() or waited > LOADING:
            raise JobError("the model could not be loaded", hint="Run it with studio serve to see why.", where=given)
