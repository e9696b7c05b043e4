"""Use cases of the dataset library: what was uploaded, in versions by content, below `<home>/datasets/<name>/<version>/`.

A version is never changed: other content is another version. A dataset's title may change; its folder does not, so that
no run loses its data by it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from studio.app import runs
from studio.core import resources
from studio.core.errors import DataError, JobError, SpecError
from studio.core.files import bytes_in, folder_aside, need_room, read_json, sha256, write_json
from studio.core.records import Record, RecordError
from studio.core.text import size, slug
from studio.data.report import DataReport
from studio.spec import RunSpec

SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet", ".xlsx", ".txt", ".md", ".gz", ".zip")
LARGEST = 1 << 30
"""Bytes of one file that is taken into the library."""
MOST_FILES = 50
"""Files of one dataset."""


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset in the library."""

    path: Path
    title: str
    created: float
    settings: dict[str, Any]
    """What was confirmed of how it is read: `format`, `columns`, `system`, `train_on` as in a spec's data section."""
    bytes: int

    @property
    def name(self) -> str:
        """Its folder's name, which stays when the title changes."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """The beginning of its content's hash."""
        return self.path.name

    @property
    def key(self) -> str:
        """`name/version`, which names it in forms and links."""
        return f"{self.name}/{self.version}"

    @property
    def files(self) -> tuple[str, ...]:
        """Its files, in full."""
        return tuple(str(file) for file in sorted((self.path / "files").iterdir()))


def add(home: Path, title: str, files: Iterable[tuple[str, Path]], settings: dict[str, Any] | None = None) -> Dataset:
    """Take files into the library as a version of the dataset called `title`: (name, where it lies now) each.

    The same content again gives the version that is there. Raises DataError for names, kinds and sizes that are refused,
    HardwareError if the disk has no room.
    """
    title = clean_title(title)
    given = [(safe_name(name), path) for name, path in files]
    _check(given)
    folder = home / "datasets" / slug(title)
    need_room(folder, sum(path.stat().st_size for _, path in given), "the dataset")
    version = _version(given)
    target = folder / version
    if not (target / "dataset.json").exists():
        with folder_aside(target) as aside:
            (aside / "files").mkdir()
            for name, path in given:
                shutil.copyfile(path, aside / "files" / name)
            write_json(aside / "dataset.json", {"created": time.time(), "settings": settings or {}})
    if not (folder / "title.json").exists():
        write_json(folder / "title.json", {"title": title})
    return _read(target)


def versions(home: Path) -> list[Dataset]:
    """Every version of every dataset, newest first."""
    found = [
        _read(file.parent) for file in (home / "datasets").glob("*/*/dataset.json") if not file.parent.name.startswith(".")
    ]
    return sorted(found, key=lambda item: item.created, reverse=True)


def find(home: Path, key: str) -> Dataset:
    """The version `name/version`. Raises DataError."""
    for item in versions(home):
        if item.key == key:
            return item
    raise DataError("this dataset is not in the library", hint="Choose one from the list, or upload it.", where=key)


def keep_settings(home: Path, key: str, settings: dict[str, Any]) -> Dataset:
    """Remember how a version is to be read."""
    item = find(home, key)
    write_json(item.path / "dataset.json", {"created": item.created, "settings": settings})
    return _read(item.path)


def rename(home: Path, key: str, title: str) -> Dataset:
    """Give a dataset another title. Raises DataError."""
    item = find(home, key)
    write_json(item.path.parent / "title.json", {"title": clean_title(title)})
    return _read(item.path)


def users(home: Path, item: Dataset) -> list[str]:
    """The runs that still need a version: those that wait, work, or may be resumed."""
    inside = f"{item.path}{os.sep}"
    needing = []
    for run in runs.list_runs(home):
        if run.status.state in ("done", "failed"):
            continue
        spec = run.folder.asked_spec()
        names = [*spec.data.files, *spec.evaluation.also, str(spec.data.holdout)]
        if any(name.startswith(inside) for name in names):
            needing.append(run.id)
    return needing


def delete(home: Path, key: str) -> int:
    """Remove a version; the bytes that were freed. Raises JobError while a run needs it."""
    item = find(home, key)
    needing = users(home, item)
    if needing:
        raise JobError(
            f"{', '.join(needing[:3])} still {'needs' if len(needing) == 1 else 'need'} this dataset",
            hint="Let the run end, or delete it, and try again.",
            where=item.title,
        )
    freed = bytes_in(item.path)
    gone = item.path.with_name(f".deleted-{item.version}")
    os.replace(item.path, gone)
    shutil.rmtree(gone, ignore_errors=True)
    if not any(item.path.parent.glob("*/dataset.json")):
        shutil.rmtree(item.path.parent, ignore_errors=True)
    return freed


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
    if spec.evaluation.general not in ("builtin", "off"):
        named.append(("evaluation.general", spec.evaluation.general))
    if spec.model.chat_template:
        named.append(("model.chat_template", spec.model.chat_template))
    if _looks_local(spec.model.name):
        named.append(("model.name", spec.model.name))
    roots = (home.resolve(), resources.folder("datasets"))
    private = [home.resolve() / name for name in ("ui", "secrets")]
    for field, name in named:
        if name.startswith("hub:"):
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
    return name != "starter" and (name.startswith(("/", "~", ".", "\\")) or Path(name).expanduser().is_dir())


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


def _version(files: list[tuple[str, Path]]) -> str:
    import hashlib

    content = json.dumps(sorted((name, sha256(path)) for name, path in files))
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _read(path: Path) -> Dataset:
    kept = read_json(path / "dataset.json")
    title_file = path.parent / "title.json"
    title = read_json(title_file)["title"] if title_file.exists() else path.parent.name
    return Dataset(path, title, kept["created"], kept["settings"], bytes_in(path / "files"))


def spec_of(item: Dataset) -> RunSpec:
    """A spec that reads this dataset, for a look at it."""
    return RunSpec.model_validate({"name": item.title, "data": {"train": list(item.files), "holdout": 0.0, **item.settings}})


class Inspection(Record):
    """What the check of a dataset found, and the settings it was read with; a cache beside the dataset's files."""

    label: ClassVar[str] = "data report"
    schema_version: ClassVar[int] = 2
    remedy: ClassVar[str] = "Delete the file; the dataset is then checked again."

    settings: dict[str, Any]
    report: DataReport


def report(home: Path, item: Dataset) -> DataReport:
    """What the check of a dataset found; made once for the same settings. Raises StudioError."""
    from studio.app import cli_subprocess

    file = item.path / "inspected.json"
    with contextlib.suppress(FileNotFoundError, RecordError):  # made by another release, or damaged: made again
        cached = Inspection.read(file)
        if cached.settings == item.settings:
            return cached.report
    found = cli_subprocess.inspect(spec_of(item), home)
    Inspection(settings=item.settings, report=found).write(file)
    return found
