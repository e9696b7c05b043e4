"""What a decision otherwise would cost: the memory and the speed of the run with one thing held in another way."""

from __future__ import annotations

from typing import Any

from studio.core.text import size
from studio.planner import fitting
from studio.planner.fitting import Case, Fit
from studio.spec import RunSpec


def another(spec: RunSpec, case: Case, chosen: Fit, part: str, value: Any) -> str:
    """What the run would need and how fast it would be with one thing held otherwise."""
    held = value if part == "quantization" else chosen.quantization
    again = value if part == "checkpointing" else chosen.recompute_every
    made = fitting.candidate(spec, case, held, again, chosen.micro_batch, chosen.max_length, chosen.packing)
    name = f"`{value}`" if part == "quantization" else _with(value, chosen)
    speed_change = chosen.seconds / made.seconds - 1
    pace = (
        "about as fast" if abs(speed_change) < 0.05 else f"{abs(speed_change):.0%} {'faster' if speed_change > 0 else 'slower'}"
    )
    fits = "" if made.memory.total <= case.machine.memory_budget else ", which does not fit"
    return f"{name}: {size(made.memory.total)}{fits}, {pace}"


def _with(every: int, chosen: Fit) -> str:
    return "all layers" if every and chosen.recompute_every else "with it" if every else "without it"
