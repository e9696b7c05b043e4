"""What an adapter's config says, compared with the headers of its tensors before a library believes it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from studio.core.errors import ModelError
from studio.core.text import plural, shorten

CONFIG = "adapter_config.json"
COPY_AGAIN = "Copy the adapter again from where it was trained."
TWO_ADAPTERS = "The two files are of different adapters; copy both again."
LARGE_RANK = 1024
"""A rank above this must be one that a tensor has: what is allocated for it is no longer small."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _by_layer(value: object, of_each: Callable[[object], bool]) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) and of_each(item) for key, item in value.items())


FIELDS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "r": (_is_count, "a whole number"),
    "lora_alpha": (_is_number, "a number"),
    "lora_dropout": (_is_number, "a number"),
    "rank_pattern": (lambda value: _by_layer(value, _is_count), "whole numbers by layer"),
    "alpha_pattern": (lambda value: _by_layer(value, _is_number), "numbers by layer"),
    "target_modules": (lambda value: isinstance(value, str) or _are_names(value), "names of layers"),
    "exclude_modules": (lambda value: isinstance(value, str) or _are_names(value), "names of layers"),
    "modules_to_save": (_are_names, "names of modules"),
    "layers_to_transform": (lambda value: _is_count(value) or isinstance(value, list), "numbers of layers"),
    "base_model_name_or_path": (lambda value: isinstance(value, str), "a name"),
    "revision": (lambda value: isinstance(value, str), "a name"),
}
"""What PEFT takes each field to be; it ends with an error of its own for anything else."""


def check_fields(config: Mapping[str, Any], file: Path) -> None:
    """Raise ModelError for a field of another type than PEFT takes it to have."""
    for name, (is_right, wanted) in FIELDS.items():
        value = config.get(name)
        if value is not None and not is_right(value):
            raise ModelError(f"{name} must be {wanted}, and is {shorten(repr(value), 60)}", hint=COPY_AGAIN, where=str(file))


def check_layers(config: Mapping[str, Any], ranks: Mapping[str, int], names: list[str], folder: Path) -> None:
    """Raise ModelError unless the config says of the tensors what they are.

    ranks: the adapted layers, as they are called in the base, each with its rank in the file. names: those of all tensors.
    """
    if config.get("target_parameters"):
        return  # there one matrix holds the ranks of all experts, and layers are named otherwise
    for layer, rank in ranks.items():
        if (said := rank_of(config, layer)) != rank:
            raise ModelError(f"{CONFIG} says rank {said!r}, and {layer} has rank {rank}", hint=TWO_ADAPTERS, where=str(folder))
    largest = max([LARGE_RANK, *ranks.values()])
    for layer, said in {"r": config.get("r"), **(config.get("rank_pattern") or {})}.items():
        if isinstance(said, int) and said > largest:
            message = f"{CONFIG} says rank {said:,} ({layer}), and the largest matrix has {max(ranks.values(), default=0)}"
            raise ModelError(message, hint=TWO_ADAPTERS, where=str(folder))
    if ranks and config.get("target_modules") == []:
        raise ModelError(f"{CONFIG} names no layers: target_modules is empty", hint=COPY_AGAIN, where=str(folder))
    if ignored := [layer for layer in ranks if not _is_target(config, layer)]:
        raise ModelError(
            f"{CONFIG} leaves out {len(ignored)} of the {plural(len(ranks), 'layer')} in the adapter's file, "
            f"for example {ignored[0]}",
            hint=TWO_ADAPTERS,
            where=str(folder),
        )
    whole: list[str] = config.get("modules_to_save") or []
    if whole and not any(f".{module}." in f".{name}" for module in whole for name in names):
        message = f"{CONFIG} says that {', '.join(whole)} was trained whole, and the adapter's file holds none of it"
        raise ModelError(message, hint=TWO_ADAPTERS, where=str(folder))


def rank_of(config: Mapping[str, Any], layer: str) -> object:
    """The rank that a config gives to a layer, found as PEFT finds it."""
    patterns: dict[str, int] = config.get("rank_pattern") or {}
    return next((rank for key, rank in patterns.items() if _matches(rf"(.*\.)?({key})", layer)), config.get("r"))


def _is_target(config: Mapping[str, Any], layer: str) -> bool:
    """Whether PEFT adapts a layer with this config; True where only a loaded model tells."""
    excluded = config.get("exclude_modules") or []
    if _matches(excluded, layer) if isinstance(excluded, str) else _named(excluded, layer):
        return False
    targets = config.get("target_modules")
    if targets is None or targets == "all-linear":
        return True
    if isinstance(targets, str):
        return _matches(targets, layer)
    if not _named(targets, layer):
        return False
    only = config.get("layers_to_transform")
    if only is None or only == []:
        return True
    patterns = config.get("layers_pattern") or [r"[^.]*"]
    lists = [patterns] if isinstance(patterns, str) else patterns
    index = next((found for name in lists if (found := re.match(rf".*?\.{name}\.(\d+)\.", layer))), None)
    return index is not None and int(index[1]) in (only if isinstance(only, list) else [only])


def _named(names: Sequence[str], layer: str) -> bool:
    return any(layer == name or layer.endswith(f".{name}") for name in names)


def _matches(pattern: str, layer: str) -> bool:
    try:
        return re.fullmatch(pattern, layer) is not None
    except re.error:
        return False
