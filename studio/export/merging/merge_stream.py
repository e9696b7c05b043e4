"""Merging tensor by tensor: from the base's files to the merged model's, never more in memory than one file of it.

For what most runs are: LoRA on the linear layers of a model whose files hold its tensors by the model's own names, in 16 or
32 bit or trained in nf4. The result is that of loading and merging the whole, bit by bit. Anything else (DoRA, trained
tokens or whole modules, experts fused into one tensor, the text part of a model that sees, int8) is merged as a whole.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import ExportError
from studio.core.files import read_json, write_json
from studio.export.merging.source import Onto, Source
from studio.hardware import machine as machines

if TYPE_CHECKING:
    import torch

SHARD = "4GB"
"""Largest file of a merged model, and so the most of it that is in memory at once."""
_ORDINARY = {
    "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}, "modules_to_save": None, "trainable_token_indices": None,
    "layer_replication": None, "bias": "none", "fan_in_fan_out": False, "target_parameters": None, "lora_bias": False,
    "layers_to_transform": None, "alora_invocation_tokens": None, "peft_type": "LORA", "use_qalora": False,
}  # fmt: skip
"""Settings of an adapter under which its change to a weight is scaling * B A, where they are there."""


@dataclass(frozen=True)
class Stream:
    """A merge that can be done so. skeleton: the merged model without its weights; files: tensor to the file that has it."""

    skeleton: Any
    files: dict[str, Path]
    changed: frozenset[str]
    """Weights the adapter changes."""
    quantized: frozenset[str]
    """Weights that were held in nf4 while the adapter was trained, and are to be taken so."""
    adapter: Path
    scaling: float
    double: bool
    load_dtype: Any
    """torch dtype of the weights as they were loaded."""
    device: str


def stream(source: Source, onto: Onto, dtype: torch.dtype) -> Stream | None:
    """The merge, if it can be done tensor by tensor. dtype: torch dtype it is saved in."""
    import torch

    from studio.models.loading import DTYPES

    settings = read_json(source.adapter / "adapter_config.json")
    ordinary = all(settings.get(name, usual) in (usual, None) for name, usual in _ORDINARY.items())
    if not ordinary or (onto == "dequantized" and source.model.quantization != "nf4"):
        return None
    skeleton = without_weights(source, dtype)
    if skeleton is None or any(
        getattr(skeleton, name, None) for name in ("_keep_in_fp32_modules", "_keep_in_fp32_modules_strict")
    ):
        return None  # some of its weights stay in 32 bit, whatever the others are in
    files, tied = _files(source), set(getattr(skeleton, "all_tied_weights_keys", None) or {})
    if not files or set(files) - tied != set(skeleton.state_dict()) - tied:
        return None
    changed = _changed(source.adapter)
    linear = {f"{name}.weight" for name, module in skeleton.named_modules() if isinstance(module, torch.nn.Linear)}
    if not changed or not changed <= linear - tied:
        return None
    as_trained = onto == "dequantized"
    return Stream(
        skeleton=skeleton,
        files={name: file for name, file in files.items() if name not in tied},
        changed=changed,
        quantized=_quantized(source, dtype) if as_trained else frozenset(),
        adapter=source.adapter,
        scaling=settings["lora_alpha"] / (math.sqrt(settings["r"]) if settings.get("use_rslora") else settings["r"]),
        double=source.model.double_quantization,
        load_dtype=getattr(torch, DTYPES[source.model.dtype or "fp32"]) if as_trained else dtype,
        device="cuda" if as_trained and machines.probe().device == "cuda" else "cpu",
    )


def write(merge: Stream, dtype: torch.dtype, out: Path, progress: Callable[[int, int], None]) -> None:
    """Write the merged weights and the settings of model and generation, as `save_pretrained` does. progress: tensors done, of.

    Raises ExportError for an adapter that is not finite or does not fit.
    """
    from huggingface_hub import split_torch_state_dict_into_shards
    from safetensors.torch import load_file, save_file

    model = merge.skeleton
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(out)
    model.generation_config.save_pretrained(out)
    shapes = {name: tensor for name, tensor in model.state_dict().items() if name in merge.files}
    pattern = "model{suffix}.safetensors"
    shards = split_torch_state_dict_into_shards(shapes, filename_pattern=pattern, max_shard_size=SHARD)
    adapter, done = load_file(merge.adapter / "adapter_model.safetensors"), 0
    for file, names in shards.filename_to_tensors.items():
        tensors = {}
        for name in names:
            tensors[name] = _merged(merge, name, adapter, dtype)
            if tensors[name].shape != shapes[name].shape:
                raise _unfit(merge, name, "has another shape in the files of the base")
            done += 1
            progress(done, len(merge.files))
        save_file(tensors, out / file, metadata={"format": "pt"})
    if shards.is_sharded:
        metadata = {"total_parameters": sum(tensor.numel() for tensor in shapes.values()), **shards.metadata}
        index = {"metadata": metadata, "weight_map": dict(sorted(shards.tensor_to_filename.items()))}
        write_json(out / "model.safetensors.index.json", index)


def _merged(merge: Stream, name: str, adapter: dict[str, Any], dtype: torch.dtype) -> Any:
    """One tensor of the merged model: as trained on, in the format it is saved in, plus scaling * B A."""
    import torch
    from safetensors import safe_open

    # opened for each tensor: what is mapped of a file counts as memory until it is closed
    with safe_open(merge.files[name], "pt") as tensors:
        weight = tensors.get_tensor(name)
        if not weight.is_floating_point():  # a buffer that counts or masks
            return weight.clone()
        weight = weight.to(merge.load_dtype, copy=True)
    if name in merge.quantized:
        weight = _requantized(weight.to(merge.device), merge.double)
    weight = weight.to("cpu", dtype).contiguous()
    if name in merge.changed:
        place = f"base_model.model.{name.removesuffix('.weight')}"
        one, other = (adapter[f"{place}.lora_{side}.weight"].float() for side in ("A", "B"))
        try:
            weight += ((other @ one) * merge.scaling).to(dtype)
        except RuntimeError as problem:
            raise _unfit(merge, name, str(problem)) from None
        if not torch.isfinite(weight).all():
            raise _unfit(merge, name, "is not a number after merging")
    return weight


def _requantized(weight: torch.Tensor, double: bool) -> Any:
    """A weight as bitsandbytes held it: quantised on load, dequantised where it is used."""
    from bitsandbytes import functional

    packed, state = functional.quantize_4bit(weight, blocksize=64, compress_statistics=double, quant_type="nf4")
    return functional.dequantize_4bit(packed, state)


def without_weights(source: Source, dtype: torch.dtype | None = None) -> Any:
    """The model without weights; None for the text part of a model that sees, whose files have other names."""
    import torch
    import transformers

    settings: dict[str, Any] = {"revision": source.base.revision} if source.base.revision else {}
    config = transformers.AutoConfig.from_pretrained(source.base.path_or_id, trust_remote_code=False, **settings)
    if config.get_text_config() is not config:
        return None
    config.dtype = dtype
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
    with contextlib.suppress(OSError):  # without one, transformers made it from the config
        model.generation_config = transformers.GenerationConfig.from_pretrained(source.base.path_or_id, **settings)
    return model.eval()


def _files(source: Source) -> dict[str, Path]:
    """Each tensor of the base with the file that has it; empty if it has no safetensors by the usual names."""
    from safetensors import safe_open
    from transformers.utils.hub import cached_file

    def get(name: str) -> Path | None:
        try:
            found = cached_file(str(source.base.path_or_id), name, revision=source.base.revision)
        except (OSError, ValueError):
            return None
        return Path(found) if found else None

    index = get("model.safetensors.index.json")
    if index is not None:
        placed: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {file: get(file) for file in set(placed.values())}
        return {name: found for name, file in placed.items() if (found := files[file]) is not None}
    whole = get("model.safetensors")
    if whole is None:
        return {}
    with safe_open(whole, "pt") as tensors:
        return dict.fromkeys(tensors.keys(), whole)


def _changed(adapter: Path) -> frozenset[str]:
    """The weights an adapter changes; empty if it holds anything but pairs of A and B."""
    from safetensors import safe_open

    with safe_open(adapter / "adapter_model.safetensors", "pt") as tensors:
        names = set(tensors.keys())
    found = {name.removeprefix("base_model.model.").removesuffix(".lora_A.weight") for name in names if ".lora_A." in name}
    pairs = {f"base_model.model.{name}.lora_{side}.weight" for name in found for side in ("A", "B")}
    return frozenset(f"{name}.weight" for name in found) if pairs == names else frozenset()


def _quantized(source: Source, dtype: torch.dtype) -> frozenset[str]:
    """The weights that are quantised on load, as transformers itself chooses them."""
    from transformers import BitsAndBytesConfig
    from transformers.quantizers.auto import AutoHfQuantizer

    model = without_weights(source, dtype)
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    quantizer = AutoHfQuantizer.from_config(how, pre_quantized=False)
    quantizer.preprocess_model(model=model, dtype=dtype, device_map={"": "cpu"})
    return frozenset(f"{name}.weight" for name, module in model.named_modules() if type(module).__name__ == "Linear4bit")


def _unfit(merge: Stream, name: str, why: str) -> ExportError:
    return ExportError(
        f"the adapter could not be merged into the base: {name} {why}",
        hint="Check that it was trained on this base; a NaN in it means the training failed.",
        where=str(merge.adapter),
    )
