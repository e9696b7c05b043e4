"""What a name stands for when something is served or talked to: a run, an export, an adapter, a GGUF file, or a model."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from studio.core.errors import JobError, ModelError
from studio.core.files import read_json
from studio.models import adapter_files
from studio.models.settings import Model
from studio.runs import status
from studio.runs.folder import RunFolder, find, find_export
from studio.runs.records import day_of
from studio.serving.assemble import Source


def locate(reference: str, home: Path, base: str = "") -> Source:
    """What one name stands for: a run, an export, an adapter folder, a GGUF file, or a model.

    base: the base model of an adapter folder, where it is not the one the folder names. Raises JobError, ModelError.
    """
    path = Path(reference).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ModelError("there is no such file", hint="Check the path.", where=reference)
        return Source(reference, path.stem, gguf=path, system=_trained_system(path.parent))
    if (path / "artifact.json").exists():
        return _export(reference, path)
    export = find_export(reference, home)
    if export is not None:
        return _export(reference, export)
    if (path / "adapter_config.json").exists():
        settings = adapter_files.read_config(path)
        adapter_files.check(path)
        named = _base(str(settings.get("base_model_name_or_path") or ""))
        if not (base or named):
            hint = "Name the base model: --base FOLDER_OR_HUB_ID."
            raise ModelError("this adapter names no base model in its adapter_config.json", hint=hint, where=reference)
        model = _plain(base or named, None if base else settings.get("revision"), path)
        _require_base(model, reference)
        return Source(reference, path.name, model, path)
    if adapter_files.holds_weights(path) and not (path / "config.json").exists():
        adapter_files.read_config(path)  # which says that it is missing
    try:
        run = find(reference, home)
    except JobError:
        if not (reference == "starter" or path.is_dir() or reference.count("/") == 1):
            raise
        return Source(reference, path.name if path.is_dir() else reference, _plain(str(path) if path.is_dir() else reference))
    if not (run.adapter / "adapter_config.json").exists():
        raise JobError(
            f"this run has no trained adapter (state: {status.read(run).state})",
            hint="Choose a run that is done.",
            where=run.id,
        )
    spec = run.spec()
    return Source(
        reference, run.id, spec.model, run.adapter,
        threads=spec.training.threads, run=run.id, system=spec.data.system or "", day=day_of(run.lock),
    )  # fmt: skip


def run_of(reference: str, home: Path) -> RunFolder | None:
    """The run that a name stands for, or whose export it names; None for anything else."""
    try:
        export = Path(reference) if (Path(reference) / "artifact.json").exists() else find_export(reference, home)
        return find(export.absolute().parent.parent if export is not None else reference, home)
    except JobError:
        return None


def lasting_name(reference: str, home: Path) -> str:
    """The same model by a name that means it tomorrow as well: a run's whole id for `last` or the beginning of an id, and a
    full path for a relative one."""
    if reference.startswith(("http://", "https://")):
        return reference
    export = reference.partition(":")[2]
    found = run_of(reference, home)
    if found is not None and found.path.parent == (home / "runs").absolute():
        return f"{found.id}:{export}" if export and not Path(reference).exists() else found.id
    return str(Path(reference).expanduser().absolute()) if Path(reference).expanduser().exists() else reference


def _export(reference: str, folder: Path) -> Source:
    manifest = read_json(folder / "artifact.json")
    kind = manifest["kind"]
    files = sorted(folder.glob("*.gguf"))
    if kind == "gguf" and files:
        return Source(reference, files[0].stem, gguf=files[0], system=_trained_system(folder))
    if kind == "merged_4bit":
        return Source(reference, folder.name, _plain(str(folder.absolute())), system=_trained_system(folder), quantized=True)
    if kind in ("merged", "tensorrt_llm"):
        return Source(reference, folder.name, _plain(str(folder.absolute())), system=_trained_system(folder))
    if kind == "adapter":
        return Source(
            reference,
            folder.name,
            _exported_base(manifest["sources"], folder),
            folder,
            system=_trained_system(folder),
            day=_day(folder),
        )
    raise ModelError(
        f"an export of kind `{kind}` is served by its own runtime",
        hint=(manifest.get("serve") or ["See its artifact.json."])[0],
        where=reference,
    )


def _base(name: str) -> str:
    from studio.models.starter import folder

    return "starter" if Path(name) == folder() else name


def _exported_base(made_from: dict[str, Any], folder: Path) -> Model:
    """The base of an adapter export: its run's, where it lies in one (a manifest names no paths), else as it says."""
    run = folder.absolute().parent.parent
    if (run / "asked.yaml").exists():
        return RunFolder(run).spec().model
    base, held = made_from["base"], made_from["held_as"]
    return Model(
        name=base["name"], revision=base["revision"], chat_template=_template(folder),
        quantization=held["quantization"] or "none", dtype=held["dtype"],
    )  # fmt: skip


def _trained_system(folder: Path) -> str:
    """The system prompt of the run whose export a folder is; for one that was copied out of its run, as its manifest has it."""
    run = folder.absolute().parent.parent
    if (run / "asked.yaml").exists():
        return RunFolder(run).spec().data.system or ""
    manifest = folder / "artifact.json"
    return str((read_json(manifest).get("details") or dict[str, Any]()).get("system") or "") if manifest.exists() else ""


def _day(folder: Path) -> date | None:
    """The day of the run whose export a folder is; None for one that lies in no run."""
    lock = folder.absolute().parent.parent / "lock.json"
    return day_of(lock) if lock.exists() else None


def _require_base(model: Model, reference: str) -> None:
    """Raise ModelError, saying how to name another, where an adapter's base model cannot be had."""
    from studio.models import finding

    try:
        finding.find(model)
    except ModelError as problem:
        raise ModelError(
            f"the base model of this adapter, {model.name or 'which it does not name'}, cannot be loaded: {problem.message}",
            hint="Name the base model: --base FOLDER_OR_HUB_ID.",
            where=reference,
        ) from None


def _template(folder: Path) -> str | None:
    """The chat template beside an adapter: the one it was trained with."""
    file = folder / "chat_template.jinja"
    return str(file) if file.exists() else None


def _plain(name: str, revision: str | None = None, adapter: Path | None = None) -> Model:
    """A model as it is, unquantised; compute type and attention are decided by the device."""
    template = _template(adapter) if adapter else None
    return Model(name=name, revision=revision, quantization="none", chat_template=template)
