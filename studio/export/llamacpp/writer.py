"""A model folder (safetensors, tokenizer.json, config.json) as one GGUF file, tensor by tensor.

Memory stays near the largest tensor. The file is checked against transformers afterwards; nothing here is trusted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import ExportError
from studio.core.text import slug
from studio.export.llamacpp import architectures, vocabulary
from studio.models.architectures.base import Gguf

if TYPE_CHECKING:
    import gguf

OTHER_PARTS = ("vision_tower.", "multi_modal_projector.", "vision_model.", "audio_tower.", "embed_vision.", "embed_audio.")
"""Parts of a model that reads more than text; a GGUF file of the language model leaves them out, and says so."""


@dataclass(frozen=True)
class Stored:
    """What one GGUF file holds: bytes of weights, how many tensors of each number format, and what was left out."""

    parameters: int
    weight_bytes: int
    tensors: dict[str, int]
    left_out: list[str]
    fell_back: int = 0
    """Matrices that got another kind of format than asked for, since their rows cannot be cut into its blocks."""

    @property
    def bits_per_weight(self) -> float:
        """Bits a weight takes on average, scales included."""
        return 8 * self.weight_bytes / max(self.parameters, 1)


@dataclass(frozen=True)
class Ending:
    """Ids of special tokens: bos and pad if there are such, eos, and all ids that end a turn."""

    bos: int | None
    pad: int | None
    eos: int
    all: tuple[int, ...]
    add_bos: bool


def write(
    model: Path,
    out: Path,
    quant: str,
    *,
    name: str,
    ending: Ending,
    template: str | None,
    license: str = "",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Stored:
    """Write the model folder `model` as the GGUF file `out`: quant is `f32`, `f16` or `q8_0` (norms stay f32).

    Raises ExportError for an architecture, a RoPE scaling or a tokenizer that llama.cpp would read otherwise.
    """
    import gguf
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(model).get_text_config()
    layout = architectures.layout(config)
    kind = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
    writer = gguf.GGUFWriter(out, layout.name)
    _describe(writer, name, license, quant)
    for key, value in architectures.metadata(config).items():
        _add(writer, f"{layout.name}.{key}", value)
    _add_vocabulary(writer, vocabulary.read(model, config.vocab_size), ending, template)

    names, left_out = _names(model, layout.name, config.num_hidden_layers, bool(config.tie_word_embeddings))
    extra = architectures.extra_tensors(config)
    shapes = {target: shape for target, (_, _, shape) in names.items()} | {key: value.shape for key, value in extra.items()}
    formats = {target: _format(shape, kind[quant]) for target, shape in shapes.items()}
    for target, shape in shapes.items():
        writer.add_tensor_info(target, shape, np.dtype(np.float32), _bytes(shape, formats[target]), formats[target])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    try:
        for done, (target, weight) in enumerate(_weights(names, extra, layout, config)):
            writer.write_tensor_data(_stored(target, weight, formats[target]))
            progress(done + 1, len(shapes))
    finally:
        writer.close()
    counted = Counter(form.name for form in formats.values())
    return Stored(
        parameters=sum(int(np.prod(shape)) for shape in shapes.values()),
        weight_bytes=sum(_bytes(shape, formats[target]) for target, shape in shapes.items()),
        tensors=dict(counted),
        left_out=left_out,
        fell_back=sum(form is not kind[quant] for target, form in formats.items() if len(shapes[target]) > 1),
    )


def stored(file: Path) -> Stored:
    """What a GGUF file of K-quants holds; they fall back to other formats for rows not divisible by 256."""
    import gguf

    tensors = gguf.GGUFReader(file).tensors
    plain = [tensor for tensor in tensors if len(tensor.shape) > 1 and not tensor.tensor_type.name.endswith("_K")]
    return Stored(
        parameters=sum(int(tensor.n_elements) for tensor in tensors),
        weight_bytes=sum(int(tensor.n_bytes) for tensor in tensors),
        tensors=dict(Counter(tensor.tensor_type.name for tensor in tensors)),
        left_out=[],
        fell_back=len(plain),
    )


def _describe(writer: gguf.GGUFWriter, name: str, license: str, quant: str) -> None:
    import gguf

    # llama.cpp treats a model whose name contains `phi3` or `phi-3` as having Phi-3's own special tokens, and then fails
    writer.add_name(re.sub(r"(?i)phi-?3", "phi", slug(name)))
    if license:
        writer.add_license(license)
    kinds = gguf.LlamaFileType
    writer.add_file_type({"f32": kinds.ALL_F32, "f16": kinds.MOSTLY_F16, "q8_0": kinds.MOSTLY_Q8_0}[quant])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add(writer: gguf.GGUFWriter, key: str, value: object) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)


def _add_vocabulary(writer: gguf.GGUFWriter, words: vocabulary.Vocabulary, ending: Ending, template: str | None) -> None:
    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list([token.encode() for token in words.tokens])
    writer.add_token_types(words.types)
    if words.scores:
        writer.add_token_scores(words.scores)
    else:
        writer.add_token_merges(words.merges)
    if words.add_space_prefix is not None:
        writer.add_add_space_prefix(words.add_space_prefix)
    unknown = [place for place, kind in enumerate(words.types) if kind == vocabulary.UNKNOWN]
    if unknown:
        writer.add_unk_token_id(unknown[0])
    if ending.bos is not None:
        writer.add_bos_token_id(ending.bos)
    if ending.pad is not None:
        writer.add_pad_token_id(ending.pad)
    writer.add_eos_token_id(ending.eos)
    others = [token for token in ending.all if token != ending.eos]
    for token, add in zip(others, (writer.add_eot_token_id, writer.add_eom_token_id), strict=False):
        add(token)
    writer.add_add_bos_token(ending.add_bos)
    writer.add_add_eos_token(False)
    if template:
        writer.add_chat_template(template)


def _names(model: Path, arch: str, layers: int, tied: bool) -> tuple[dict[str, tuple[Path, str, tuple[int, ...]]], list[str]]:
    """GGUF name -> (file, name in it, shape) of every weight, and the names that are left out."""
    import gguf
    from safetensors import safe_open

    arch_id = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == arch)
    known = gguf.get_tensor_name_map(arch_id, layers)
    found: dict[str, tuple[Path, str, tuple[int, ...]]] = {}
    left_out: list[str] = []
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a mapping
                plain = re.sub(r"^(model\.)?language_model\.(model\.)?", "model.", name).replace("model.lm_head.", "lm_head.")
                if any(part in name for part in OTHER_PARTS):
                    left_out.append(name)
                    continue
                if name.endswith(".rotary_emb.inv_freq") or (tied and plain == "lm_head.weight"):
                    continue  # computed from the config; the embedding again
                target = known.get_name(plain, try_suffixes=(".weight", ".bias"))
                if target is None:
                    raise ExportError(
                        f"llama.cpp has no place for the weight `{name}` of a {arch}",
                        hint=architectures.CONVERTER_HINT,
                        where=file.name,
                    )
                found[target] = (file, name, tuple(tensors.get_slice(name).get_shape()))
    return found, left_out


def _weights(
    names: dict[str, tuple[Path, str, tuple[int, ...]]], extra: dict[str, np.ndarray], layout: Gguf, config: Any
) -> Iterator[tuple[str, np.ndarray]]:
    """Every weight as float32 in llama.cpp's layout, in the order the file lists them."""
    from safetensors import safe_open

    opened: dict[Path, Any] = {}
    for target, (file, name, _) in names.items():
        if file not in opened:
            opened = {file: safe_open(file, framework="pt")}
        weight = opened[file].get_tensor(name).float().numpy()  # numpy has no bfloat16
        yield target, architectures.laid_out(name, weight, layout, config)
    yield from extra.items()


def _format(shape: tuple[int, ...], wanted: gguf.GGMLQuantizationType) -> Any:
    """Number format of one tensor: vectors stay float32, rows that blocks do not divide stay float16."""
    import gguf

    if len(shape) == 1:
        return gguf.GGMLQuantizationType.F32
    if shape[-1] % gguf.GGML_QUANT_SIZES[wanted][0]:
        return gguf.GGMLQuantizationType.F16
    return wanted


def _bytes(shape: tuple[int, ...], form: gguf.GGMLQuantizationType) -> int:
    import gguf

    block, size = gguf.GGML_QUANT_SIZES[form]
    return int(np.prod(shape)) // block * size


def _stored(name: str, weight: np.ndarray, form: gguf.GGMLQuantizationType) -> np.ndarray:
    """The weight in its number format. Raises ExportError if float16 cannot hold it."""
    import gguf

    with np.errstate(over="ignore"):
        data = gguf.quants.quantize(np.ascontiguousarray(weight, np.float32), form)
    if form is gguf.GGMLQuantizationType.F16 and not np.isfinite(data).all():
        raise ExportError(
            f"`{name}` has values float16 cannot hold", hint="Choose quant q8_0, or q4_k_m: both scale their blocks."
        )
    return data
