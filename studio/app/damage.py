"""Use cases of damage: which files of a home Studio wrote and cannot read any more, and setting them aside."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import StudioError
from studio.core.records import Record
from studio.runs import queue
from studio.runs.folder import RunFolder
from studio.runs.status import at_work

SET_ASIDE = "damaged"
"""The folder of a home that holds what was set aside, below the names it had."""
QUEUE = "queue.db"
"""The one file of a home that is not moved but made again."""
FIX = "Set it aside: studio doctor --repair"


@dataclass(frozen=True)
class Damage:
    """A file of a home that cannot be read. path: what `repair` moves, the file or the folder that is nothing without it."""

    path: Path
    file: Path
    what: str
    hint: str = FIX
    """What to do; of a file that a newer release wrote, to update."""

    def sentence(self, home: Path) -> str:
        """Which file it is, and what is wrong with it."""
        return f"{self.file.relative_to(home)}: {self.what}"


def damages(home: Path, kind: str = "") -> list[Damage]:
    """What cannot be read in a home. kind: only below that folder, e.g. `indexes`. A live run is left alone."""
    found: list[Damage] = []
    for name, look in _LOOKS.items():
        if kind in ("", name):
            with contextlib.suppress(FileNotFoundError):
                found += look(home / name)
    return found


def of_run(run: RunFolder) -> list[Damage]:
    """What cannot be read in a run's folder."""
    return list(_run(run))


def outside_runs(home: Path) -> list[Damage]:
    """What cannot be read of everything but runs, which are listed with what is wrong with them."""
    return [item for kind in _LOOKS if kind != "runs" for item in damages(home, kind)]


def repair(home: Path) -> list[tuple[Damage, Path]]:
    """Move what is damaged into `<home>/damaged`, under the path it had; each with where it lies now. Nothing is deleted."""
    moved: list[tuple[Damage, Path]] = []
    for damage in damages(home):
        if not os.path.lexists(damage.path):
            continue  # it lay in a folder that was moved before
        if damage.path == home / QUEUE:
            moved += [(damage, aside) for aside in queue.mend(home)]
            continue
        target = home / SET_ASIDE / damage.path.relative_to(home)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target = target.with_name(f"{target.name}.{time.time_ns()}")
        os.replace(damage.path, target)
        moved.append((damage, target))
    with contextlib.suppress(OSError):
        home.chmod(0o700)
    return moved


def _queue(file: Path) -> Iterator[Damage]:
    if queue.is_damaged(file.parent):
        yield Damage(file, file, "the queue cannot be read; it is made again from the run folders")


def _runs(root: Path) -> Iterator[Damage]:
    for folder in _folders(root):
        run = RunFolder(folder)
        if not at_work(run):
            yield from _run(run)


def _run(run: RunFolder) -> Iterator[Damage]:
    from studio.evaluation.judge.report import JudgeReport
    from studio.evaluation.report import Report
    from studio.export.artifacts.manifest import Artifact
    from studio.runs.plan import PlanRecord
    from studio.runs.records import Launch, Notes, RunLock
    from studio.runs.status import Status

    if not run.asked.exists():
        settled = time.time() - run.path.stat().st_mtime > 60  # one that is being made has none for a moment
        if settled and any(run.path.iterdir()):
            yield Damage(run.path, run.asked, "it is missing, and it says what the run is")
        return
    try:
        run.asked_spec()
    except (OSError, ValueError, StudioError) as problem:
        yield _damage(run.asked, problem, run.path)
        return
    if run.spec_file.exists():
        try:
            run.spec()
        except (OSError, ValueError, StudioError) as problem:
            yield _damage(run.spec_file, problem)
    records: list[tuple[type[Record], Path]] = [
        (Launch, run.launch), (Status, run.status), (PlanRecord, run.plan), (RunLock, run.lock), (Notes, run.notes),
        (Report, run.report), (JudgeReport, run.report.with_name("judge.json")),
    ]  # fmt: skip
    for record, file in records:
        yield from _unreadable(record, file)
    for file in run.manifests():
        yield from _unreadable(Artifact, file, file.parent)


def _datasets(root: Path) -> Iterator[Damage]:
    from studio.data.curation.store import DatasetRecord, VersionRecord

    for dataset in _folders(root):
        yield from _unreadable(DatasetRecord, dataset / "title.json")
        for version in _folders(dataset):
            yield from _unreadable(VersionRecord, version / "dataset.json", version)


def _documents(root: Path) -> Iterator[Damage]:
    from studio.documents.records import CollectionRecord, DocumentRecord

    for collection in _folders(root):
        yield from _unreadable(CollectionRecord, collection / "collection.json")
        for document in _folders(collection):
            yield from _unreadable(DocumentRecord, document / "document.json", document)


def _indexes(root: Path) -> Iterator[Damage]:
    from studio.retrieval.records import IndexRecord

    for folder in _folders(root):
        yield from _unreadable(IndexRecord, folder / "index.json", folder)


def _making(root: Path) -> Iterator[Damage]:
    from studio.making.folder import JobFolder
    from studio.making.records import JobStatus, MakingPlan, MakingReport

    for folder in _folders(root):
        try:
            _ = JobFolder(folder).spec
        except StudioError as problem:
            yield _damage(folder / "recipe.yaml", problem, folder)
            continue
        yield from _unreadable(JobStatus, folder / "status.json")
        yield from _unreadable(MakingPlan, folder / "plan.json")
        yield from _unreadable(MakingReport, folder / "report.json")


def _cascades(root: Path) -> Iterator[Damage]:
    from studio.cascade.record import Cascade, CascadeReport

    for folder in _folders(root):
        yield from _unreadable(Cascade, folder / "cascade.json", folder)
        yield from _unreadable(CascadeReport, folder / "report.json")


def _comparisons(root: Path) -> Iterator[Damage]:
    from studio.comparison.record import ComparisonRecord

    for folder in _folders(root):
        yield from _unreadable(ComparisonRecord, folder / "report.json", folder)


def _benchmarks(root: Path) -> Iterator[Damage]:
    from studio.benchmark.result import Result

    for file in sorted(root.glob("*.json")):
        yield from _unreadable(Result, file)


def _serving(root: Path) -> Iterator[Damage]:
    from studio.app.servers import StartedNote
    from studio.app.serving import ServerNote

    for file in sorted(root.glob("*.json")):
        yield from _unreadable(ServerNote, file)
    for file in sorted(root.glob("started/*.json")):
        yield from _unreadable(StartedNote, file)


_LOOKS: dict[str, Callable[[Path], Iterator[Damage]]] = {
    "runs": _runs, "datasets": _datasets, "documents": _documents, "indexes": _indexes, "making": _making,
    "cascades": _cascades, "comparisons": _comparisons, "bench": _benchmarks, "serving": _serving,
    QUEUE: _queue,
}  # fmt: skip


def _unreadable(record: type[Record], file: Path, folder: Path | None = None) -> Iterator[Damage]:
    try:
        record.read(file)
    except FileNotFoundError:
        return
    except (OSError, ValueError, StudioError) as problem:
        yield _damage(file, problem, folder)


def _damage(file: Path, problem: Exception, folder: Path | None = None) -> Damage:
    if not isinstance(problem, StudioError):
        return Damage(folder or file, file, (str(problem) or type(problem).__name__).splitlines()[0][:200])
    newer = f"{problem.hint} Or set it aside: studio doctor --repair"
    what = problem.message.splitlines()[0][:200]
    return Damage(folder or file, file, what, newer if "newer release" in what else FIX)


def _folders(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))
    return []
