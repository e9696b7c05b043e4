"""In a process of its own: a merged folder as a .pte program."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from studio.export.decoder.build import build
from studio.export.targets.executorch import graphs, shapes
from studio.tracking.reporter import Reporter

PREFILL = 128
"""Tokens of a prompt taken in at once; the runner takes in a longer prompt in parts. Memory is planned for so many."""
PARTS_OF_A_LAYER = 7
"""About how many parts of a decoder layer XNNPACK takes, between what writes the cache and looks up positions."""
GROUP = 32
"""Weights that share a scale in 4 bit."""


def convert(request: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Write the program.

    request: merged (folder), file (to write), quant, context (tokens of the cache), ends (ids of end tokens), bos (an id).
    Returns details for the manifest.
    """
    import torch

    warnings.filterwarnings("ignore")
    reporter.progress(0, 100, "building the decoder")
    context, quant = request["context"], request["quant"]
    decoder = build(Path(request["merged"]), context, last=True)
    parts = PARTS_OF_A_LAYER * len(decoder.layer_kinds)

    def taken(count: int) -> None:
        reporter.progress(50 + round(40 * min(count / parts, 1)), 100, "lowering to XNNPACK, by parts")

    shapes.speed_up(taken)
    graphs.write_when_called()
    graphs.keep_order()
    if quant != "fp32":
        reporter.progress(2, 100, "quantizing")
        _quantize(decoder, quant)
    reporter.progress(5, 100, "tracing")
    prefill = min(PREFILL, context)
    tokens = torch.export.Dim("tokens", min=1, max=prefill)
    with torch.no_grad():
        example = torch.zeros(1, 4, dtype=torch.long), torch.arange(4)
        dynamic = {1: tokens}, {0: tokens}
        traced = torch.export.export(
            decoder, example, dynamic_shapes=dynamic, strict=False, prefer_deferred_runtime_asserts_over_guards=True
        )
    reporter.progress(12, 100, "lowering to core operators")
    facts = {
        "get_vocab_size": decoder.shape.vocabulary,
        "get_bos_id": request["bos"],
        "get_eos_ids": request["ends"],
        "get_max_seq_len": prefill,
        "get_max_context_len": context,
        "use_kv_cache": True,
        "use_sdpa_with_kv_cache": False,
        "enable_dynamic_shape": True,
    }
    delegated, left = _lower(traced, facts, Path(request["file"]))
    return {"prefill": prefill, "facts": facts, "delegated_parts": delegated, "other_operators": left}


def _quantize(decoder: Any, quant: str) -> None:
    """Round the weights. Embeddings and the head keep 8 bit in any case: small models have much of what they know there."""
    from torch import int4, int8, nn  # pyright: ignore[reportAttributeAccessIssue] - it has it
    from torchao.quantization import quantize_
    from torchao.quantization.granularity import PerAxis, PerGroup
    from torchao.quantization.quant_api import Int8DynamicActivationIntxWeightConfig, IntxWeightOnlyConfig

    if decoder.lm_head.weight is decoder.embed_tokens.weight:  # rounded alike, but kept in two layouts
        decoder.lm_head.weight = nn.Parameter(decoder.lm_head.weight.clone(), requires_grad=False)
    rows = PerAxis(0)
    fine = Int8DynamicActivationIntxWeightConfig(weight_dtype=int8, weight_granularity=rows)
    coarse = Int8DynamicActivationIntxWeightConfig(weight_dtype=int4, weight_granularity=PerGroup(GROUP))
    quantize_(
        decoder, IntxWeightOnlyConfig(weight_dtype=int8, granularity=rows), lambda part, _: isinstance(part, nn.Embedding)
    )
    four = quant == "8da4w"
    quantize_(decoder, fine, lambda part, name: isinstance(part, nn.Linear) and not (four and _divides(part, name)))
    quantize_(decoder, coarse, lambda part, name: isinstance(part, nn.Linear) and four and _divides(part, name))


def _divides(part: Any, name: str) -> bool:
    """Whether a linear layer is rounded to 4 bit: not the head, and only rows of whole groups."""
    return name != "lm_head" and part.in_features % GROUP == 0


def _lower(traced: Any, facts: dict[str, Any], file: Path) -> tuple[int, list[str]]:
    """Hand over what XNNPACK computes, plan memory, write. Returns the number of parts it took, and what it did not take."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import EdgeCompileConfig, ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes import MemoryPlanningPass
    from executorch.kernels import quantized  # noqa: F401 - the embedding in 8 bit is one of its operators

    edge = to_edge_transform_and_lower(
        traced,
        partitioner=[XnnpackPartitioner()],
        constant_methods=facts,
        compile_config=EdgeCompileConfig(_check_ir_validity=False, _skip_dim_order=True),
    )
    called = [str(node.target) for node in edge.exported_program().graph.nodes if node.op == "call_function"]
    program = edge.to_executorch(
        ExecutorchBackendConfig(
            extract_delegate_segments=True,
            do_quant_fusion_and_const_prop=True,
            memory_planning_pass=MemoryPlanningPass(alloc_graph_input=False),
        )
    )
    with file.open("wb") as opened:
        program.write_to_file(opened)
    operators = {name.split("aten.")[1].split(":")[0].rstrip(">") for name in called if "aten." in name}
    return called.count("executorch_call_delegate"), sorted(name for name in operators if "assert" not in name)
