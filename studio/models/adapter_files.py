"""Adapter folders, of this studio and of others: what their files say, checked by headers before anything is allocated."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import ModelError
from studio.core.text import plural
from studio.hardware.dims import ModelDims
from studio.models.adapter_config import CONFIG, COPY_AGAIN, check_fields, check_layers
from studio.models.weights import Tensor, header, numbers

if TYPE_CHECKING:
    from torch import nn

WEIGHTS, PICKLED = "adapter_model.safetensors", "adapter_model.bin"
KINDS = ("LORA",)
"""Kinds of adapters that are loaded; DoRA is one of LoRA's."""
MOST_SCALING = 100
MOVED = {"pissa": "PiSSA", "olora": "OLoRA", "corda": "CorDA", "loftq": "LoftQ", "lora_ga": "LoRA-GA"}
"""Beginnings of `init_lora_weights` under which PEFT changes the base itself, with their names; `pissa_niter_4` is one."""
_MATRIX = re.compile(r"^(?P<layer>.+)\.lora_(?P<side>A|B|embedding_A|embedding_B)(\.weight)?$")


def is_full(config: dict[str, Any]) -> bool:
    """Whether a config is that of full fine-tuning: whole layers, and no matrices beside them."""
    return config.get("target_modules") == "dummy-target-modules" and bool(config.get("modules_to_save"))


def read_config(folder: Path) -> dict[str, Any]:
    """The adapter's config. Raises ModelError for a file that is damaged, and for a kind of adapter that is not loaded."""
    file = folder / CONFIG
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{CONFIG} is missing", hint=COPY_AGAIN, where=str(folder)) from None
    except (OSError, ValueError) as problem:
        raise ModelError(f"{CONFIG} cannot be read: {problem}", hint=COPY_AGAIN, where=str(folder)) from None
    if not isinstance(values, dict):
        raise ModelError(f"{CONFIG} is not a JSON object", hint=COPY_AGAIN, where=str(folder))
    kind = values.get("peft_type", "LORA")
    if kind not in KINDS:
        raise ModelError(
            f"this is an adapter of the kind {str(kind)[:40]}, and only LoRA and DoRA are loaded",
            hint="Merge it into its base with the program that trained it, and use the merged model.",
            where=str(file),
        )
    if moved := moves_base(values.get("init_lora_weights")):
        raise ModelError(
            f"it began with {moved}, which changed the base: on the base as it is, it means something else",
            hint="Save it as plain LoRA where it was trained (PEFT: save_pretrained with "
            "path_initial_model_for_weight_conversion), or use the merged model.",
            where=str(file),
        )
    check_fields(values, file)
    return values


def moves_base(began: object) -> str:
    """The name of a beginning (`init_lora_weights`) that changed the base an adapter was trained on; else nothing.

    PEFT changes a base again on loading: the adapter switched off is then not the base, and a merge from the files is wrong.
    """
    return next((name for start, name in MOVED.items() if str(began).lower().startswith(start)), "")


def check(folder: Path) -> dict[str, Tensor]:
    """The tensors of an adapter folder by name, from the header alone: nothing is allocated for what its config claims.

    Raises ModelError for pickled weights, missing ones, a kind that is not loaded, none that belong to LoRA, and a rank other
    than the config's.
    """
    file = folder / WEIGHTS
    if not holds_weights(folder):
        raise ModelError("there is no adapter in this folder", hint="Train one first, or check the path.", where=str(folder))
    config = read_config(folder)
    if not file.exists():
        raise ModelError(
            "its weights are pickled Python objects, which can run any code when opened",
            hint="Convert them to safetensors once, on a machine you trust: `save_pretrained` writes them so.",
            where=str(folder / PICKLED),
        )
    tensors = header(file, COPY_AGAIN)
    ranks = {name: rank for name, tensor in tensors.items() if (rank := _rank(name, tensor)) is not None}
    if not ranks and not config.get("modules_to_save"):
        what = f"no LoRA matrix is among its {plural(len(tensors), 'tensor')}" if tensors else "it holds no tensors"
        raise ModelError(what, hint=COPY_AGAIN, where=str(file))
    _check_pairs(tensors, file)
    by_layer = {_inside(matched["layer"]): rank for name, rank in ranks.items() if (matched := _MATRIX.match(name))}
    check_layers(config, by_layer, list(tensors), folder)
    return tensors


def holds_weights(folder: Path) -> bool:
    """Whether there are an adapter's weights in a folder, of whichever format."""
    return (folder / WEIGHTS).exists() or (folder / PICKLED).exists()


def _check_pairs(tensors: dict[str, Tensor], file: Path) -> None:
    """Raise ModelError unless every layer has both of its matrices, of one rank."""
    sides: dict[str, dict[str, int | None]] = {}
    for name, tensor in tensors.items():
        if matched := _MATRIX.match(name):
            sides.setdefault(matched["layer"], {})[matched["side"][-1]] = _rank(name, tensor)
    for layer, found in sides.items():
        if len(found) == 1:
            held = next(iter(found))
            raise ModelError(
                f"{_inside(layer)} has its matrix {held} and no {'A' if held == 'B' else 'B'}", hint=COPY_AGAIN, where=str(file)
            )
        if None not in found.values() and found["A"] != found["B"]:
            message = f"the matrices of {_inside(layer)} have the ranks {found['A']} and {found['B']}"
            raise ModelError(message, hint=COPY_AGAIN, where=str(file))


def _rank(name: str, tensor: Tensor) -> int | None:
    matched = _MATRIX.match(name)
    if matched is None or len(tensor["shape"]) != 2:
        return None
    return tensor["shape"][0 if matched["side"].endswith("A") else 1]


def ranks(folder: Path) -> dict[str, int]:
    """The adapted layers by path in the base, each with its rank. Raises ModelError as `check` does."""
    return {
        _inside(matched["layer"]): rank
        for name, tensor in check(folder).items()
        if (rank := _rank(name, tensor)) is not None and (matched := _MATRIX.match(name)) and matched["side"] == "A"
    }


def match(folder: Path, tensors: dict[str, Tensor], base: nn.Module) -> None:
    """Raise ModelError unless every matrix of the adapter has its layer, of its size, in the base model."""
    modules = dict(base.named_modules())
    layers = {found["layer"] for name in tensors if (found := _MATRIX.match(name))}
    if any(name.endswith(".score.weight") for name in tensors) and "score" not in modules:
        raise ModelError(
            "this adapter is a reward model: it scores answers and gives none",
            hint="`studio score` scores answers with it.",
            where=str(folder),
        )
    missing = sorted(layer for layer in layers if _module(layer, modules) is None)
    if missing:
        none = len(missing) == len(layers)
        count = "none" if none else f"only {len(layers) - len(missing)}"
        raise ModelError(
            f"{count} of the {len(layers)} layers of this adapter {'is' if none else 'are'} in this base model; missing, "
            f"for example, {_inside(missing[0])}",
            hint=f"Name the base it was trained on ({_named(folder)}), for example with --base.",
            where=str(folder),
        )
    for name, tensor in tensors.items():
        matched = _MATRIX.match(name)
        if matched is None or matched["side"] not in ("A", "B"):
            continue
        module = _module(matched["layer"], modules)
        width = getattr(module, "in_features" if matched["side"] == "A" else "out_features", None)
        if len(tensor["shape"]) != 2:
            continue
        found = tensor["shape"][1 if matched["side"] == "A" else 0]
        if isinstance(width, int) and found != width:
            raise ModelError(
                f"{_inside(matched['layer'])} of this adapter is for {found} values, and the base model has {width}: it was "
                "trained on another base",
                hint=f"Name the base it was trained on ({_named(folder)}), for example with --base.",
                where=str(folder),
            )


def match_dims(folder: Path, tensors: dict[str, Tensor], dims: ModelDims, base: str) -> None:
    """As `match`, by the sizes of the base alone, which is called `base`; nothing where they are estimates."""
    if dims.counted == "like llama":
        return
    for name, tensor in tensors.items():
        found = _MATRIX.match(name)
        index = re.search(r"\.layers\.(\d+)\.", name)
        last = found["layer"].rpartition(".")[2] if found else ""
        if found is None or index is None or found["side"] not in ("A", "B") or len(tensor["shape"]) != 2:
            continue
        if last not in dims.names():
            continue
        size = dims.size(last, int(index[1])) if int(index[1]) < dims.layers else None
        width = tensor["shape"][1 if found["side"] == "A" else 0]
        wanted = size[0 if found["side"] == "A" else 1] if size else 0
        if int(index[1]) >= dims.layers:
            problem = f"{_inside(found['layer'])} of this adapter is not in {base}, which has {plural(dims.layers, 'layer')}"
        elif size is None:
            problem = f"{_inside(found['layer'])} of this adapter is not in {base}"
        elif width != wanted:
            problem = f"{_inside(found['layer'])} of this adapter is for {width} values, and {base} has {wanted}"
        else:
            continue
        raise ModelError(
            f"{problem}: it was trained on another base",
            hint=f"Name the base it was trained on in model.name ({_named(folder)}).",
            where=str(folder),
        )


def check_finite(folder: Path, tensors: dict[str, Tensor]) -> None:
    """Raise ModelError for NaN or infinity in an adapter's matrices, read without torch."""
    for name, tensor in tensors.items():
        values = numbers(folder / WEIGHTS, tensor) if _MATRIX.match(name) else None
        if values is not None and not np.isfinite(values).all():
            raise _not_finite(name, folder)


def _not_finite(name: str, folder: Path) -> ModelError:
    return ModelError(
        f"{name} of this adapter holds NaN or infinity", hint="Train it again, or copy it again.", where=str(folder)
    )


def check_values(folder: Path) -> bool:
    """Whether the adapter changes anything: False if all its B matrices are zero and it holds no whole modules. Raises
    ModelError for NaN or infinity."""
    import torch
    from safetensors import safe_open

    changes, whole = False, bool(read_config(folder).get("modules_to_save"))
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - no dictionary
            values = file.get_tensor(name)
            if values.is_floating_point() and not bool(torch.isfinite(values).all()):
                raise _not_finite(name, folder)
            matched = _MATRIX.match(name)
            counts = matched["side"].endswith("B") if matched else whole and ".lora_" not in name
            changes = changes or (counts and bool(values.any()))
    return changes


def unusual_scaling(folder: Path) -> str:
    """By how much an adapter's changes are multiplied, where that is far more than any method asks for, or not above 0; else
    nothing."""
    config = read_config(folder)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or not isinstance(alpha, int | float) or rank < 1:
        return ""
    scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return f"{scaling:,.0f}" if not 0 < scaling <= MOST_SCALING else ""


def _module(layer: str, modules: dict[str, Any]) -> Any:
    return modules.get(_inside(layer))


def _inside(layer: str) -> str:
    """The layer's name in its base."""
    return layer.removeprefix("base_model.model.").replace(".base_layer", "")


def _named(folder: Path) -> str:
    return str(read_config(folder).get("base_model_name_or_path") or "which it does not name")
