"""Copies of exports in a folder of the user's choice, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from studio.core.errors import ExportError, SpecError
from studio.export.artifacts.manifest import MANIFEST
from studio.export.artifacts.push import RECORD
from studio.export.artifacts.push import caveat as caveat

COPYING = ".copying"
"""Where the files of a copy are until all are there."""


def refuse_unless_free(destination: Path) -> None:
    """Raise SpecError where no copy can be written: there is a file, or files are in it, or no folder can be made."""
    hint = "Choose a new folder with --out."
    if destination.is_file():
        raise SpecError("this is a file, not a folder", hint=hint, where=str(destination))
    try:
        if destination.exists() and {*os.listdir(destination)} - {COPYING}:
            raise SpecError("the folder is not empty", hint=hint, where=str(destination))
        existing = next(path for path in (destination, *destination.absolute().parents) if os.path.lexists(path))
        with tempfile.TemporaryDirectory(dir=existing):
            pass
    except OSError as problem:
        reason = problem.strerror or "it cannot be written"
        raise SpecError(f"no folder can be made there ({reason})", hint=hint, where=str(destination)) from None


def copy(folder: Path, destination: Path) -> None:
    """Copy an export into a new or empty folder, whole or not at all, whatever interrupts it: the files lie in a hidden folder
    of it until all are there. Raises ExportError where nothing can be written; the export itself stays."""
    aside = destination / COPYING
    try:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(folder, aside, ignore=shutil.ignore_patterns(RECORD, ".*"))
        for item in sorted(aside.iterdir(), key=lambda item: item.name == MANIFEST):
            os.replace(item, destination / item.name)
        aside.rmdir()
    except OSError as problem:
        shutil.rmtree(aside, ignore_errors=True)
        reason = problem.strerror or "not every file could be written"
        raise ExportError(
            f"the export cannot be copied there ({reason}); it is in {folder}",
            hint="Choose another folder with --out, or copy it yourself.",
            where=str(destination),
        ) from None
