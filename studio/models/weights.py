"""Weights of a model folder, checked by the headers of their safetensors files: a millisecond, and no tensor is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import BinaryIO, TypedDict

import numpy as np

from studio.core.errors import ModelError
from studio.models.architectures.base import ConfigValues

INDEX = "model.safetensors.index.json"
MOST_HEADER = 100 << 20
"""Bytes a header may have, as the format's own reader limits it."""
SMALL = 1 << 16
"""Numbers up to which a one-dimensional tensor (a norm, a bias) is looked through for NaN."""
HINT = "Download the model again: this file is incomplete or damaged."


class Tensor(TypedDict):
    """What a header says of a tensor."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


def check_weights(folder: Path, config: ConfigValues) -> None:
    """Raise ModelError, naming the file, for weights that are missing, cut off, of another shape than config.json says, or NaN.

    Only what can be told for every architecture is checked: files against index and length, embeddings against vocabulary
    and width, norms and biases for NaN.
    """
    files = sorted(folder.glob("*.safetensors"))
    _all_there(folder)
    text = config.get("text_config") or config
    wanted = (text.get("vocab_size"), text.get("hidden_size"))
    for file in files:
        for name, tensor in header(file).items():
            embeds = name.endswith(("embed_tokens.weight", "wte.weight")) and all(isinstance(size, int) for size in wanted)
            if embeds and tensor["shape"] != list(wanted):
                raise ModelError(
                    f"{name} has the shape {tensor['shape']}, and config.json says {list(wanted)} (vocabulary, width)",
                    hint="Weights and config.json are of different models; download both again.",
                    where=str(file),
                )
            if len(tensor["shape"]) == 1 and tensor["shape"][0] <= SMALL and _has_nan(file, tensor):
                raise ModelError(f"{name} holds NaN", hint=HINT, where=str(file))


def header(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises ModelError for a file that is damaged or shorter than it says."""
    try:
        with file.open("rb") as stream:
            length = _header_length(stream)
            values = json.loads(stream.read(length))
        tensors = {name: value for name, value in values.items() if name != "__metadata__"}
        end = max((int(value["data_offsets"][1]) for value in tensors.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ModelError("this is not a whole safetensors file", hint=HINT, where=str(file)) from None
    missing = 8 + length + end - file.stat().st_size
    if missing > 0:
        raise ModelError(f"the file is cut off: {missing:,} bytes are missing at its end", hint=HINT, where=str(file))
    return tensors


def _header_length(stream: BinaryIO) -> int:
    length = int.from_bytes(stream.read(8), "little")
    if not 0 < length <= MOST_HEADER:
        raise ValueError("no header")
    return length


def _all_there(folder: Path) -> None:
    index = folder / INDEX
    if not index.exists():
        return
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ModelError("this index of weights cannot be read", hint=HINT, where=str(index)) from None
    for name in sorted(names):
        if not (folder / str(name)).exists():
            raise ModelError(f"the weights file {name} is missing", hint=HINT, where=str(folder))


def _has_nan(file: Path, tensor: Tensor) -> bool:
    """True if a small tensor holds NaN; False for kinds of numbers that have none."""
    with file.open("rb") as stream:
        start = 8 + _header_length(stream) + tensor["data_offsets"][0]
        stream.seek(start)
        data = stream.read(tensor["data_offsets"][1] - tensor["data_offsets"][0])
    match tensor["dtype"]:
        case "BF16":
            return bool(np.isnan((np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)).any())
        case "F16" | "F32" | "F64" as kind:
            return bool(np.isnan(np.frombuffer(data, f"<f{int(kind[1:]) // 8}")).any())
        case _:
            return False
