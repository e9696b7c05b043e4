"""Inside the environment `coreml`: a merged folder as an .mlpackage for iOS 18, macOS 15 and later."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.tracking.reporter import Reporter

BLOCK = 32
"""Weights that share a scale in int4."""


def convert(request: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Write the package. request: merged (folder), out (the .mlpackage), context, quant (fp16, int4), about (metadata)."""
    import coremltools as ct
    import numpy as np
    import torch

    from studio.export.targets.coreml.stateful import Stateful, mask

    context = request["context"]
    reporter.progress(0, 3, "tracing for Core ML")
    model = Stateful(Path(request["merged"]), context).eval()
    with torch.no_grad():
        traced = torch.jit.trace(model, (torch.zeros((1, 2), dtype=torch.int32), mask(2, 5)), check_trace=False)
    for state in (model.keyCache, model.valueCache):
        state.zero_()
    reporter.progress(1, 3, "converting to Core ML")
    count = ct.RangeDim(lower_bound=1, upper_bound=context, default=1)
    end = ct.RangeDim(lower_bound=1, upper_bound=context, default=1)
    states = [
        ct.StateType(ct.TensorType(shape=model.keyCache.shape, dtype=np.float16), name)  # pyright: ignore[reportArgumentType]
        for name in ("keyCache", "valueCache")
    ]
    package: Any = ct.convert(
        traced,
        inputs=[
            ct.TensorType(shape=(1, count), dtype=np.int32, name="inputIds"),
            ct.TensorType(shape=(1, 1, count, end), dtype=np.float16, name="causalMask"),
        ],
        outputs=[ct.TensorType(name="logits", dtype=np.float16)],
        states=states,
        minimum_deployment_target=ct.target.iOS18,
        compute_precision=ct.precision.FLOAT16,
        skip_model_load=True,
    )
    reporter.progress(2, 3, "writing the package")
    if request["quant"] == "int4":
        package = _in_int4(package, [name.replace(".", "_") for name in model.state_dict()])
    package.short_description = request["about"]
    package.save(request["out"])
    made_by = f"coremltools {ct.__version__}"
    return {"inputs": ["inputIds", "causalMask"], "states": ["keyCache", "valueCache"], "converted_by": made_by}


def _in_int4(package: Any, names: list[str]) -> Any:
    """Linear layers in 4 bit with a scale every `BLOCK` weights; embedding and head in 8 bit with a scale per row.

    Everything else stays as it is: left to itself, coremltools would take the tables of the positions for weights too.
    """
    import coremltools.optimize.coreml as optimize

    fine = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", dtype="int8", granularity="per_channel")
    coarse = optimize.OpLinearQuantizerConfig(
        mode="linear_symmetric", dtype="int4", granularity="per_block", block_size=BLOCK, weight_threshold=0
    )
    config = optimize.OptimizationConfig(global_config=None)
    for name in names:
        if name.endswith("_proj_weight"):
            config.set_op_name(f"{name}_to_fp16", coarse)
        elif name in ("decoder_embed_tokens_weight", "decoder_lm_head_weight"):
            config.set_op_name(f"{name}_to_fp16", fine)
    return optimize.linear_quantize_weights(package, config=config)
