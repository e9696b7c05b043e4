"""A PEFT LoRA adapter as a GGUF adapter file, and its sum with a base file.

llama.cpp adds `alpha / rank * B (A x)` to what a weight gives, rank being that of each B (llama.cpp, src/llama-adapter.h).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.errors import ExportError
from studio.core.files import read_json
from studio.export.llamacpp import architectures
from studio.models.architectures.base import Gguf

_HINT = "Export `gguf`, which is merged and can be anything."
_REFUSED = {
    "use_dora": "a DoRA adapter scales its base's weights, which a GGUF adapter cannot",
    "modules_to_save": "whole layers were trained beside the adapter, which a GGUF adapter cannot hold",
    "trainable_token_indices": "embeddings were trained, which a GGUF adapter cannot hold",
    "target_parameters": "experts were adapted that are no layers of their own",
    "lora_bias": "its matrices have biases, which a GGUF adapter cannot hold",
    "fan_in_fan_out": "its layers are stored transposed",
    "layer_replication": "layers were repeated, which the base's GGUF file does not do",
}


def refuse_unfit(settings: dict[str, Any]) -> None:
    """Raise ExportError for an `adapter_config.json` whose adapter is not plain LoRA."""
    reasons = [reason for name, reason in _REFUSED.items() if settings.get(name)]
    if settings.get("peft_type") != "LORA":
        reasons.append(f"its kind is {settings.get('peft_type')}, not LORA")
    if settings.get("bias", "none") != "none":
        reasons.append("biases of the base were trained, which a GGUF adapter cannot hold")
    if reasons:
        raise ExportError(f"the adapter cannot be a GGUF adapter: {reasons[0]}", hint=_HINT)


def write(adapter: Path, config: Any, out: Path, name: str) -> int:
    """Write the PEFT folder `adapter` of a base with text config `config` as `out`. Returns how many weights it changes.

    Matrices stay float32. Raises ExportError for what is not plain LoRA, or for a layer that llama.cpp does not know.
    """
    import gguf

    settings = read_json(adapter / "adapter_config.json")
    refuse_unfit(settings)
    layout = architectures.layout(config)
    writer = gguf.GGUFWriter(out, layout.name)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(settings["lora_alpha"]))
    count = 0
    for target, down, up in _pairs(adapter, settings, layout, config):
        writer.add_tensor(f"{target}.lora_a", down)
        writer.add_tensor(f"{target}.lora_b", up)
        count += 1
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return count


def add_to(base: Path, adapter: Path) -> None:
    """Add the matrices of a GGUF adapter file to the weights of an f16 or f32 GGUF file, in place, as llama.cpp would."""
    import gguf

    held = gguf.GGUFReader(adapter)
    tensors = {tensor.name: tensor for tensor in held.tensors}
    field = held.get_field(gguf.Keys.Adapter.LORA_ALPHA)
    assert field is not None
    alpha = float(field.contents())
    for weight in gguf.GGUFReader(base, "r+").tensors:
        if f"{weight.name}.lora_a" not in tensors:
            continue
        down, up = (np.asarray(tensors[f"{weight.name}.lora_{side}"].data, np.float32) for side in "ab")
        weight.data[:] = (weight.data.astype(np.float32) + alpha / up.shape[1] * (up @ down)).astype(weight.data.dtype)


def _pairs(adapter: Path, settings: dict[str, Any], layout: Gguf, config: Any) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The GGUF name, A [rank, inputs] and B [outputs, rank] of each adapted weight."""
    import gguf
    from safetensors import safe_open

    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    known = gguf.get_tensor_name_map(kinds[layout.name], config.num_hidden_layers)
    with safe_open(adapter / "adapter_model.safetensors", framework="np") as file:
        for key in sorted(file.keys()):
            if not key.endswith(".lora_A.weight"):
                continue
            path = key.removesuffix(".lora_A.weight")
            plain = re.sub(r"^base_model\.model\.(model\.)?(language_model\.)?(model\.)?", "", path)
            plain = plain if plain == "lm_head" else f"model.{plain}"
            target = known.get_name(f"{plain}.weight", try_suffixes=(".weight",))
            if target is None or (plain == "lm_head" and config.tie_word_embeddings):
                raise ExportError(f"llama.cpp has no place for an adapter on `{plain}` of a {layout.name}", hint=_HINT)
            down = file.get_tensor(key).astype(np.float32)
            up = file.get_tensor(f"{path}.lora_B.weight").astype(np.float32)
            up = architectures.laid_out(f"{plain}.weight", up, layout, config) * np.float32(
                _correction(path, settings, up.shape[1])
            )
            yield target, np.ascontiguousarray(down), np.ascontiguousarray(up)


def _correction(path: str, settings: dict[str, Any], rank: int) -> float:
    """What B is multiplied with so that llama.cpp's one `alpha / rank` gives this layer's own scale."""
    own = next((alpha for pattern, alpha in (settings.get("alpha_pattern") or {}).items() if _matches(pattern, path)), None)
    alpha = float(settings["lora_alpha"] if own is None else own)
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    return scale * rank / float(settings["lora_alpha"])


def _matches(pattern: str, path: str) -> bool:
    """As peft matches keys of `alpha_pattern`: an expression that ends the name."""
    return re.match(rf"(.*\.)?({pattern})$", path) is not None
