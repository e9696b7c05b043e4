"""Prompts rendered and tokenised aside from the event loop, so that no request holds up another's.

Short prompts have a thread of their own: they never wait behind a long one. Long ones take turns by client: each client
has one of them under way at a time, whatever number it sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakValueDictionary

SHORT = 32 << 10
"""Bytes of a request's body up to which its prompts count as short; they take some milliseconds."""

T = TypeVar("T")


class Encoders:
    """Two threads, one for short prompts and one for long ones. Belongs to the event loop."""

    def __init__(self) -> None:
        self._short, self._long = ThreadPoolExecutor(1, "encode-short"), ThreadPoolExecutor(1, "encode-long")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run(self, work: Callable[[], T], length: int, client: str) -> T:
        """What `work` returns, done in a thread; length: bytes of the request. Cancelled, it is not begun any more."""
        loop = asyncio.get_running_loop()
        if length <= SHORT:
            return await loop.run_in_executor(self._short, work)
        turn = self._turns.setdefault(client, asyncio.Lock())
        async with turn:
            return await loop.run_in_executor(self._long, work)

    def close(self) -> None:
        """End the threads."""
        self._short.shutdown(wait=False, cancel_futures=True)
        self._long.shutdown(wait=False, cancel_futures=True)
