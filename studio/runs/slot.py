"""One run per device of the machine: a lock that the kernel releases when its holder ends, however it ends.

The locks lie in a folder that all users and all homes of the machine share, because a GPU belongs to the machine: two homes,
or two people, must not train on it at once.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from studio.core.errors import Stopped
from studio.processes import locks

VARIABLE = "STUDIO_LOCKS"
"""The environment variable that names another folder for the machine's locks, e.g. one that containers share."""
SHARED = Path("/tmp/studio-locks")


def folder() -> Path:
    """The folder of the machine's locks, made so that every user may add a file and nobody removes another's."""
    path = Path(os.environ.get(VARIABLE) or SHARED)
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            path.mkdir(parents=True)
            path.chmod(0o1777)
    if path.is_symlink() or not stat.S_ISDIR(path.lstat().st_mode):  # somebody else's trap in a folder all may write to
        raise PermissionError(f"{path} is not a folder")
    return path


@contextmanager
def slot(device: str, holder: str, should_stop: Callable[[], bool], waiting: Callable[[str], None]) -> Generator[None]:
    """Hold the device (`cpu`, or a GPU's UUID) alone; wait for it if another run has it.

    waiting is called once with the id of the run that holds it. Raises Stopped if asked to stop while waiting.
    """
    announced = False

    def give_up(signature: str) -> bool:
        nonlocal announced
        if not announced:
            waiting(signature)
            announced = True
        return should_stop()

    try:
        with locks.hold(folder() / f"{device}.lock", give_up, pause=0.5) as lock:
            lock.sign(holder)
            yield
    except locks.LockHeld:
        raise Stopped from None
