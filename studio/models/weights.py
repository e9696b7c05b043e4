"""Weights of a model folder, checked by the headers of their safetensors files: a millisecond, and no tensor is loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import BinaryIO, TypedDict

import numpy as np

from studio.core.errors import ModelError
from studio.core.text import plural
from studio.hardware.dims import ModelDims
from studio.models.architectures import UNLISTED, architecture_of
from studio.models.architectures.base import ConfigValues
from studio.models.dims import model_dims

INDEX = "model.safetensors.index.json"
MOST_HEADER = 100 << 20
"""Bytes a header may have, as the format's own reader limits it."""
SMALL = 1 << 16
"""Numbers up to which a one-dimensional tensor (a norm, a bias) is looked through for NaN."""
_LAYER = re.compile(r"(.*\.)?layers\.(\d+)\.(?:[a-z_]+\.)?(\w+)\.weight")
"""A linear layer of a decoder layer, as every listed architecture names it; not one of an expert."""
_PREFIXES = ("", "model.", "transformer.", "gpt_neox.", "backbone.", "language_model.", "model.language_model.")
"""What stands before `layers.0` in checkpoints that transformers reads; a wrapper's `module.` or `_orig_mod.` it does not."""
_POINTER = b"version https://git-lfs"
_NOT_SAVED = ("lm_head.weight", "inv_freq", "masked_bias")
"""Endings of names that an index may list and a file need not hold: they are tied, or made anew."""
OTHER_MODEL = "Weights and config.json are of different models; download both again."
HINT = "Download the model again: this file is incomplete or damaged."


class Tensor(TypedDict):
    """What a header says of a tensor."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


def check_weights(folder: Path, config: ConfigValues) -> None:
    """Raise ModelError, naming the file, for weights that are missing, cut off, of another shape than config.json says, or NaN.

    For every architecture: files against index and length, embeddings against vocabulary and width, norms and biases for NaN.
    For those that have a file here: also the linear layers of every decoder layer.
    """
    files = sorted(folder.glob("*.safetensors"))
    listed = _listed(folder)
    text = config.get("text_config") or config
    wanted = (text.get("vocab_size"), text.get("hidden_size"))
    headers = {file: header(file) for file in files}
    for file, tensors in headers.items():
        for name, tensor in tensors.items():
            embeds = name.endswith(("embed_tokens.weight", "wte.weight")) and all(isinstance(size, int) for size in wanted)
            if embeds and tensor["shape"] != list(wanted):
                raise ModelError(
                    f"{name} has the shape {tensor['shape']}, and config.json says {list(wanted)} (vocabulary, width)",
                    hint=OTHER_MODEL,
                    where=str(file),
                )
            if len(tensor["shape"]) == 1 and tensor["shape"][0] <= SMALL and _has_nan(file, tensor):
                raise ModelError(f"{name} holds NaN", hint=HINT, where=str(file))
    there = {name for tensors in headers.values() for name in tensors}
    for name, file in listed.items():
        if name not in there and not name.endswith(_NOT_SAVED):
            raise ModelError(f"{name} is not in {file}, where the index of weights has it", hint=HINT, where=str(folder))
    facts = architecture_of(config)
    by_sizes = facts is not UNLISTED and not facts.built
    if by_sizes and not config.get("text_config") and not config.get("quantization_config"):
        _check_layers(headers, model_dims(config), folder)


def _check_layers(headers: dict[Path, dict[str, Tensor]], dims: ModelDims, folder: Path) -> None:
    """Raise ModelError unless every decoder layer has its linear layers, each of the shape that config.json implies."""
    found: set[tuple[int, str]] = set()
    for file, tensors in headers.items():
        for name, tensor in tensors.items():
            match = _LAYER.fullmatch(name)
            if match is None or match[3] not in dims.linears:
                continue
            if (match[1] or "") not in _PREFIXES:
                raise ModelError(
                    f"its tensors are called `{name}`, which no transformers model knows",
                    hint=f"Save the model itself, not a wrapper around it: without `{match[1].removesuffix('model.')}`.",
                    where=str(file),
                )
            inputs, outputs = dims.linears[match[3]]
            if tensor["shape"] != [outputs, inputs]:
                raise ModelError(
                    f"{name} has the shape {tensor['shape']}, and [{outputs}, {inputs}] follows from config.json",
                    hint=OTHER_MODEL,
                    where=str(file),
                )
            found.add((int(match[2]), match[3]))
    held = 1 + max((layer for layer, _ in found), default=-1)
    if held != dims.layers:
        raise ModelError(
            f"the weights hold {plural(held, 'layer')}, and config.json says {dims.layers}", hint=OTHER_MODEL, where=str(folder)
        )
    for layer in range(dims.layers):
        for name in dims.linears:
            if (layer, name) not in found:
                raise ModelError(f"layer {layer} has no weight of {name}", hint=HINT, where=str(folder))


def header(file: Path, hint: str = HINT) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises ModelError, with this hint, for a file that is damaged or cut off."""
    try:
        with file.open("rb") as stream:
            length = _header_length(stream)
            values = json.loads(stream.read(length))
        tensors = {name: value for name, value in values.items() if name != "__metadata__"}
        end = max((int(value["data_offsets"][1]) for value in tensors.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        if _is_pointer(file):
            hint = "In the folder it was cloned to: git lfs pull."
            raise ModelError("this is a Git LFS pointer, not the weights", hint=hint, where=str(file)) from None
        raise ModelError("this is not a whole safetensors file", hint=hint, where=str(file)) from None
    missing = 8 + length + end - file.stat().st_size
    if missing > 0:
        raise ModelError(f"the file is cut off: {missing:,} bytes are missing at its end", hint=hint, where=str(file))
    return tensors


def _is_pointer(file: Path) -> bool:
    """Whether a clone without Git LFS left a few lines of text in the file's place."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(_POINTER)) == _POINTER
    except OSError:
        return False


def _header_length(stream: BinaryIO) -> int:
    length = int.from_bytes(stream.read(8), "little")
    if not 0 < length <= MOST_HEADER:
        raise ValueError("no header")
    return length


def _listed(folder: Path) -> dict[str, str]:
    """The file of each tensor by the index of weights; none without an index. Raises ModelError if a file is missing."""
    index = folder / INDEX
    if not index.exists():
        return {}
    try:
        listed = {str(name): str(file) for name, file in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError("this index of weights cannot be read", hint=HINT, where=str(index)) from None
    for name in sorted(set(listed.values())):
        if not (folder / name).exists():
            raise ModelError(f"the weights file {name} is missing", hint=HINT, where=str(folder))
    return listed


def _has_nan(file: Path, tensor: Tensor) -> bool:
    """True if a small tensor holds NaN; False for kinds of numbers that have none."""
    values = numbers(file, tensor)
    return values is not None and bool(np.isnan(values).any())


def numbers(file: Path, tensor: Tensor) -> np.ndarray | None:
    """A tensor's values in a row, without torch; nothing for kinds of numbers that have no NaN."""
    with file.open("rb") as stream:
        start = 8 + _header_length(stream) + tensor["data_offsets"][0]
        stream.seek(start)
        data = stream.read(tensor["data_offsets"][1] - tensor["data_offsets"][0])
    match tensor["dtype"]:
        case "BF16":
            return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        case "F16" | "F32" | "F64" as kind:
            return np.frombuffer(data, f"<f{int(kind[1:]) // 8}")
        case _:
            return None
