"""Being asked to end: in work of this process, SIGTERM and SIGHUP are heard as Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Generator


@contextlib.contextmanager
def heard_as_interrupt() -> Generator[None]:
    """While the block runs, this process hears a request to end (SIGTERM), or that its terminal was closed (SIGHUP), as Ctrl-C:
    what is half written is removed. Signals that are ignored or handled already are left as they are."""
    numbers = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    changed = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> None:
    signal.raise_signal(signal.SIGINT)
