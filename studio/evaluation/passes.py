"""A pass over many rows by a model: some at once, with progress, and ended when asked to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from studio.core.errors import Stopped
from studio.tracking.reporter import Reporter

T = TypeVar("T")


def in_batches(rows: Iterable[T], size: int, count: int, what: str, reporter: Reporter) -> Iterator[list[T]]:
    """The rows, `size` at once; count: how many there are. what: what the progress is of. Raises Stopped when asked to stop."""
    done = 0
    every = iter(rows)
    while some := list(islice(every, size)):
        if reporter.should_stop():
            raise Stopped
        reporter.progress(done, count, what)
        yield some
        done += len(some)
    reporter.progress(count, count, what)
