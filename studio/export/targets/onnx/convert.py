"""In a process of its own: a merged folder as an ONNX Runtime GenAI folder, by its own model builder."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from studio.tracking.reporter import Reporter

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
    reporter.progress(0, 1, "building the ONNX model")
    asked = ["hf_remote=false", "hf_token=false", *OPTIONS.get(quant, [])]
    options = builder.parse_extra_options("", merged, out, quant, provider, cache, asked)
    _as_the_builder_knows_it(options["hf_details"]["hf_config"])
    _local_rope_unscaled(importlib.import_module("builders.base").Model)
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


def _local_rope_unscaled(model: Any) -> None:
    """The builder scales RoPE of Gemma 3's sliding layers like that of the others, which it is not."""
    make = model.make_rotary_embedding_caches

    def unscaled(self: Any, **names: Any) -> Any:
        if names.get("cos_cache_name") == "cos_cache_local":
            self.rope_attrs["rescale_factors"] = 1
        return make(self, **names)

    model.make_rotary_embedding_caches = unscaled
