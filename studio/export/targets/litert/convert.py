"""Inside the environment `litert`: a merged folder as .tflite, and that with all it needs to chat as .litertlm."""

# pyright: reportMissingImports=false
from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from studio.tracking.reporter import Reporter

RECIPES: dict[str, str] = {"fp32": "none", "int8": "dynamic_wi8_afp32"}
"""litert-torch's names: int8 weights per channel, activations quantised as they come, sums in float32."""
PREFILL = 128
"""Tokens of a prompt taken in at once; a longer prompt is taken in in parts."""


def convert(request: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Write `model.tflite` and `model.litertlm`.

    request: merged (folder), work (an empty folder for what is in between), tflite and litertlm (files to write), quant,
    context (tokens of the cache), template (for LiteRT-LM, or None), begin (the id every text begins with, or None), ends (ids
    of end tokens).
    """
    import torch
    from litert_torch.generative.export_hf import export

    work = Path(request["work"])
    metadata = work / "metadata.pb"
    metadata.write_bytes(_metadata(request["template"], request["begin"], request["ends"], request["context"]))
    reporter.progress(0, 1, "converting to LiteRT")
    with torch.inference_mode(False):
        export.export(
            model=request["merged"],
            output_dir=str(work),
            keep_temporary_files=True,
            prefill_lengths=[min(PREFILL, request["context"])],
            cache_length=request["context"],
            quantization_recipe=RECIPES[request["quant"]],
            bundle_litert_lm=True,
            litert_lm_llm_metadata_override=str(metadata),
            tokenizer_path_override=str(Path(request["merged"]) / "tokenizer.json"),
        )
    made = "model.tflite" if request["quant"] == "fp32" else "model_quantized.tflite"
    (work / made).rename(request["tflite"])
    (work / "model.litertlm").rename(request["litertlm"])
    return {"prefill": min(PREFILL, request["context"]), "converted_by": f"litert-torch {version('litert-torch')}"}


def _metadata(template: str | None, begin: int | None, ends: list[int], context: int) -> bytes:
    """What LiteRT-LM reads beside the weights."""
    from litert_lm_builder.runtime.proto import llm_metadata_pb2, llm_model_type_pb2

    metadata = llm_metadata_pb2.LlmMetadata(max_num_tokens=context)
    if begin is not None:
        metadata.start_token.token_ids.ids.append(begin)
    for token in ends:
        metadata.stop_tokens.add().token_ids.ids.append(token)
    if template:
        metadata.jinja_prompt_template = template
    metadata.llm_model_type.CopyFrom(llm_model_type_pb2.LlmModelType(generic_model=llm_model_type_pb2.GenericModel()))
    return metadata.SerializeToString()
