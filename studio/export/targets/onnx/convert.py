"""In a process of its own: a merged folder as an ONNX Runtime GenAI folder, by its own model builder."""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import Tensor


class Builder(Protocol):
    """What is read of the builder of one model, and the steps that are changed here."""

    num_layers: int
    io_dtype: object
    input_names: Mapping[str, str]
    extra_options: Mapping[str, object]
    rope_attrs: dict[str, object]
    tied_quantized_embeddings: bool
    tied_unquantized_embeddings: bool
    is_lm_head_quantized: Callable[[], bool]
    make_initializer: Callable[..., object]
    make_value: Callable[..., object]
    make_node: Callable[..., object]
    make_layer: Callable[..., object]
    make_embedding_lookup: Callable[..., str]
    make_tied_embeddings_init: Callable[..., object]
    make_rotary_embedding_caches: Callable[..., object]
    to_nbits: Callable[..., object]
    model: Any
    """An `onnx_ir.Model`."""


OPTIONS: dict[str, list[str]] = {
    "int4": ["algo_config=k_quant", "matmul_mixed_precision=last_matmul:int8,mixed_layers:int8"],
    "int8": ["algo_config=k_quant"],
}
"""How weights are rounded: blocks of 32 as k-quants round them; in 4 bit the head and the layers that suffer most keep 8."""


def convert(request: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Write model.onnx with its data, genai_config.json and the tokenizer.

    request: merged (folder), out (folder), cache (scratch), quant, provider. Returns details for the manifest.
    """
    importlib.import_module("onnxruntime_genai.models")  # puts the builder's folder on the path
    builder = importlib.import_module("builder")
    merged, out, cache = str(request["merged"]), str(request["out"]), str(request["cache"])
    quant, provider = request["quant"], request["provider"]
    reporter.progress(0, 1, "reading the merged model")
    asked = ["hf_remote=false", "hf_token=false", *OPTIONS.get(quant, [])]
    options = builder.parse_extra_options("", merged, out, quant, provider, cache, asked)
    _as_the_builder_knows_it(options["hf_details"]["hf_config"])
    base = importlib.import_module("builders.base").Model
    _local_rope_unscaled(base)
    _repeated_heads_over_all_tokens(base)
    _embedding_of_the_head(base)
    if quant in OPTIONS and provider == "cpu":
        _embedding_in_8_bit(base)
    _progress(base, reporter)
    builder.create_model("", merged, out, quant, provider, cache, **options)
    return {"operators": operators(Path(out) / "model.onnx")}


def operators(file: Path) -> dict[str, int]:
    """The kinds of nodes in a model and how many of each, weights left unread. Raises if it is no valid model."""
    import onnx

    model = onnx.load(str(file), load_external_data=False)
    found: dict[str, int] = {}
    for node in model.graph.node:
        found[node.op_type] = found.get(node.op_type, 0) + 1
    return dict(sorted(found.items()))


def _as_the_builder_knows_it(config: Any) -> None:
    """The config with RoPE settings by the names the builder reads: it knows those of transformers 4."""
    rope = dict(getattr(config, "rope_parameters", None) or {})
    if config.model_type == "gemma3_text" and "full_attention" in rope:
        config.rope_local_base_freq = rope["sliding_attention"]["rope_theta"]
        rope = dict(rope["full_attention"])
        config.rope_theta = rope["rope_theta"]
    if rope.get("rope_type") == "longrope":
        rope["type"] = "longrope"
    elif config.model_type == "phi3":
        config.original_max_position_embeddings = config.max_position_embeddings
    config.rope_parameters = rope


def _local_rope_unscaled(model: type[Builder]) -> None:
    """The builder scales RoPE of Gemma 3's sliding layers like that of the others, which it is not."""
    make = model.make_rotary_embedding_caches

    def unscaled(self: Builder, **names: object) -> object:
        if names.get("cos_cache_name") == "cos_cache_local":
            self.rope_attrs["rescale_factors"] = 1
        return make(self, **names)

    model.make_rotary_embedding_caches = unscaled


_REPEATED = re.compile(r"/repeat_kv/(Unsqueeze_5|Expand|Reshape_3|Transpose_2|Reshape_4)/")


def _repeated_heads_over_all_tokens(model: type[Builder]) -> None:
    """Where keys and values are repeated for the heads that share them (in 16 bit on a CPU), they are those of all tokens so
    far. The builder says they are as many as are read now; the runtime believes it and gives them memory of another size."""
    make = model.make_value

    def value(self: Builder, name: str, dtype: object = None, shape: Sequence[object] | None = None) -> object:
        if shape and _REPEATED.search(name):
            shape = ["total_sequence_length" if size == "sequence_length" else size for size in shape]
        return make(self, name, dtype, shape)

    model.make_value = value


def _embedding_of_the_head(model: type[Builder]) -> None:
    """In 8 bit, too, a tied embedding reads the rows of the quantized output matrix. The builder shares it in 4 bit only, and
    would keep the embedding beside it in float32: more bytes than the merged model has."""
    initialize = model.make_tied_embeddings_init

    def shared(self: Builder, config: object) -> None:
        initialize(self, config)
        wanted = self.extra_options.get("shared_embeddings", False)
        if wanted and not self.tied_unquantized_embeddings and self.is_lm_head_quantized():
            self.tied_quantized_embeddings = True

    model.make_tied_embeddings_init = shared


BLOCK = 32
"""Weights that share a scale and a zero point."""


def _embedding_in_8_bit(model: type[Builder]) -> None:
    """An embedding that is not tied is rounded to 8 bit as well, by blocks, which the builder leaves in float32."""
    look_up = model.make_embedding_lookup

    def quantized(self: Builder, embedding: Tensor, basename: str, lm_head: object) -> str:
        if self.tied_quantized_embeddings or embedding.shape[1] % BLOCK:
            return look_up(self, embedding, basename, lm_head)
        numbers, scales, zeros = rounded(embedding.detach().float().numpy())
        names = [f"model.embed_tokens.{part}" for part in ("weight_Q8", "scales", "zero_points")]
        for values, name in ((numbers, names[0]), (zeros, names[2])):
            self.make_initializer(values, name)
        self.make_initializer(scales, names[1], to=self.io_dtype)
        output = f"{basename}/GatherBlockQuantized/output_0"
        self.make_node(
            "GatherBlockQuantized",
            inputs=[names[0], self.input_names["input_ids"], *names[1:]],
            outputs=[output],
            name=output.removesuffix("/output_0"),
            domain="com.microsoft",
            bits=8,
            block_size=BLOCK,
            gather_axis=0,
            quantize_axis=1,
        )
        return output

    model.make_embedding_lookup = quantized


def rounded(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each row in blocks of 8-bit numbers, with a scale and a zero point each: number = (rounded - zero) * scale."""
    blocks = matrix.reshape(len(matrix), -1, BLOCK)
    low, high = np.minimum(blocks.min(-1), 0), np.maximum(blocks.max(-1), 0)
    scales = np.maximum((high - low) / 255, np.finfo(np.float32).tiny).astype(np.float32)
    zeros = np.round(-low / scales).astype(np.uint8)
    numbers = np.clip(np.round(blocks / scales[..., None]) + zeros[..., None], 0, 255).astype(np.uint8)
    return numbers.reshape(matrix.shape), scales, zeros


def _progress(model: type[Builder], reporter: Reporter) -> None:
    """Layers as the builder makes them, then matrices as they are quantized."""
    layer, rounding = model.make_layer, model.to_nbits

    def counted(self: Builder, layer_id: int, *more: object) -> object:
        reporter.progress(layer_id, self.num_layers, "building the ONNX model, by layers")
        return layer(self, layer_id, *more)

    def quantized(self: Builder) -> object:
        matrices = sum(node.op_type == "MatMul" for node in self.model.graph)
        library: Any = importlib.import_module("onnxruntime.quantization.neural_compressor.weight_only")
        one, done = library.quant_tensor_k_quant_cpu, itertools.count()

        def shown(*arguments: object, **named: object) -> object:
            reporter.progress(next(done), matrices, "quantizing the ONNX model, by matrices")
            return one(*arguments, **named)

        library.quant_tensor_k_quant_cpu = shown
        return rounding(self)

    model.make_layer, model.to_nbits = counted, quantized
