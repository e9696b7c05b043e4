"""One run per device: a lock file that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.core.errors import Stopped


@contextmanager
def slot(
    root: Path, device: str, holder: str, should_stop: Callable[[], bool], waiting: Callable[[str], None]
) -> Iterator[None]:
    """Hold the device (`cpu`, or a GPU's uuid) alone; wait for it if another run has it.

    waiting is called once with the id of the run that holds it. Raises Stopped if asked to stop while waiting.
    """
    path = root / "locks" / f"{device}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as lock:
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    lock.seek(0)
                    waiting(lock.read().strip())
                    told = True
                if should_stop():
                    raise Stopped from None
                time.sleep(0.5)
        lock.seek(0)
        lock.truncate()
        lock.write(holder)
        lock.flush()
        os.utime(path)
        yield
