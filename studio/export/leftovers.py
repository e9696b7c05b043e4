"""What an export that was killed left beside the exports of its run: a whole copy of the model at times."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from studio.core.files import ASIDE
from studio.processes import locks


def lock_of(folder: Path) -> Path:
    """The lock that whoever makes the export `folder` holds."""
    return folder.with_name(f".{folder.name}.lock")


def abandoned(exports: Path) -> list[Path]:
    """Folders in `exports` that were written for exports which nobody makes now."""
    return [left for left, folder in _aside(exports) if not locks.is_held(lock_of(folder))]


def sweep_abandoned(exports: Path) -> None:
    """Remove them, whichever target left them."""
    for folder in {folder for _, folder in _aside(exports)}:
        with contextlib.suppress(locks.LockHeld, OSError), locks.hold(lock_of(folder), remove=True):
            sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what was left beside the export `folder`; an earlier export that was moved aside for one that never took its place
    is put back. Whoever calls this makes the export alone."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        if left.is_dir():
            if (left / "was").is_dir() and not folder.exists():
                os.replace(left / "was", folder)
            shutil.rmtree(left, ignore_errors=True)


def _aside(exports: Path) -> Iterator[tuple[Path, Path]]:
    """Folders of exports under way or abandoned, each with the export it is written for."""
    for left in exports.glob(".*"):
        name = re.fullmatch(ASIDE, left.name)
        if name and left.is_dir():
            yield left, exports / name["target"].removesuffix(".failed")
