"""Use case of asking a run, export or model as a server answers: it is served on this machine while a block runs."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path

from studio.evaluation.judge.settings import endpoint
from studio.runs.local_server import Local

__all__ = ["Local", "endpoint", "serve"]


@contextlib.contextmanager
def serve(reference: str, home: Path, concurrency: int = 8) -> Generator[Local]:
    """A run, an export or a model on a free port of this machine; an API, `URL#MODEL`, as it is. Raises StudioError."""
    if reference.startswith(("http://", "https://")):
        yield Local(endpoint(reference))
        return
    from studio import worker
    from studio.app import gpu_use, serving
    from studio.runs.local_server import served

    worker.set_environment()
    source = serving.sources(serving.ServeRequest((reference,)), home)[0]
    with gpu_use.or_refuse("a local server", "Start it again when that has ended."), served(source, concurrency) as local:
        yield local
