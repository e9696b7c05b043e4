"""A run that trains an adapter further: which one, whether it may be, and what of its settings the run takes over."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from studio.core.errors import JobError, ModelError, SpecError
from studio.core.files import folder_aside, read_json
from studio.core.plain import is_list, is_object
from studio.core.text import plural
from studio.models import adapter_files, hub_adapters
from studio.models.dims import model_dims
from studio.runs import folder as folders
from studio.runs.folder import RunFolder
from studio.spec import RunSpec, edit

FIELD = "adapter.start_from"
REFUSED = {
    "modules_to_save": "whole layers beside its matrices",
    "target_parameters": "parameters that are no layers",
    "trainable_token_indices": "tokens of its own",
    "alora_invocation_tokens": "tokens that switch it on",
}
"""Settings of an adapter that a run here would not carry into its exports, and what they mean."""


def start_folder(spec: RunSpec, home: Path) -> Path | None:
    """The folder of the adapter a run begins with, None for a fresh one. Raises SpecError if it is not there."""
    given = spec.adapter.start_from
    if given is None:
        return None
    folder, run = locate(given, home, FIELD)
    if run is not None:
        _same_base(spec, run.spec(), run.id)
    return folder


def locate(reference: str, home: Path, field: str) -> tuple[Path, RunFolder | None]:
    """The adapter folder that a name stands for, and its run if it is one's: a folder, a run of `home`, or `hub:OWNER/NAME`.

    field: where it was named. Raises SpecError if it is not there, ModelError for what the hub does not have.
    """
    if reference.startswith(hub_adapters.PREFIX):
        return hub_adapters.download(reference), None
    path = Path(reference).expanduser()
    if (path / "adapter_config.json").exists():
        return path.absolute(), None
    if path.is_dir() and not (path / "asked.yaml").exists():
        raise SpecError(
            "there is no adapter in this folder", hint="It should hold adapter_config.json.", where=f"{field}: {reference}"
        )
    try:
        run = folders.find(reference, home)
    except JobError as problem:
        hint = f"{problem.hint} Or give the folder of an adapter, or hub:OWNER/NAME."
        raise SpecError(f"{problem.message}, nor such a folder", hint=hint, where=field) from None
    if not (run.adapter / "adapter_config.json").exists():
        raise SpecError(f"run {run.id} has no trained adapter", hint="Wait until it is trained, or resume it.", where=field)
    return run.adapter, run


def take_start(spec: RunSpec, run: RunFolder, base: Mapping[str, Any] | None = None) -> RunSpec:
    """The spec as `settled`, for a run that begins: the adapter it starts from is copied into the run's folder, and one on the
    hub is named with its commit."""
    start = start_folder(spec, run.path.parent.parent)
    spec = settled(spec, start, base)
    given = spec.adapter.start_from or ""
    if start is not None and given.startswith(hub_adapters.PREFIX):
        spec = edit(spec, {FIELD: f"{given.partition('@')[0]}@{start.name}"}, FIELD)
    if start is not None:
        with folder_aside(run.start) as aside:
            for name in ("adapter_config.json", "adapter_model.safetensors"):
                shutil.copyfile(start / name, aside / name)
    return spec


def settled(spec: RunSpec, start: Path | None, base: Mapping[str, Any] | None = None) -> RunSpec:
    """The spec with the adapter's kind, rank, strength and layers as in `start`. Raises SpecError where a field says otherwise.

    base: the config of the model it is to be trained on. Raises SpecError, too, for an adapter of a kind that is not trained
    here, one whose files say different things, and one of another base.
    """
    if start is None:
        return spec
    config = _config(start)
    kind = str(config.get("peft_type"))
    if kind != "LORA":
        raise SpecError(f"this adapter is of the kind {kind}, and only LoRA is trained further", hint=_LORA, where=str(start))
    if moved := adapter_files.moves_base(config.get("init_lora_weights")):
        raise SpecError(
            f"this adapter began with {moved}, which changed the base it was trained on", hint=_LORA, where=str(start)
        )
    unusual = [what for name, what in REFUSED.items() if config.get(name)]
    unusual += ["biases"] if config.get("bias", "none") != "none" else []
    if unusual:
        raise SpecError(
            f"this adapter has {' and '.join(unusual)}, which is not trained further here", hint=_LORA, where=str(start)
        )
    try:
        tensors = adapter_files.check(start)
        adapter_files.check_finite(start, tensors)
        if base is not None:
            adapter_files.match_dims(start, tensors, model_dims(base), spec.model.name)
    except ModelError as problem:
        raise SpecError(problem.message, hint=problem.hint, where=problem.where or FIELD) from None
    targets, ranks = _layers(start, config)
    found = {
        "kind": "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora",
        "rank": int(config["r"]),
        "alpha": int(config["lora_alpha"]),
        "targets": targets,
        "ranks": ranks,
    }
    given = {name for name in found if name in spec.adapter.model_fields_set and getattr(spec.adapter, name) is not None}
    for name in sorted(given):
        value = getattr(spec.adapter, name)
        value = sorted(value) if is_list(value) else value
        if value != found[name]:
            raise SpecError(
                f"it is {value}, and the adapter the run starts from has {_words(found[name])}",
                hint="Leave the field out: it is taken over from that adapter.",
                where=f"adapter.{name}",
            )
    return edit(spec, {f"adapter.{name}": value for name, value in found.items()}, FIELD)


def _layers(start: Path, config: dict[str, Any]) -> tuple[list[str], dict[str, int]]:
    """The layers of an adapter as `adapter.targets` takes them, and the ranks that differ from its own.

    Names, where all layers of a name have an adapter of that rank; else each layer by path, as its file has them.
    """
    targets = config.get("target_modules")
    uneven = any(config.get(name) for name in ("rank_pattern", "layers_to_transform"))
    if is_list(targets) and not uneven and all(name.isidentifier() for name in targets):
        return sorted(targets), {}
    ranks = adapter_files.ranks(start)
    layers = Counter(path.rpartition(".")[2] for path in ranks)
    if not uneven and len(set(layers.values())) == 1:
        return sorted(layers), {}
    return sorted(ranks), {path: rank for path, rank in ranks.items() if rank != config["r"]}


_LORA = "Give a LoRA, rsLoRA or DoRA adapter, or merge this one into its base and set model.name to the result."


def _words(value: object) -> str:
    return f"{plural(len(value), 'layer')}: {', '.join(value)}" if is_list(value) else str(value)


def _config(start: Path) -> dict[str, Any]:
    try:
        values = read_json(start / "adapter_config.json")
    except (OSError, ValueError) as problem:
        raise SpecError(
            f"adapter_config.json cannot be read ({problem})", hint="Copy the adapter again.", where=str(start)
        ) from None
    if not is_object(values) or not (start / "adapter_model.safetensors").exists():
        raise SpecError(
            "it is no whole adapter: adapter_model.safetensors is missing",
            hint="Only safetensors are read; convert it with the program that wrote it.",
            where=str(start),
        )
    return values


def _same_base(spec: RunSpec, before: RunSpec, run: str) -> None:
    if spec.model.name != before.model.name:
        raise SpecError(
            f"run {run} was trained on {before.model.name}, and this one names {spec.model.name}",
            hint=f"Set model.name to {before.model.name}: an adapter fits the base it was trained on.",
            where="model.name",
        )
