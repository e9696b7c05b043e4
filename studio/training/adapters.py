"""The adapter: which layers get one, how it is put on a base model, and how it is written."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import TrainingError
from studio.core.files import folder_aside
from studio.core.text import nearest
from studio.hardware.dims import matches
from studio.training import initial, score_head
from studio.training.guards import disk_errors
from studio.training.settings import ResolvedAdapter

if TYPE_CHECKING:
    from torch import nn


def linear_layers(model: Any) -> dict[str, tuple[int, int]]:
    """Every linear layer of a model but its head, by full name: its inputs and outputs."""
    import torch

    head = model.get_output_embeddings()
    return {
        name: (layer.in_features, layer.out_features)
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer is not head  # bitsandbytes' layers are Linear too
    }


def target_modules(model: nn.Module, targets: str | list[str]) -> str | list[str]:
    """What `targets` means on this model, for peft. Raises TrainingError for a name that no linear layer has."""
    if targets == "all-linear":
        return "all-linear"
    layers = linear_layers(model)
    if targets == "attention":
        names = {name.rpartition(".")[2] for name in layers if re.search(r"(^|[._])(self_)?att(n|ention)", name)}
        if not names:
            raise TrainingError(
                f"No attention layers are recognised in {type(model).__name__}",
                hint="Set adapter.targets to all-linear, or list module names.",
                where="adapter.targets",
            )
        return sorted(names)
    known = sorted({name.rpartition(".")[2] for name in layers})
    chosen: list[str] = []
    for name in targets:
        found = [full for full in layers if matches(name, full)]
        if not found:
            raise TrainingError(_no_such_layer(name, known, model), hint=_nearest_layers(name, known), where="adapter.targets")
        chosen += [name] if name.isidentifier() else found  # peft takes names that end a path, and no expressions in a list
    return list(dict.fromkeys(chosen))


def _no_such_layer(name: str, known: list[str], model: nn.Module) -> str:
    if name == "lm_head" or any(full.endswith(f".{name}") or full == name for full, _ in model.named_modules()):
        return f"`{name}` cannot carry an adapter here: only the linear layers below the head can"
    return f"`{name}` matches no layer of {type(model).__name__}"


def _nearest_layers(name: str, known: list[str]) -> str:
    near = nearest(name.rpartition(".")[2], known)
    return f"{f'Did you mean `{near}`? ' if near else ''}Layers here: {', '.join(known)}."


def attach(base: nn.Module, adapter: ResolvedAdapter, seed: int, name: str = "", start: Path | None = None) -> Any:
    """The base with a fresh adapter on it, or with the one in the folder `start`, as a PeftModel; only it can be trained.

    With the kind `full`, what is trained is a copy of every linear layer, so that the base stays beside it.

    The adapter is kept in fp32 whatever the base is: its updates are far smaller than its weights and bf16 would round
    them away, and it costs little (16 bytes a weight with AdamW, on under 2 % of the model). The base, its embeddings
    and norms stay as they were loaded. name is written into the adapter as its base model.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    config: Any = _config(base, adapter)
    if start is not None:
        config = LoraConfig.from_pretrained(str(start))
        config.inference_mode, config.lora_dropout = False, adapter.dropout
    base.requires_grad_(False)
    try:
        model = get_peft_model(base, config)
    except ValueError as problem:
        raise TrainingError(
            f"This adapter cannot be put on {type(base).__name__}: {problem}",
            hint="List other layers in adapter.targets; `attention` works on most models.",
            where="adapter.targets",
        ) from problem
    model.peft_config["default"].base_model_name_or_path = name or base.name_or_path
    for weights in model.parameters():
        if weights.requires_grad:
            weights.data = weights.data.float()
    if start is not None:
        _read_whole(model, start)
    elif adapter.kind in ("pissa", "olora"):
        initial.principal(model, adapter.kind)
    return model


def _config(base: nn.Module, adapter: ResolvedAdapter) -> Any:
    """peft's settings of a fresh adapter. Full fine-tuning is one that keeps every linear layer whole, and no matrices."""
    from peft import LoraConfig
    from peft.utils.constants import DUMMY_TARGET_MODULES

    whole = modules_to_save(base, adapter.modules_to_save)
    if adapter.kind == "full":
        return LoraConfig(
            target_modules=DUMMY_TARGET_MODULES, modules_to_save=[*linear_layers(base), *whole], task_type="CAUSAL_LM"
        )
    factor, root = adapter.traits.factor, 0.5 if adapter.kind == "rslora" else 1.0
    return LoraConfig(
        r=factor * adapter.rank,
        lora_alpha=factor * adapter.alpha,
        lora_dropout=adapter.dropout,
        use_dora=adapter.kind == "dora",
        use_rslora=adapter.kind == "rslora",
        target_modules=target_modules(base, adapter.targets),
        rank_pattern={pattern: factor * rank for pattern, rank in adapter.ranks.items()},
        alpha_pattern={
            pattern: factor * adapter.alpha * (rank / adapter.rank) ** root for pattern, rank in adapter.ranks.items()
        },
        modules_to_save=whole or None,
        task_type="CAUSAL_LM",
    )


def modules_to_save(model: Any, names: Sequence[str]) -> list[str]:
    """The modules that `names` mean, by full path. Raises TrainingError for a name that means none, or that cannot be trained
    whole here."""
    found: list[str] = []
    modules = {name: module for name, module in model.named_modules() if name}
    linear = linear_layers(model)
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    tied = ends[1] is not None and ends[0].weight is ends[1].weight
    for wanted in names:
        these = [name for name in modules if name == wanted or name.endswith(f".{wanted}")]
        reason = ""
        if not these:
            reason = f"matches no module of {type(model).__name__}"
        elif any(name in linear for name in these):
            reason = "is a linear layer, which an adapter trains"
        elif not all(any(True for _ in modules[name].parameters(recurse=False)) for name in these):
            reason = "has no weights of its own"
        elif tied and any(modules[name] in ends for name in these):
            reason = "is embedding and head at once in this model, and a copy of one would come apart from the other"
        if reason:
            raise TrainingError(
                f"`{wanted}` {reason}", hint="Name norms, or untied embeddings or head.", where="adapter.modules_to_save"
            )
        found += these
    return list(dict.fromkeys(found))


def _read_whole(model: Any, start: Path) -> None:
    """Put the adapter in `start` on the model. Raises TrainingError unless each weight of one is one of the other."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    found, wanted = (
        load_file(start / "adapter_model.safetensors"),
        get_peft_model_state_dict(model, save_embedding_layers=False),
    )
    odd = sorted(wanted.keys() ^ found.keys()) or [name for name in wanted if wanted[name].shape != found[name].shape]
    if odd:
        raise TrainingError(
            f"the adapter to start from does not fit {type(model.get_base_model()).__name__}: {len(odd)} of its weights "
            f"have no counterpart, e.g. {odd[0]}",
            hint="Name the base it was trained on in model.name; adapter_config.json names it.",
            where=str(start),
        )
    set_peft_model_state_dict(model, {name: weights.float() for name, weights in found.items()})


def save(model: nn.Module, folder: Path) -> Path:
    """Write the adapter as a PEFT folder that plain `peft` loads: complete, or not there. Returns `folder`.

    Raises HardwareError if the disk is full.
    """
    with disk_errors("The adapter", folder), folder_aside(folder) as aside:
        write(model, aside)
    return folder


def write(model: nn.Module, folder: Path) -> None:
    """Write adapter_model.safetensors and adapter_config.json into `folder`, which exists."""
    write_parts(parts(model), folder)


def parts(model: Any) -> tuple[dict[str, Any], Any]:
    """The adapter's weights, copied to the CPU, and its config: what the model has now, whatever is trained later."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model, save_embedding_layers=False)  # "auto" would ask the hub about the base model
    config = copy.copy(model.peft_config["default"])
    config.inference_mode = True
    if (head := score_head.of(model)) is not None:  # as a sequence classification model of transformers is written
        config.task_type, config.modules_to_save = "SEQ_CLS", [score_head.NAME]
        state = {**state, score_head.KEY: head.weight}
    return {name: values.detach().to("cpu", copy=True).contiguous() for name, values in state.items()}, config


def write_parts(parts: tuple[dict[str, Any], Any], folder: Path) -> None:
    """Write what `parts` gave into `folder`, which exists, and wait for the disk."""
    from safetensors.torch import save_file

    state, config = parts
    weights = folder / "adapter_model.safetensors"
    save_file(state, weights, {"format": "pt"})
    config.save_pretrained(str(folder))
    for file in (weights, folder / "adapter_config.json"):
        file.chmod(0o644)
        flush(file)


def read(model: nn.Module, folder: Path) -> None:
    """Put the weights that `write` wrote onto `model`, bit for bit."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    tensors = load_file(folder / "adapter_model.safetensors")
    if (head := score_head.of(model)) is not None and score_head.KEY in tensors:
        head.weight.data.copy_(tensors.pop(score_head.KEY))
    loaded = set_peft_model_state_dict(model, tensors)
    if loaded.unexpected_keys:
        raise TrainingError(
            f"The checkpoint holds weights that this model does not have, e.g. {loaded.unexpected_keys[0]}",
            hint="Resume with the model and adapter settings the run was started with.",
            where=str(folder),
        )


def flush(file: Path) -> None:
    """Ask the disk to keep a file, or the names in a folder, before anyone is told that it is there."""
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
