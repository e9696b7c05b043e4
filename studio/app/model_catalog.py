"""Use case of choosing a base model: what there is, how large it is, and whether this machine could train it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from studio.app import library
from studio.core.errors import StudioError
from studio.core.text import parameters, size
from studio.spec import RunSpec


@dataclass(frozen=True)
class Choice:
    """A base model that can be chosen. fits: for rows of 512 tokens on this machine; None where nobody knows yet."""

    name: str
    label: str
    fits: bool | None


@dataclass(frozen=True)
class _Known:
    """A model of which only the config is known: enough to plan."""

    config: dict[str, Any]
    license: str | None = None


def models(home: Path) -> list[Choice]:
    """The starter model, local models, then the known ones, smallest first."""
    local = [Choice(str(path), f"{path.name} · on this machine", None) for path in library.models(home)]
    return [Choice("starter", "starter · shipped with the studio, for a first try", True), *local, *_known()]


@cache
def _known() -> tuple[Choice, ...]:
    from studio.models import presets

    found: list[Choice] = []
    for name in presets.names():
        preset = presets.preset(name)
        if preset is None:
            continue
        need, fits = _need(name)
        told = f"fits, about {size(need)}" if fits else f"too large here, about {size(need)}" if need else "fit not known"
        found.append(Choice(name, f"{name} · {parameters(preset.parameters)} · {told}", fits if need else None))
    return tuple(found)


def _need(name: str) -> tuple[int, bool]:
    """Bytes that training this model takes with rows of 512 tokens, and whether they fit here."""
    import numpy as np

    from studio import planner
    from studio.hardware import machine
    from studio.models import presets
    from studio.planner.rows import Rows

    spec = RunSpec.model_validate({"model": {"name": name}, "data": {"train": "-"}})
    rows = Rows(np.full(1000, 512), trained=250_000, held_out=np.full(100, 512), answer=128)
    try:
        plan = planner.resolve(spec, machine.probe(), _Known(presets.config(name) or {}), rows)
    except StudioError:
        return 0, False
    return plan.memory.total, plan.fits


def gpus() -> list[str]:
    """The GPUs a plan can be made for, by name."""
    from studio.hardware import cards

    return [item.name for item in cards.CARDS]
