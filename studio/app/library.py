"""Use cases of the dataset library: what was uploaded, in versions that are never changed.

A dataset's title may change; its folder does not, so that no run loses its data by it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from studio.app import runs
from studio.core import people, resources
from studio.core.errors import AS_COMMAND, DAMAGED, DataError, JobError, SpecError
from studio.core.files import make_home, need_room, studio_home
from studio.core.records import Record, RecordError
from studio.core.text import size, slug
from studio.data import in_memory, replay
from studio.data.curation import store
from studio.data.curation.store import DatasetVersion, VersionRecord
from studio.data.report import DataReport
from studio.data.settings import FormatName, ReadAs
from studio.processes import tasks
from studio.processes.tasks import Task
from studio.spec import RunSpec, documents, parse

SUFFIXES = (
    ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".feather", ".orc", ".xlsx", ".txt", ".md", ".docx",
    ".gz", ".bz2", ".xz", ".zst", ".zip",
)  # fmt: skip
LARGEST = 1 << 30
"""Bytes of one file that is taken into the library."""
FURTHER = "Further settings"
_MAPPED = ("format", "columns")
MOST_FILES = 50
"""Files of one dataset."""


def add_dataset(name: str, *data: object, home: str | Path | None = None) -> DatasetVersion:
    """Take data into the library, as a dataset or the next version of one; train it by its `reference`.

    data: paths of files, DataFrames (pandas, polars), lists of mappings, a `datasets.Dataset`. The same content again gives the
    version that is there. Raises DataError for names, kinds and sizes that are refused.
    """
    files = [Path(in_memory.as_sources(item, "data")).expanduser() for item in data]
    return add(studio_home(home), name, [(file.name, file) for file in files])


def add(home: Path, title: str, files: Iterable[tuple[str, Path]], settings: ReadAs | None = None) -> DatasetVersion:
    """Take files into the library as a version of the dataset called `title`: (name, where it lies now) each.

    The same content again gives the version that is there. Raises DataError for names, kinds and sizes that are refused,
    HardwareError if the disk has no room.
    """
    title = clean_title(title)
    given = [(safe_name(name), path) for name, path in files]
    _check(given)
    folder = make_home(home) / "datasets" / slug(title)
    need_room(folder, sum(path.stat().st_size for _, path in given), "the dataset")

    def fill(aside: Path, number: int) -> None:
        (aside / "files").mkdir()
        for name, path in given:
            shutil.copyfile(path, aside / "files" / name)

    record = VersionRecord(created=0.0, settings=settings or ReadAs(), who=people.who())
    return store.add_version(folder, title, store.content_hash(given), record, fill)


def versions(home: Path) -> list[DatasetVersion]:
    """Every version of every dataset, newest first."""
    return store.versions(home)


def versions_of(item: DatasetVersion) -> list[DatasetVersion]:
    """All versions of the dataset that a version is of, oldest first."""
    return store.versions_of(item.path.parent)


def find(home: Path, key: str) -> DatasetVersion:
    """The version `name/id`, or `dataset:NAME@3`. Raises DataError."""
    return store.named(home, key) if store.is_reference(key) else store.find(home, key)


def keep_reading(home: Path, key: str, layout: str, columns: dict[str, str], further: str = "") -> DatasetVersion:
    """Remember how a version is to be read. further: lines as they stand under `data:` in a spec, such as `header_row: 3`.

    Raises SpecError for a line that is no setting of the data, or that names other data.
    """
    settings = _further(further)
    if layout:
        settings["format"] = cast("FormatName", layout)
    if layout and columns:
        settings["columns"] = columns
    return store.keep_settings(find(home, key), settings)


def further_settings(item: DatasetVersion) -> str:
    """The settings of a version besides layout and columns, as they stand under `data:` in a spec."""
    return "".join(f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in _of_files(item).items())


def settings_of_files(item: DatasetVersion) -> str:
    """The same as JSON: what is to be known to read its files, whatever their columns are."""
    return json.dumps(_of_files(item))


def _of_files(item: DatasetVersion) -> dict[str, object]:
    return {name: value for name, value in item.settings.items() if name not in _MAPPED}


def _further(text: str) -> ReadAs:
    if not text.strip():
        return ReadAs()
    try:
        values, lines = documents.parse(text, FURTHER)
    except SpecError:
        raise SpecError("it cannot be read", hint="One setting a line, such as `header_row: 3`.", where=FURTHER) from None
    if named := next((name for name in values if name in ("train", "holdout", *_MAPPED)), ""):
        hint = "Choose layout and columns above." if named in _MAPPED else "Leave it out: the data are those of this version."
        raise SpecError(f"`{named}` is not set here", hint=hint, where=f"{FURTHER}, {lines[named]}")
    found = parse({"data": {"train": "rows", **values}}, FURTHER, {f"data.{path}": line for path, line in lines.items()})
    return cast("ReadAs", found.data.model_dump(mode="json", include=set(values)))


def rename(home: Path, key: str, title: str) -> DatasetVersion:
    """Give a dataset another title. Raises DataError."""
    return store.rename(find(home, key), clean_title(title))


@dataclass(frozen=True)
class Users:
    """The runs that use a dataset version, by id."""

    unfinished: tuple[str, ...]
    """Those that wait, work, or may be resumed: they still read its rows."""
    finished: tuple[str, ...]
    """Those that have ended: their results stay, and they could not be run again."""


def users(home: Path, item: DatasetVersion) -> Users:
    """The runs that use a version."""
    inside = f"{item.path}{os.sep}"
    unfinished: list[str] = []
    finished: list[str] = []
    for run in runs.list_runs(home):
        with contextlib.suppress(*DAMAGED):  # a damaged run cannot be run again anyway
            spec = run.folder.asked_spec()
            names = [*spec.data.files, *spec.evaluation.also, str(spec.data.holdout)]
            if item.reference in names or any(name.startswith(inside) for name in names):
                resumable = run.status.state != "done"
                (unfinished if resumable else finished).append(run.id)
    return Users(tuple(unfinished), tuple(finished))


def delete(home: Path, key: str) -> int:
    """Remove a version; the bytes that were freed. Raises JobError while a run still needs it."""
    item = find(home, key)
    people.require_own(item.record.who, "delete this dataset")
    needing = users(home, item).unfinished
    if needing:
        raise JobError(
            f"{', '.join(needing[:3])} still {'needs' if len(needing) == 1 else 'need'} this dataset",
            hint="Let the run end, or delete it, and try again.",
            where=item.title,
        )
    return store.delete(item)


def samples() -> list[Path]:
    """The sample datasets shipped with the project."""
    folder = resources.folder("datasets")
    return sorted(file for file in folder.glob("*.jsonl") if "heldout" not in file.stem and "check" not in file.stem)


def models(home: Path) -> list[Path]:
    """Local models: the folders below `<home>/models` that hold a config.json."""
    return sorted(file.parent for file in (home / "models").glob("*/config.json"))


def refuse_outside(spec: RunSpec, home: Path) -> None:
    """Raise SpecError if a spec from the web names a local file outside the studio's home and the shipped samples."""
    named = [("data.train", name) for name in spec.data.files]
    named += [("evaluation.also", name) for name in spec.evaluation.also]
    if isinstance(spec.data.holdout, str):
        named.append(("data.holdout", spec.data.holdout))
    if spec.data.replay_from != replay.BUILTIN:
        named.append(("data.replay_from", spec.data.replay_from))
    if spec.evaluation.general not in ("builtin", "off"):
        named.append(("evaluation.general", spec.evaluation.general))
    if spec.model.chat_template:
        named.append(("model.chat_template", spec.model.chat_template))
    teacher = getattr(spec.training.method, "teacher", "")
    for field, name in (("adapter.start_from", spec.adapter.start_from or ""), ("training.method.teacher", teacher)):
        if _looks_local(name):
            named.append((field, name))
    if _looks_local(spec.model.name):
        named.append(("model.name", spec.model.name))
    roots = (home.resolve(), resources.folder("datasets"))
    private = [home.resolve() / name for name in ("ui", "secrets")]
    for field, name in named:
        if name.startswith("hub:") or store.is_reference(name):
            continue
        path = Path(os.path.normpath(Path(name).expanduser().absolute()))
        real = path.resolve()
        inside = any(real.is_relative_to(root) for root in roots) or (
            field == "model.name" and path.is_relative_to(home / "models")
        )
        if not inside or any(real.is_relative_to(folder) for folder in private):
            raise SpecError(
                "the web studio opens only files in its own library",
                hint=f"Upload it on the Data page, or put a model's folder into {home / 'models'}.",
                where=field,
            )


def _looks_local(name: str) -> bool:
    return name not in ("", "starter") and (name.startswith(("/", "~", ".", "\\")) or Path(name).expanduser().is_dir())


def clean_title(title: str) -> str:
    """A title as it is kept: one line of printable text. Raises DataError."""
    title = " ".join("".join(letter for letter in title if letter.isprintable() or letter.isspace()).split())
    if not 1 <= len(title) <= 80:
        raise DataError("a dataset needs a name of 1 to 80 characters", hint="Write a short name.", where="Name")
    return title


def safe_name(name: str) -> str:
    """The last part of an uploaded file's name, without what file systems or shells read specially. Raises DataError."""
    last = re.split(r"[/\\]", name)[-1]
    plain = re.sub(r"[^\w.() -]", "_", last).lstrip(".- ").rstrip(". ")
    stem, suffix = os.path.splitext(plain)
    if not stem:
        raise DataError("a file has no usable name", hint="Rename it and upload it again.", where=last[:80])
    return f"{stem[:100]}{suffix[:16]}"


def _check(files: list[tuple[str, Path]]) -> None:
    if not files:
        raise DataError("no file was given", hint="Choose one file or several.", where="Files")
    if len(files) > MOST_FILES:
        raise DataError(
            f"{len(files)} files at once", hint=f"Give at most {MOST_FILES}, or pack them into a .zip.", where="Files"
        )
    names = [name for name, _ in files]
    for name, path in files:
        if not name.lower().endswith(SUFFIXES):
            raise DataError("this kind of file is not read here", hint=f"Give one of: {' '.join(SUFFIXES)}", where=name)
        if path.is_symlink() or not path.is_file():
            raise DataError("this is not a file", hint="Upload it again.", where=name)
        if path.stat().st_size > LARGEST:
            raise DataError(
                f"it has {size(path.stat().st_size)}", hint=f"One file holds at most {size(LARGEST)}; split it.", where=name
            )
        if names.count(name) > 1:
            raise DataError("two files have this name", hint="Rename one of them.", where=name)


def spec_of(item: DatasetVersion) -> RunSpec:
    """A spec that reads this dataset, for a look at it."""
    return RunSpec.model_validate({"name": item.title, "data": {"train": list(item.files), "holdout": 0.0, **item.settings}})


class Inspection(Record):
    """What the check of a dataset found, and the settings it was read with; a cache beside the dataset's files."""

    label: ClassVar[str] = "data report"
    schema_version: ClassVar[int] = 2
    remedy: ClassVar[str] = "Delete the file; the dataset is then checked again."

    settings: ReadAs
    report: DataReport


TASKS = ".tasks"
"""Below a version's folder: the processes that check it for a page."""


def report(home: Path, item: DatasetVersion) -> DataReport | None:
    """What the check of a dataset found; made once for the same settings, by a process that this begins: None while it is
    at work (`checking` says how far it is). Raises StudioError if the check failed."""
    file = item.path / "inspected.json"
    with contextlib.suppress(FileNotFoundError, RecordError):  # made by another release, or damaged: made again
        cached = Inspection.read(file)
        if cached.settings == item.settings:
            return cached.report
    task = checking(item)
    if task is None:
        tasks.begin(item.path / TASKS, "inspect", _settings_name(item), ["data", "inspect", item.reference], home)
        return None
    if task.state == "running":
        return None
    if task.error is not None:
        stop_checking(item)  # the next look tries again
        task.error.hint = task.error.hint.partition(AS_COMMAND)[0]
        raise task.error
    document = tasks.document(item.path / TASKS, "inspect", _settings_name(item))
    made = DataReport.from_json(document, where="studio data inspect")
    Inspection(settings=item.settings, report=made).write(file)
    stop_checking(item)
    return made


def checking(item: DatasetVersion) -> Task | None:
    """The check of a version that was begun, with how far it is."""
    return tasks.task(item.path / TASKS, "inspect", _settings_name(item))


def stop_checking(item: DatasetVersion) -> None:
    """End the check of a version."""
    tasks.stop(item.path / TASKS, "inspect", _settings_name(item))


def _settings_name(item: DatasetVersion) -> str:
    """A name for how a version is read: a check of the same rows read otherwise is another check."""
    return hashlib.sha256(json.dumps(item.settings, sort_keys=True).encode()).hexdigest()[:8]
