"""What writes the answers of a run that learns from answers: the trained model itself, or vLLM beside it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from studio.export.toolchains.vllm import engine
from studio.export.toolchains.vllm.ranks import rank_for
from studio.hardware.machine import Machine
from studio.hardware.memory import VLLM, VLLM_ANSWERS
from studio.models.loading import DTYPES, FoundModel
from studio.runs.folder import RunFolder
from studio.runs.plan import PlanRecord
from studio.spec import ResolvedSpec
from studio.tracking.reporter import Reporter
from studio.training.methods.grpo import Grpo
from studio.training.sampled import SamplingEngine


@contextmanager
def opened(
    folder: RunFolder, spec: ResolvedSpec, base: FoundModel, machine: Machine, reporter: Reporter
) -> Generator[SamplingEngine | None]:
    """vLLM with the run's base, until the block ends; None where the trained model writes its answers itself.

    Raises TrainingError if vLLM cannot load the base, and Stopped if asked to stop meanwhile.
    """
    method = spec.training.method
    if not isinstance(method, Grpo) or not method.by_vllm:
        yield None
        return
    adapter = spec.adapter
    settings = engine.Settings(
        folder=base.path_or_id,
        revision=base.revision,
        dtype=DTYPES[spec.model.dtype],
        context=_context(spec, method, base),
        rank=rank_for(adapter.traits.factor * max((adapter.rank, *adapter.ranks.values()))),
        at_once=VLLM_ANSWERS,
        share=_share(folder, machine),
    )
    with engine.opened(settings, reporter) as found:
        yield found


def _context(spec: ResolvedSpec, method: Grpo, base: FoundModel) -> int:
    """Tokens of the longest prompt and answer together, within the model's reach."""
    asked = spec.data.max_length + (method.max_new_tokens or 0)
    reach = (base.config.get("text_config") or base.config).get("max_position_embeddings")
    return min(asked, reach) if reach else asked


def _share(folder: RunFolder, machine: Machine) -> float:
    """What the plan gave to vLLM, as a share of the GPU's memory; 0 where there is no GPU."""
    if machine.gpu is None:
        return 0.0
    planned = sum(item.bytes for item in PlanRecord.read(folder.plan).memory.items if item.name == VLLM)
    return round(planned / machine.gpu.total, 3)
