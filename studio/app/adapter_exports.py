"""Use case of exporting an adapter folder that no run of this home trained, or that was copied from one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import export_copies, exports, gpu_use
from studio.app.exports import ExportEstimate
from studio.core.errors import ModelError, SpecError
from studio.core.files import studio_home
from studio.export.artifacts.manifest import Artifact
from studio.export.resources import trained_weights
from studio.models import adapter_files
from studio.runs import served_models
from studio.tracking.reporter import ProgressListener

if TYPE_CHECKING:
    from studio.export.merging.source import Source


def is_adapter_folder(source: str | Path) -> bool:
    """Whether this is a folder with an adapter, no run."""
    path = Path(source).expanduser()
    named = (path / "adapter_config.json").exists() or (
        adapter_files.holds_weights(path) and not (path / "config.json").exists()
    )
    return named and not (path / "asked.yaml").exists()


def dry_run(
    adapter_folder: str, kind: str, settings: Mapping[str, Any], base: str = "", home: str | Path | None = None
) -> ExportEstimate:
    """What exporting it would take on this machine; nothing is written. Raises as `export` does."""
    wanted = exports.target(kind, settings)
    source = _source(adapter_folder, base, home, Path())
    wanted.refuse(source.base.config)
    need = wanted.estimate(source)
    estimate = exports.described(wanted, source.dims, trained=trained_weights(source.adapter))
    return replace(estimate, disk=need.disk, memory=need.memory)


def export(
    adapter_folder: str,
    kind: str,
    settings: Mapping[str, Any],
    out: str | Path | None,
    base: str = "",
    home: str | Path | None = None,
    deploy: bool = False,
    on_progress: Callable[[float, float, str], None] | None = None,
) -> Artifact:
    """Export an adapter folder into the new folder `out`, verified as a run's export is, by general questions.

    base: the base model, where it is not the one the folder names. Raises SpecError without `out`, ModelError for an adapter
    or a base that cannot be loaded, ExportError if it cannot be made.
    """
    if out is None:
        raise SpecError(
            "an adapter folder is in no run, where its export would be kept",
            hint="Name a new folder: --out FOLDER",
            where="--out",
        )
    destination = Path(out).expanduser()
    export_copies.refuse_unless_free(destination)
    wanted = exports.target(kind, settings)
    exports.refuse_if_missing(wanted)
    from studio import worker
    from studio.export import make
    from studio.export.artifacts import deploy as deploying

    worker.set_environment()
    reporter = ProgressListener(on_progress)
    with _beside(destination) as aside, gpu_use.in_turn(f"an export of {adapter_folder}", reporter):
        source = _source(adapter_folder, base, home, aside)
        _require_fit(source)
        artifact = make.export(wanted, source, make.Probe([]), reporter)
        if deploy:
            artifact = deploying.write(source, artifact)
        export_copies.copy(artifact.path, destination)
    return artifact.with_values(path=destination)


def _source(adapter_folder: str, base: str, home: str | Path | None, exports_folder: Path) -> Source:
    """The adapter on its base as exports see a finished run."""
    from studio.export.merging.source import Source
    from studio.hardware import machine
    from studio.models import loading

    located = served_models.locate(adapter_folder, studio_home(home), base)
    if located.model is None or located.adapter is None:
        hint = "Name a run, or a folder with adapter_config.json."
        raise ModelError("this is not an adapter folder", hint=hint, where=adapter_folder)
    model = loading.as_loaded(located.model, machine.probe().device)
    adapter = located.adapter.absolute()
    return Source(base=loading.find(model), model=model, adapter=adapter, name=adapter.name, exports=exports_folder)


def _require_fit(source: Source) -> None:
    """Raise ModelError for an adapter that a chat would refuse, before anything is written."""
    from studio.export.merging import merge_stream
    from studio.models import loading

    skeleton = merge_stream.without_weights(source)
    if skeleton is None:  # the text part of a model that sees: merging finds out
        adapter_files.check_values(source.adapter)
    else:
        loading.check_adapter(skeleton, source.adapter)


@contextmanager
def _beside(destination: Path) -> Generator[Path]:
    """A folder on the same disk, gone afterwards."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}."))
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
