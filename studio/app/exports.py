"""Use cases of exports: which kinds there are, what one would take, making, listing and uploading them."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from studio import spec as specs
from studio.app import export_copies, gpu_use, runs
from studio.app.export_estimate import ExportEstimate as ExportEstimate
from studio.app.runs import Run
from studio.core.errors import ExportError, JobError, SpecError, StudioError
from studio.core.fields import Alternatives, Leaf, leaves
from studio.core.files import read_json
from studio.core.text import nearest, slug
from studio.evaluation.report import Report
from studio.export.artifacts import manifest, push
from studio.export.artifacts.manifest import MANIFEST, Artifact
from studio.export.artifacts.push import PushRecord, Upload
from studio.export.artifacts.push import caveat as caveat
from studio.export.pace import GENERAL_TOKENS, answered_tokens
from studio.export.resources import trained_weights
from studio.models.settings import Model
from studio.processes import tasks
from studio.processes.tasks import Task
from studio.runs import mirror
from studio.runs.event_reporter import EventReporter
from studio.runs.folder import RunFolder

if TYPE_CHECKING:
    from studio.export.targets import AnyTarget
    from studio.export.work import Work
    from studio.hardware.dims import ModelDims

_INSTALL = re.compile(r"studio exporters install ([a-z0-9_-]+)")


@dataclass(frozen=True)
class ListedExport:
    """An export of a run, and where it was uploaded to, oldest first."""

    artifact: Artifact
    pushes: list[PushRecord]


def kinds() -> dict[str, type[BaseModel]]:
    """Every kind of export with its settings, as the union of targets lists them."""
    return next(item for item in specs.fields() if isinstance(item, Alternatives) and item.path == "export").sections


def summary(section: type[BaseModel]) -> str:
    """A kind of export in a sentence."""
    return " ".join((section.__doc__ or "").split("\n\n")[0].split())


def settings(section: type[BaseModel]) -> list[Leaf]:
    """The settings of a kind of export."""
    return [leaf for leaf in leaves(section) if isinstance(leaf, Leaf) and leaf.path != "kind"]


def target(kind: str, settings: Mapping[str, Any]) -> AnyTarget:
    """The target of a kind with these settings. Raises SpecError at `kind` or at the setting that is wrong."""
    try:
        return specs.parse({"data": {"train": "-"}, "export": [{"kind": kind, **settings}]}).export[0]
    except SpecError as problem:
        where = problem.where.removeprefix("export.0").removeprefix("export").lstrip(".")
        raise SpecError(problem.message, hint=problem.hint, where=where or "kind") from None


def label(target: Mapping[str, Any]) -> str:
    """A target in a word: its kind and every setting that was given, e.g. `gguf-q8_0`."""
    words = [str(value) for value in target.values() if value is not None]
    return "-".join(re.sub(r"[^a-zA-Z0-9_]+", "-", word).strip("-") for word in words)


def estimate(run: Run, kind: str, settings: Mapping[str, Any]) -> ExportEstimate:
    """What making this export would take, from the base's config alone. Raises SpecError for wrong settings."""
    wanted = target(kind, settings)
    base = _base(run.spec.model.model_dump_json())
    report = run.folder.report
    tokens = _answered_tokens(report, report.stat().st_mtime if report.exists() else 0)
    refused = ""
    if base:
        try:
            wanted.refuse(base.config)
        except ExportError as error:
            refused = error.message
    trained, also = trained_weights(run.folder.adapter), wanted.before(run.folder.exports)
    return described(wanted, base.dims if base else None, refused, trained, tokens, also)


def described(
    wanted: AnyTarget,
    dims: ModelDims | None,
    refused: str = "",
    trained: int | None = None,
    tokens: int = GENERAL_TOKENS,
    also: Collection[Work] = (),
) -> ExportEstimate:
    """What is known of an export from its model's dimensions alone. trained: weights of the adapter; tokens: those that are
    answered when it is verified; also: what has to be done before it."""
    missing = wanted.missing() or ""
    install = _INSTALL.search(missing)
    return ExportEstimate(
        kind=wanted.kind,
        bytes=wanted.size(dims, trained) if dims else None,
        seconds=wanted.seconds(dims, tokens, also) if dims else None,
        missing=missing,
        toolchain=install[1] if install else "",
        note=wanted.note(dims) if dims else "",
        refused=refused,
    )


def dry_run(run: Run, kind: str, settings: Mapping[str, Any]) -> ExportEstimate:
    """What making this export would take on this machine: size, disk space, memory and time. Nothing is written.

    Raises SpecError for wrong settings, JobError for a run without an adapter, ExportError for an export that is not possible.
    """
    from dataclasses import replace

    from studio import pipeline

    wanted = target(kind, settings)
    require_adapter(run)
    source = pipeline.export_source(run.folder, pipeline.reopen(run.folder))
    wanted.refuse(source.base.config)
    need = wanted.estimate(source)
    return replace(
        estimate(run, kind, settings),
        disk=need.disk,
        memory=need.memory,
        folder=source.exports / wanted.folder(source),
    )


def refuse_if_missing(target: AnyTarget) -> None:
    """Raise ExportError with the command that helps if what the target needs is not installed: before an hour of merging."""
    missing = target.missing()
    if missing:
        said, _, how = missing.rpartition(": ")
        raise ExportError(said or missing, hint=f"Run {how}", where=target.kind)


def require_adapter(run: Run) -> None:
    """Raise JobError unless the run has a trained adapter."""
    if not (run.folder.adapter / "adapter_config.json").exists():
        state = run.status.state
        raise JobError(f"this run has no trained adapter (state: {state})", hint="Choose a run that is done.", where=run.id)


def export(
    run: Run,
    kind: str,
    settings: Mapping[str, Any],
    out: str | Path | None = None,
    deploy: bool = False,
    on_progress: Callable[[float, float, str], None] | None = None,
) -> Artifact:
    """Make one export of a finished run and verify it in its own runtime.

    deploy also writes what serves it on another machine. out copies the verified export there as well. on_progress: done,
    total, what. Raises SpecError for a wrong target, JobError for a run without an adapter, ExportError if it cannot be made.
    """
    destination = Path(out).expanduser() if out else None
    if destination:
        export_copies.refuse_unless_free(destination)
    wanted = target(kind, settings)
    require_adapter(run)
    refuse_if_missing(wanted)
    from studio import pipeline, worker

    worker.set_environment()
    watcher = EventReporter(run.folder, on_progress)
    with gpu_use.in_turn(f"an export of {run.id}", watcher):
        artifact = pipeline.export_one(run.folder, pipeline.reopen(run.folder), wanted, watcher, deploy)
    with mirror.afterwards(run.folder, watcher) as mirrored:
        if mirrored:
            mirrored.exported(artifact)
    if destination:
        export_copies.copy(run.folder.exports / artifact.folder, destination)
    return artifact


def begin(run: Run, kind: str, settings: Mapping[str, Any], home: Path, deploy: bool = False) -> Task:
    """Begin to make and verify an export in a process of its own; returns at once.

    Raises SpecError for wrong settings, ExportError for what is not installed, JobError if the run is not ready for it.
    """
    refuse_if_missing(target(kind, settings))
    require_adapter(run)
    if run.status.active:
        raise JobError("this run is still running", hint="Wait until it has ended.", where=run.id)
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    arguments = ["export", str(run.folder.path), "--to", kind, *words, *(["--deploy"] if deploy else [])]
    return tasks.begin(_tasks_of(run), "export", label({"kind": kind, **settings}), arguments, home)


def list_exports(run: Run) -> list[ListedExport]:
    """The run's exports, by folder name; one whose manifest cannot be read is left out, and named by `damage.of_run`."""
    listed: list[ListedExport] = []
    for file in run.folder.manifests():
        try:
            artifact = manifest.read(file.parent)
        except (StudioError, FileNotFoundError):
            continue
        listed.append(ListedExport(artifact, push.pushes(file.parent)))
    return listed


def running_tasks(run: Run, home: Path) -> list[Task]:
    """The exports and pushes of the run and the installations that were begun from a page, newest first."""
    found = [*tasks.tasks(_tasks_of(run)), *tasks.tasks(home / "exporters" / ".work")]
    return sorted(found, key=lambda item: item.begun, reverse=True)


def prepare_upload(
    what: str, repository: str, public: bool = False, target: str | None = None, home: str | Path | None = None
) -> Upload:
    """What pushing a run's export, or an export's folder, would upload. Raises JobError for what cannot go up."""
    return push.prepare_upload(export_folder(what, target, home), repository, public)


def upload(upload: Upload, on_step: Callable[[str], None] = lambda line: None) -> PushRecord:
    """Upload it. Raises JobError, ExportError."""
    record = push.send(upload, on_step)
    folder = RunFolder(upload.artifact.path.parent.parent)
    if folder.spec_file.exists():  # an export that was copied elsewhere has no run
        with mirror.afterwards(folder, EventReporter(folder)) as mirrored:
            if mirrored:
                mirrored.pushed(upload.artifact.folder, record.repository, record.commit)
    return record


def begin_push(run: Run, folder: str, repository: str, public: bool, home: Path) -> Task:
    """Begin to push an export of the run in a process of its own. Raises JobError for what cannot go up."""
    prepare_push(run, folder, repository, public)
    arguments = ["push", str(_export(run, folder)), "--to", repository, *(["--public"] if public else []), "--yes"]
    return tasks.begin(_tasks_of(run), "push", slug(f"{folder} {repository}"), arguments, home)


def prepare_push(run: Run, folder: str, repository: str, public: bool) -> Upload:
    """What pushing an export of the run would upload. Raises JobError for what cannot go up."""
    return push.prepare_upload(_export(run, folder), repository, public)


def export_folder(what: str, target: str | None = None, home: str | Path | None = None) -> Path:
    """The folder of an export: of that path, or of the run, its only one or the one of that kind or folder name."""
    path = Path(what).expanduser()
    if (path / MANIFEST).exists():
        return path.absolute()
    run = runs.find(what, home)
    kinds_of = {file.parent.name: str(read_json(file)["kind"]) for file in run.folder.manifests()}
    names = [name for name in kinds_of if not name.endswith(".failed")]
    if not names:
        raise JobError("this run has no export", hint=f"Make one: studio export {run.id} --to merged", where=run.id)
    matches = [name for name in names if target in (None, name)] or [name for name in names if kinds_of[name] == target]
    if not matches:
        near = nearest(target or "", [*names, *kinds_of.values()])
        hint = f"Did you mean `{near}`? " if near else ""
        raise JobError(
            f"this run has no export `{target}`", hint=f"{hint}It has {', '.join(names)}.", where=f"{run.id}: --target"
        )
    if len(matches) > 1:
        raise JobError("this run has several exports", hint=f"Say which: --target {' | '.join(matches)}", where=run.id)
    return run.folder.exports / matches[0]


@dataclass(frozen=True)
class _Base:
    config: dict[str, Any]
    dims: ModelDims


def _export(run: Run, folder: str) -> Path:
    if folder not in {item.artifact.folder for item in list_exports(run)}:
        raise JobError("this run has no such export", hint="Choose one of the list.", where=folder[:80])
    return run.folder.exports / folder


def _tasks_of(run: Run) -> Path:
    return run.folder.exports / ".work"


@functools.lru_cache(maxsize=64)
def _answered_tokens(report: Path, changed: float) -> int:
    """Tokens that an export of the run answers. changed: when its report was written."""
    try:
        return answered_tokens(Report.read(report) if changed else None)
    except StudioError:  # the page of the run says that it is damaged
        return GENERAL_TOKENS


@functools.lru_cache(maxsize=64)
def _base(model: str) -> _Base | None:
    """The base's config and dimensions; None where they are not known without downloading it."""
    from studio.models import loading
    from studio.models.dims import model_dims

    try:
        config = loading.find(Model.model_validate_json(model), planning=True).config
        return _Base(config, model_dims(config))
    except StudioError:
        return None
