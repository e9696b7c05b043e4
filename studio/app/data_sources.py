"""The data a spec names: dataset versions pinned, files located and checked to be there."""

from __future__ import annotations

from pathlib import Path

from studio.core.files import studio_home
from studio.data.curation import references, store
from studio.data.settings import Data
from studio.spec import RunSpec, edit


def pinned(spec: RunSpec, home: str | Path | None = None) -> RunSpec:
    """The spec with every `dataset:NAME` naming the newest version, and read as that version was confirmed. Raises DataError
    for a dataset or version that is not there."""
    data = references.pinned(spec.data, studio_home(home))
    if data == spec.data:
        return spec
    return edit(spec, {f"data.{name}": value for name, value in data.model_dump(exclude_unset=True).items()})


def located(spec: RunSpec, home: str | Path | None = None) -> Data:
    """A spec's data with files in the place of dataset names. Raises DataError."""
    return references.located(spec.data, studio_home(home))


def need_files(spec: RunSpec, home: str | Path | None = None) -> None:
    """Raise DataError at once if a file or dataset version that a run will read is not there, or is of no kind that is read."""
    from studio.data import read, sources

    read.need_files(located(spec, home))
    general = [spec.evaluation.general] if spec.evaluation.general not in ("builtin", "off") else []
    for name in (*spec.evaluation.also, *general):
        for file in references.files_of(name, studio_home(home), "evaluation"):
            sources.find(file, settings=spec.data)


def names(spec: RunSpec) -> str:
    """What a spec trains on, in a few words: file names, and datasets as `NAME@3`."""
    return ", ".join(
        name.removeprefix(store.PREFIX) if store.is_reference(name) else Path(name).name for name in spec.data.files
    )
