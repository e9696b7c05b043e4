"""Streams of the pretend GPU: what is computed is there at once, and a copy beside it as late as it may be.

A copy on a stream of its own is made only when somebody waits for it. Until then its target is full of NaN. One that is started
before its stream waited for the computation, or whose source was given back by then, is an error: on a GPU it would copy
whatever is in memory.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch


class Race(AssertionError):
    """Something that would be read too early, or written too late."""


class _Copy:
    """A copy that is still to be made. It does not hold its source."""

    def __init__(self, target: Any, source: Any) -> None:
        self.target, self.storage = target, weakref.ref(source.untyped_storage())
        self.place = (source.storage_offset(), source.size(), source.stride())
        self.dtype = source.dtype

    def make(self) -> None:
        storage = self.storage()
        if storage is None:
            raise Race("the memory of a tensor was given back before it was copied")
        self.target.copy_(torch.empty(0, dtype=self.dtype).set_(storage, *self.place))


class Stream:
    """A stream beside the computation."""

    using: ClassVar[list[Stream]] = []

    def __init__(self) -> None:
        self.waiting: list[_Copy] = []
        self.after_computation = False

    def wait_stream(self, other: object) -> None:
        """All that was computed up to here comes before what this stream does next."""
        self.after_computation = True

    def record_event(self) -> Callable[[], None]:
        """A call that makes the copies that were started before."""
        started = list(self.waiting)

        def reached() -> None:
            for copy in started:
                if copy in self.waiting:
                    self.waiting.remove(copy)
                    copy.make()

        return reached


class _Computation:
    """The stream that computes: what it is given is done at once."""

    def wait_event(self, event: Callable[[], None]) -> None:
        event()


@contextlib.contextmanager
def using(stream: Stream) -> Iterator[None]:
    """Inside, what is started goes to `stream`."""
    Stream.using.append(stream)
    try:
        yield
    finally:
        Stream.using.pop()
        stream.after_computation = False  # something may be computed until it is used again


def copying(own: Callable[..., Any]) -> Callable[..., Any]:
    """`Tensor.copy_`, which on a stream beside the computation leaves the copy for later."""

    def copy_(target: Any, source: Any, non_blocking: bool = False) -> Any:
        if not Stream.using or not non_blocking:
            return own(target, source, non_blocking)
        stream = Stream.using[-1]
        if not stream.after_computation:
            raise Race("a copy was started beside the computation of what it copies")
        target.fill_(float("nan"))
        stream.waiting.append(_Copy(target, source))
        return target

    return copy_


def current() -> _Computation:
    """The stream that computes."""
    return _Computation()
