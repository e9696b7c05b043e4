"""Use cases of looking after a home: its state, as the doctor lists it, and disk space that nothing needs."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.app import damage, runs
from studio.core.files import ASIDE, bytes_in, read_json
from studio.core.text import plural, size
from studio.export import leftovers
from studio.hardware.doctor import Finding
from studio.processes.identity import ProcessId
from studio.runs.folder import RunFolder

SILENT = 3600.0
"""Seconds without a sign of life after which a run that works is called stuck."""
LEFTOVER = 86400.0
"""Seconds after which a hidden file of an interrupted write belongs to nobody any more."""
LITTLE_DISK = 1 << 30
OLD_CHECKPOINTS = 30 * 86400.0
"""Seconds after which the checkpoints of a run that nobody resumes are mentioned."""
OPTIONAL = ("exports", "models", "damaged")
"""Kinds that are deleted only if they are asked for by name: somebody may still want them."""


_ASIDE = re.compile(rf"\.deleted-.+|\.(preparing|pruning|minilm|smollm2)-\w+|{ASIDE}")
"""Hidden names under which files and folders are written or on their way out."""


@dataclass(frozen=True)
class Unneeded:
    """Disk space that nothing needs; or, for the kinds in `OPTIONAL`, that can be had again by work or a download."""

    kind: str
    path: Path
    bytes: int
    why: str


def check(home: Path) -> list[Finding]:
    """A home as `studio doctor --home` lists it: damage, who may read it, stuck runs, stale servers, disk, old checkpoints."""
    if not home.is_dir():
        return [Finding("Home", None, f"{home} is not there yet: made when first needed")]
    found = [Finding("Damaged", False, item.sentence(home), item.hint) for item in damage.damages(home)]
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o077:
        found.append(
            Finding("Home", False, f"other users of this machine may look into it (mode {mode:04o})", f"chmod 700 {home}")
        )
    for run in runs.list_runs(home):
        status = run.status
        if status.active and status.process is not None and (silent := _silence(run.folder)) > SILENT:
            found.append(
                Finding(
                    "Stuck run", None, f"{run.id} is {status.state} and wrote nothing for {silent / 3600:.1f} hours",
                    f"See its log, or stop it: studio runs stop {run.id}",
                )
            )  # fmt: skip
    stale = [file for file in sorted((home / "serving").glob("*.json")) if not _lives(file)]
    if stale:
        found.append(Finding("Servers", None, f"{plural(len(stale), 'note')} of servers that have ended", "studio clean"))
    found += _old_checkpoints(home)
    free = shutil.disk_usage(home).free
    if free < LITTLE_DISK:
        found.append(Finding("Disk", False, f"{size(free)} free", "Free disk space: studio clean"))
    unneeded = sum(item.bytes for item in find_unneeded(home))
    if unneeded > 1 << 20:
        found.append(Finding("Unneeded", None, f"{size(unneeded)} that nothing needs", "studio clean"))
    return found or [Finding("Home", True, f"{home}: nothing is damaged")]


def _old_checkpoints(home: Path) -> Iterator[Finding]:
    """Runs that stopped long ago and still keep what they could go on from."""
    for run in runs.list_runs(home):
        folder, status = run.folder, run.status
        if status.state in ("stopped", "failed", "interrupted") and (taken := _bytes(folder.checkpoints)):
            age = time.time() - folder.checkpoints.stat().st_mtime
            if age > OLD_CHECKPOINTS:
                yield Finding(
                    "Old checkpoints", None, f"{run.id} is {status.state} since {age / 86400:.0f} days and keeps {size(taken)}",
                    f"Resume it, or delete it: studio runs delete {run.id}",
                )  # fmt: skip


def _silence(folder: RunFolder) -> float:
    """Seconds since the run's process last wrote a sign of life."""
    times = [file.stat().st_mtime for file in (folder.status, folder.events, folder.metrics, folder.log) if file.exists()]
    return time.time() - max(times, default=time.time())


def _lives(note: Path) -> bool:
    try:
        return ProcessId.from_record(read_json(note)["process"]).alive()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def disk_use(home: Path) -> dict[str, int]:
    """Bytes of a home by what they are for, the largest first."""
    use: dict[str, int] = {}
    for folder in _folders(home / "runs"):
        for item in _inside(folder):
            kind = {"checkpoints": "checkpoints", "exports": "exports", "adapter": "adapters"}.get(item.name, "runs, the rest")
            use[kind] = use.get(kind, 0) + _bytes(item)
    for item in _inside(home):
        if item.name != "runs":
            use[item.name] = _bytes(item)
    return dict(sorted(use.items(), key=lambda item: item[1], reverse=True))


def find_unneeded(home: Path, also: Collection[str] = ()) -> list[Unneeded]:
    """What takes disk space and can be deleted without a loss: nothing that a run, an export or a person may still use.

    also: kinds of `OPTIONAL` to list too: exports of runs that can export again, models that nothing names, and damaged files
    that were set aside.
    """
    found: list[Unneeded] = []
    if "exports" in also:
        found += _exports_made_again(home)
    if "models" in also:
        found += _models_without_use(home)
    if "damaged" in also:
        found += [
            _unneeded("damaged", item, "`studio doctor --repair` set it aside") for item in _inside(home / damage.SET_ASIDE)
        ]
    for run in runs.list_runs(home):
        if run.status.active:
            continue
        folder = run.folder
        if run.status.state == "done" and (folder.adapter / "adapter_config.json").exists():
            found.append(_unneeded("checkpoints", folder.checkpoints, "the run is done; its adapter is kept"))
        found += [
            _unneeded("failed exports", item, "it was not finished; export again to make it")
            for item in folder.exports.glob("*.failed")
        ]
        found.append(_unneeded("W&B cache", folder.path / "wandb" / "cache", "W&B makes it again"))
        left = leftovers.abandoned(folder.exports)
        found += [_unneeded("leftovers", item, "an export that was killed left it") for item in left]
        for part in (folder.path, folder.data, folder.exports):
            found += [item for item in _leftovers(part) if item.path not in left]
    for note in sorted((home / "serving").glob("*.json")):
        if not _lives(note):
            found.append(_unneeded("notes of ended servers", note, "the server has ended"))
    for kept in _folders(home):
        found += _leftovers(kept)
        for item in _folders(kept) if kept.name != "runs" else ():  # a dataset, a collection, an index, a job
            found += _leftovers(item)
    return [item for item in found if item.bytes]


def _exports_made_again(home: Path) -> Iterator[Unneeded]:
    served, texts = _served(home), _texts(home)
    for run in runs.list_runs(home):
        if run.status.state == "done" and (run.folder.adapter / "adapter_config.json").exists():
            for item in _folders(run.folder.exports):
                path = re.compile(re.escape(f"{run.id}/exports/{item.name}") + r"(?![\w-])")
                named = any(map(path.search, texts))  # e.g. as the base of another run
                if (item / "artifact.json").exists() and not named and not _may_be_served(served, item, [run.id]):
                    yield _unneeded("exports", item, "the run's adapter is kept: it can be exported again")


def _models_without_use(home: Path) -> Iterator[Unneeded]:
    served, texts = _served(home), _texts(home)
    for item in _folders(home / "models"):
        # As a relative path it ends like this too. To keep one too many is no loss.
        named = any(f"models/{name}" in text for text in texts for name in {item.name, json.dumps(item.name)[1:-1]})
        if not named and not _may_be_served(served, item, [item.name]):
            yield _unneeded("models", item, "no run, index, cascade or comparison names this model")


def _texts(home: Path) -> list[str]:
    """What the files of `_naming` hold, each as one line."""
    return [" ".join(file.read_text(errors="replace").split()) for file in _naming(home)]


def _naming(home: Path) -> Iterator[Path]:
    """The files that may name a model: as base, teacher, judge, start, embedder or what answers."""
    for folder in _folders(home / "runs"):
        yield from (file for file in (RunFolder(folder).asked, RunFolder(folder).spec_file) if file.is_file())
    for pattern in ("indexes/*/index.json", "cascades/*/cascade.json", "comparisons/*/report.json"):
        yield from home.glob(pattern)


def _served(home: Path) -> set[str]:
    """What the servers that live were asked to serve."""
    names: set[str] = set()
    for note in (*(home / "serving" / "started").glob("*.json"), *(home / "serving").glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            if _lives(note):
                told = read_json(note)
                names.update(map(str, [*(told.get("given") or ()), *(told.get("models") or ())]))
    return names


def _may_be_served(served: Collection[str], folder: Path, names: Collection[str]) -> bool:
    """Whether a server that lives may read a folder: it was given a path in it, or a name it goes by."""
    paths = [Path(name).expanduser().absolute() for name in served]
    return any(path.is_relative_to(folder) for path in paths) or any(
        name.startswith(item.split("/")[0]) for name in names for item in served
    )


def clean(items: list[Unneeded]) -> int:
    """Delete what `find_unneeded` listed; the bytes that were freed. What vanished meanwhile is passed over."""
    freed = 0
    for item in items:
        before = _bytes(item.path)
        if item.path.is_dir() and not item.path.is_symlink():
            shutil.rmtree(item.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                item.path.unlink(missing_ok=True)
        freed += before - _bytes(item.path)
    return freed


def _unneeded(kind: str, path: Path, why: str) -> Unneeded:
    return Unneeded(kind, path, _bytes(path), why)


def _leftovers(folder: Path) -> Iterator[Unneeded]:
    """What lies aside for a day: an interrupted write left it, or an interrupted deletion."""
    for item in _inside(folder):
        with contextlib.suppress(OSError):
            if _ASIDE.fullmatch(item.name) and time.time() - item.stat().st_mtime > LEFTOVER:
                yield _unneeded("leftovers", item, "an interrupted write or deletion left it")


def _bytes(path: Path) -> int:
    with contextlib.suppress(OSError):
        return bytes_in(path) if path.exists() and not path.is_symlink() else 0
    return 0


def _inside(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _folders(folder: Path) -> list[Path]:
    return [item for item in _inside(folder) if item.is_dir()]
