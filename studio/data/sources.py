"""Sources: the files, archives, folders, patterns and hub names that a run reads, one source for each file."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from studio.core.errors import DataError
from studio.core.files import nearest_file
from studio.data.readers import READERS, containers
from studio.data.settings import Data

_ELSEWHERE = {
    ".xls": "Save it as .xlsx in your spreadsheet program.",
    ".ods": "Save it as .xlsx in your spreadsheet program.",
    ".pdf": "Read it with studio documents add, or save its text as .txt or .md.",
    ".doc": "Save its text as .txt or .md.",
    ".yaml": "Write the rows as .jsonl.",
    ".yml": "Write the rows as .jsonl.",
    ".xml": "Write the rows as .jsonl or .csv.",
    ".eml": "Write question and answer of each mail as a row of .jsonl.",
    ".mbox": "Write question and answer of each thread as a row of .jsonl.",
    ".srt": "Save what is said as .txt, without numbers and times.",
    ".vtt": "Save what is said as .txt, without numbers and times.",
    ".db": "Export a table as .csv.",
    ".sqlite": "Export a table as .csv.",
    ".py": "Run it and give the file it writes: code is never run here.",
    ".pkl": "Save it as .parquet or .jsonl: pickles can run code and are never opened.",
    ".7z": "Unpack it, or pack it as .zip.",
    ".tar": "Unpack it, or pack it as .zip.",
    ".tgz": "Unpack it, or pack it as .zip.",
}


_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")


@dataclass(frozen=True)
class Source:
    """One thing with rows in it: a file, a file in an archive, or a dataset. name is how rows and errors call it."""

    name: str
    path: str
    kind: str
    """Its suffix, e.g. `.csv`; `hub` for a dataset or a folder."""
    container: str = ""
    """What it is packed with, e.g. `gzip` or `zip`, or nothing."""
    member: str = ""
    folder: bool = False
    """True for one of the files of a folder: like those of an archive nobody named it."""
    remarks: tuple[str, ...] = ()

    @property
    def in_collection(self) -> bool:
        """Whether it came with a folder or an archive."""
        return self.folder or bool(self.member)

    @property
    def bytes(self) -> int:
        """Bytes of the file on disk (of the whole archive for a member); 0 if not known."""
        return 0 if self.kind == "hub" else Path(self.path).stat().st_size


def find(source: str, name: str = "", settings: Data | None = None) -> list[Source]:
    """The sources that a path, a pattern or a hub name stands for: one for each data file. Raises DataError.

    A folder and an archive stand for all data files in them but those that by their names are for evaluation;
    `archive.zip:file.csv` is one file of an archive. A folder with subsets, or with loading settings in its README, and a
    hub name are read by the `datasets` library.
    """
    if not source.strip():
        raise DataError(
            "the name of the data is empty", hint="Name a file, a folder or hub:owner/name.", where=name or "data.train"
        )
    if source.startswith("hub:"):
        dataset = source.removeprefix("hub:")
        if not (_HUB_NAME.fullmatch(dataset) or Path(dataset).is_dir()):
            raise DataError(f"`{dataset}` is not the name of a dataset", hint="Write hub:owner/name.", where=source)
        return [Source(source, dataset, "hub")]
    path = Path(source).expanduser()
    name = name or path.name
    if path.is_dir():
        return _in_folder(path, name, settings)
    if path.exists():
        return _in_zip(path, name) if path.suffix.lower() == ".zip" else [_file(path, name)]
    archive, colon, member = source.rpartition(":")
    if colon and archive.lower().endswith(".zip") and Path(archive).expanduser().is_file():
        return _in_zip(Path(archive).expanduser(), Path(archive).name, member)
    if any(mark in source for mark in "*?["):
        return _matching(path, source)
    raise not_found(path)


def _file(path: Path, name: str) -> Source:
    """A file that is there, by its ending."""
    container = containers.COMPRESSED.get(path.suffix.lower(), "")
    inner = Path(path.stem).suffix.lower() if container else path.suffix.lower()
    return Source(name, str(path), _known(inner, path, name), container)


def _is_read(path: Path) -> bool:
    suffix = path.suffix.lower()
    return (Path(path.stem).suffix.lower() if suffix in containers.COMPRESSED else suffix) in READERS


def _matching(pattern: Path, source: str) -> list[Source]:
    """The files that a pattern such as `chats/*.jsonl` matches, by name; all must be of a kind that is read."""
    root = Path(pattern.anchor) if pattern.is_absolute() else Path()
    paths = sorted(path for path in root.glob(str(pattern.relative_to(root))) if path.is_file())
    if not paths:
        raise DataError("no file matches this pattern", hint=f"Patterns are relative to {Path.cwd()}.", where=source)
    names = [path.name for path in paths]
    return [_file(path, path.name if names.count(path.name) == 1 else str(path)) for path in paths]


def _in_folder(path: Path, name: str, settings: Data | None) -> list[Source]:
    """The data files of a folder and those below it; of a saved `Dataset` its Arrow files."""
    split = settings.split if settings else "train"
    if (path / "dataset_dict.json").is_file():
        if not (path / split / "state.json").is_file():
            splits = ", ".join(sorted(file.parent.name for file in path.glob("*/state.json")))
            raise DataError(f"there is no split `{split}`", hint=f"Set data.split to one of: {splits}.", where=str(path))
        path, name = path / split, f"{name}/{split}"
    if (path / "state.json").is_file() and (path / "dataset_info.json").is_file():
        return [Source(f"{name}:{file.name}", str(file), ".arrow", folder=True) for file in sorted(path.glob("*.arrow"))]
    if (settings is not None and (settings.subset or settings.split != "train")) or _has_hub_settings(path):
        return [Source(name, str(path), "hub")]
    files = sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not any(p.startswith((".", "_")) for p in file.relative_to(path).parts)
    )
    data = [str(file.relative_to(path)) for file in files if _is_read(file)]
    if any(not item.lower().endswith((".md", ".txt", ".html", ".htm")) for item in data):
        data = [item for item in data if not containers.is_about(item)]
    chosen, held_out = containers.without_held_out(data)
    if not chosen:
        raise DataError(
            "the folder holds no data files that are found by their names", hint=f"It may hold {_kinds()}.", where=str(path)
        )
    rest = [str(file.relative_to(path)) for file in files if str(file.relative_to(path)) not in chosen]
    remarks = [
        f"Not read: `{item}`"
        + (f": by its name it is for evaluation; for that, set data.holdout: {path / item}." if item in held_out else ".")
        for item in rest[:10]
    ] + ([f"Not read: {len(rest) - 10} more."] if rest[10:] else [])
    sources = [replace(_file(path / item, f"{name}/{item}"), folder=True) for item in chosen]
    return [replace(sources[0], remarks=tuple(remarks)), *sources[1:]]


def _has_hub_settings(path: Path) -> bool:
    """Whether a folder's README says how the hub's library loads it (subsets, splits, patterns)."""
    readme = path / "README.md"
    head = readme.read_text("utf-8", "replace")[:20_000] if readme.is_file() else ""
    return head.startswith("---") and "\nconfigs:" in head.split("\n---", 1)[0]


def _in_zip(path: Path, name: str, member: str = "") -> list[Source]:
    chosen, remarks = containers.members(path, lambda item: PurePosixPath(item).suffix.lower() in READERS, name, member)
    if not chosen:
        listed = " ".join(remarks[:3]) or "It is empty."
        raise DataError(f"the archive holds no data file. {listed}", hint=f"It may hold {_kinds()}.", where=name)
    return [
        Source(
            f"{name}:{item}",
            str(path),
            PurePosixPath(item).suffix.lower(),
            "zip",
            item,
            remarks=tuple(remarks if item == chosen[0] else ()),
        )
        for item in chosen
    ]


def _known(suffix: str, path: Path, name: str) -> str:
    if suffix in READERS:
        return suffix
    if path.suffix.lower() in containers.COMPRESSED:
        raise DataError(
            f"`{path.name}` does not say what is packed in it",
            hint="Name it by its content, e.g. .jsonl.gz or .csv.gz.",
            where=name,
        )
    hint = _ELSEWHERE.get(path.suffix.lower(), f"Files that are read: {_kinds()}, also as .gz, .bz2, .xz, .zst or .zip.")
    raise DataError(f"files ending in `{path.suffix or path.name}` are not read", hint=hint, where=name)


def _kinds() -> str:
    return " ".join(kind for kind in READERS if kind not in (".ndjson", ".htm"))


def not_found(path: Path) -> DataError:
    """The error for a file that is not there, with the one that was likely meant."""
    folder = path.parent
    near = nearest_file(path)
    if near:
        hint = f"Did you mean {folder / near}?"
    elif not folder.is_dir():
        hint = f"There is no folder {folder} either. Paths are relative to {Path.cwd()}."
    else:
        hint = f"Paths are relative to {Path.cwd()}; hub datasets are written hub:owner/name."
    return DataError("there is no such file", hint=hint, where=str(path))
