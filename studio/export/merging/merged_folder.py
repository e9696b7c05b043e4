"""The merged model another target is made from: an export that is there, else one made in the scratch of an unfinished one."""

from __future__ import annotations

from pathlib import Path

from studio.export.artifacts import manifest as artifact
from studio.export.merging.merge import saved_dtype, write_merged
from studio.export.merging.source import Onto, Source
from studio.tracking.reporter import Reporter

WORK = ".work"
"""Scratch inside an unfinished export, removed before it is finished."""


def merged_export(source: Source, onto: Onto) -> Path | None:
    """A merged export of this very run onto the same weights in the base's own number format, if there is one."""
    for folder in sorted(source.exports.glob("merged*")):
        if not (folder / artifact.MANIFEST).exists():
            continue
        there = artifact.read(folder)
        same = there.key == source.key({"kind": "merged", "onto": onto, "dtype": saved_dtype(source, None)})
        if same and there.verification.passed and there.is_whole():
            return folder
    return None


def merged_folder(source: Source, onto: Onto, out: Path, reporter: Reporter) -> Path:
    """The merged model: an export that is there, else one in the scratch of `out`."""
    there = merged_export(source, onto)
    if there:
        return there
    scratch = out / WORK / "merged"
    if not scratch.exists():
        scratch.mkdir(parents=True)
        write_merged(source, onto, saved_dtype(source, None), scratch, reporter)
    return scratch
