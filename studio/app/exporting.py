"""Use cases of the Export page, which must not wait: begin and follow exports, pushes and installations; sizes before."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.app import exports, pushing
from studio.app.runs import Run
from studio.core.errors import JobError, StudioError
from studio.core.text import slug
from studio.export.artifacts import push as pushes
from studio.export.artifacts.push import Upload
from studio.hardware.dims import ModelDims
from studio.models.settings import Model
from studio.processes import tasks
from studio.processes.tasks import Task

_INSTALL = re.compile(r"studio exporters install ([a-z0-9_-]+)")


@dataclass(frozen=True)
class Outlook:
    """An export before it is made. bytes: about; None where the model's size is not known."""

    kind: str
    bytes: int | None
    missing: str
    """What is not installed, with the command that makes it so; empty if all is there."""
    exporter: str
    """The name `studio exporters install` takes, if that is what is missing."""


def label(target: Mapping[str, Any]) -> str:
    """A target in a word: its kind and every setting that was given, e.g. `gguf-q8_0`."""
    words = [str(value) for value in target.values() if value is not None]
    return "-".join(re.sub(r"[^a-zA-Z0-9_]+", "-", word).strip("-") for word in words)


def outlook(run: Run, kind: str, settings: Mapping[str, Any]) -> Outlook:
    """What making this export would take. Raises SpecError for wrong settings."""
    target = exports.target(kind, settings)
    dims = _dims(run.spec.model.model_dump_json())
    missing = target.missing() or ""
    found = _INSTALL.search(missing)
    return Outlook(kind, target.size(dims) if dims else None, missing, found[1] if found else "")


def begin(run: Run, kind: str, settings: Mapping[str, Any], home: Path, deploy: bool = False) -> Task:
    """Begin to make and verify an export.

    Raises SpecError for wrong settings, ExportError for what is not installed, JobError if the run is not ready for it.
    """
    exports.refuse_if_missing(exports.target(kind, settings))
    if not (run.folder.adapter / "adapter_config.json").exists():
        raise JobError(f"this run has no adapter; it is {run.status.state}", hint="Choose a run that is done.", where=run.id)
    if run.status.active:
        raise JobError("this run is still being worked on", hint="Wait until it has ended.", where=run.id)
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    arguments = ["export", str(run.folder.path), "--to", kind, *words, *(["--deploy"] if deploy else [])]
    return tasks.begin(_folder(run), "export", label({"kind": kind, **settings}), arguments, home)


def upload(run: Run, folder: str, repository: str, public: bool) -> Upload:
    """What pushing an export of the run would upload. Raises JobError for what cannot go up."""
    return pushing.prepare_upload(str(_export(run, folder)), repository, public)


def push(run: Run, folder: str, repository: str, public: bool, home: Path) -> Task:
    """Begin to push an export of the run. Raises JobError for what cannot go up."""
    upload(run, folder, repository, public)
    seen = ["--public"] if public else []
    arguments = ["push", str(_export(run, folder)), "--to", repository, *seen, "--yes"]
    return tasks.begin(_folder(run), "push", slug(f"{folder} {repository}"), arguments, home)


def install(name: str, home: Path) -> Task:
    """Begin to install an exporter. Raises JobError if there is none of that name."""
    if name not in {item.exporter for item in map(_bare, exports.kinds()) if item.exporter}:
        raise JobError("there is no such exporter to install", hint="See `studio exporters`.", where=name)
    return tasks.begin(home / "exporters" / ".work", "install", name, ["exporters", "install", name], home)


def works(run: Run, home: Path) -> list[Task]:
    """The exports and pushes of the run and the installations that were begun from a page, newest first."""
    found = [*tasks.tasks(_folder(run)), *installations(home)]
    return sorted(found, key=lambda item: item.begun, reverse=True)


def installations(home: Path) -> list[Task]:
    """The installations of exporters that were begun from a page, newest first."""
    return tasks.tasks(home / "exporters" / ".work")


def made(run: Run) -> list[dict[str, Any]]:
    """The manifests of the run's exports, each with where it was pushed to."""
    return [{**item, "pushes": pushes.pushes(run.folder.exports / item["folder"])} for item in run.artifacts]


def _bare(kind: str) -> Outlook:
    missing = exports.target(kind, {}).missing() or ""
    found = _INSTALL.search(missing)
    return Outlook(kind, None, missing, found[1] if found else "")


def _export(run: Run, folder: str) -> Path:
    if folder not in {item["folder"] for item in run.artifacts}:
        raise JobError("this run has no such export", hint="Choose one of the list.", where=folder[:80])
    return run.folder.exports / folder


def _folder(run: Run) -> Path:
    return run.folder.exports / ".work"


@functools.lru_cache(maxsize=64)
def _dims(model: str) -> ModelDims | None:
    """The base's dimensions; None where they are not known without downloading it."""
    from studio.models import loading
    from studio.models.dims import model_dims

    try:
        return model_dims(loading.find(Model.model_validate_json(model), planning=True).config)
    except StudioError:
        return None
