"""The data section of a spec that names datasets of the library: with their versions, their files, and how each is read."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, TypeVar

from studio.core.errors import DataError
from studio.core.plain import is_list
from studio.core.text import plural
from studio.data.curation.store import is_reference, named
from studio.data.settings import Data, ReadAs

AnyData = TypeVar("AnyData", bound=Data)


def pinned(data: AnyData, home: Path) -> AnyData:
    """The data with every `dataset:NAME` naming its version, read as that version was confirmed. Raises DataError."""
    if not any(is_reference(name) for name in (*data.files, str(data.holdout))):
        return data
    values = data.model_dump(exclude_unset=True)
    names: list[str] = []
    for name in data.files:
        item = named(home, name, "data.train") if is_reference(name) else None
        names.append(item.reference if item else name)
        values = {**(item.settings if item else {}), **values}
    values["train"] = names if is_list(data.train) else names[0]
    if isinstance(data.holdout, str) and is_reference(data.holdout):
        values["holdout"] = named(home, data.holdout, "data.holdout").reference
    return type(data).model_validate(values)


def located(data: AnyData, home: Path) -> AnyData:
    """The data with the files of every `dataset:NAME@3` in its place, as readers take them. Raises DataError."""
    data = pinned(data, home)
    files = [file for name in data.files for file in files_of(name, home, "data.train")]
    changes: dict[str, Any] = {"train": files if len(files) != 1 or is_list(data.train) else files[0]}
    if isinstance(data.holdout, str):
        held_out = list(files_of(data.holdout, home, "data.holdout"))
        if len(held_out) != 1:
            raise DataError(
                f"{data.holdout} has {plural(len(held_out), 'file')}", hint="Hold out one file.", where="data.holdout"
            )
        changes["holdout"] = held_out[0]
    made = type(data).model_validate({**data.model_dump(exclude_unset=True), **changes})
    return made.with_held_out(settings_of(data.holdout, data, home)) if isinstance(data.holdout, str) else made


def settings_of(name: str, data: Data, home: Path) -> Data:
    """The settings that read a file or dataset beside the training data of a pinned section: as its version was confirmed, or
    as the section says, but not in a layout that the section only has from the training data's version."""
    values = data.model_dump(exclude_unset=True)
    own: ReadAs | dict[str, Any] = named(home, name).settings if is_reference(name) else {}
    if own:
        values = {key: value for key, value in values.items() if key not in ("format", "columns")}
    for trained in filter(is_reference, data.files):
        with contextlib.suppress(DataError):  # deleted since: what it was read by is no longer known
            if values.get("format") == named(home, trained).settings.get("format"):
                values.pop("format", None)
    return Data.model_validate({**values, **own})


def files_of(name: str, home: Path, where: str = "") -> tuple[str, ...]:
    """The files that a name in a spec stands for: those of a dataset version, or the name itself. Raises DataError."""
    return named(home, name, where).files if is_reference(name) else (name,)
