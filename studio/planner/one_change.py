"""What a decision otherwise would cost: the memory and the speed of the run with one thing held in another way."""

from __future__ import annotations

from typing import Any

from studio.core.text import size
from studio.planner import fitting
from studio.planner.case import Case, Fit
from studio.spec import RunSpec, edit


def with_one_change(spec: RunSpec, case: Case, chosen: Fit, part: str, value: Any) -> str:
    """What the run would need and how fast it would be with one thing held otherwise."""
    made = _chosen_with(spec, case, chosen, part, value)
    name = f"`{value}`" if part == "quantization" else _with(value, chosen)
    speed_change = chosen.seconds / made.seconds - 1
    pace = (
        "about as fast" if abs(speed_change) < 0.05 else f"{abs(speed_change):.0%} {'faster' if speed_change > 0 else 'slower'}"
    )
    fits = "" if made.memory.total <= case.machine.memory_budget else ", which does not fit"
    return f"{name}: {size(made.memory.total)}{fits}, {pace}"


def _chosen_with(spec: RunSpec, case: Case, chosen: Fit, part: str, value: Any) -> Fit:
    """The run with one thing held otherwise: all else as chosen, or if that does not fit, whatever fits with it."""
    held = value if part == "quantization" else chosen.quantization
    every = value if part == "checkpointing" else chosen.recompute_every
    alike = fitting.candidate(
        spec, case, held, every, chosen.micro_batch, chosen.max_length, chosen.packing, offload=chosen.peak.offloaded
    )
    if alike.memory.total <= case.machine.memory_budget:
        return alike
    changes: dict[str, Any] = {"data.max_length": chosen.max_length}
    if part == "quantization":
        changes["model.quantization"] = held
    else:
        changes |= {"training.gradient_checkpointing": every > 0, "training.recompute_every": max(1, every)}
    best = fitting.fit(edit(spec, changes), case)
    return best if best.memory.total <= case.machine.memory_budget else alike


def _with(every: int, chosen: Fit) -> str:
    return "all layers" if every and chosen.recompute_every else "with it" if every else "without it"
