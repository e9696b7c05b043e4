"""What a run cannot do whatever its memory: refused in the plan, with the field, before anything is downloaded or loaded."""

from __future__ import annotations

from studio.core.errors import SpecError
from studio.core.text import count, nearest, plural
from studio.planner.fitting import Case, Fit
from studio.spec import RunSpec

BESIDE_LAYERS = frozenset({"lm_head", "embed_tokens", "gate", "router"})
"""Modules outside the counted linear layers that an adapter may sit on."""


def refuse(spec: RunSpec, case: Case, chosen: Fit) -> None:
    """Raise SpecError, naming the field, for what the machine, the model or the data forbid."""
    if chosen.peak.dtype == "fp16" and not case.cuda:
        raise SpecError(
            f"fp16 training needs a GPU, and this run would use {case.machine.name}",
            hint="Set model.dtype to fp32 or bf16, or leave it out.",
            where="model.dtype",
        )
    _targets(spec, case)
    rows, length = case.rows, chosen.max_length
    if len(rows) and spec.data.overlong == "drop" and rows.over(length) == len(rows):
        raise SpecError(
            f"all {plural(len(rows), 'row')} are longer than {count(length)} tokens (the shortest has "
            f"{count(int(rows.lengths.min()))}), so none is left to train on",
            hint="Raise data.max_length, or set data.overlong to truncate.",
            where="data.max_length",
        )


def _targets(spec: RunSpec, case: Case) -> None:
    """Module names that no layer of the model has. Paths are left to peft, which knows every module."""
    targets, layers = spec.adapter.targets, case.dims.linears
    if isinstance(targets, str) or case.dims.counted == "like llama":
        return
    known = {name.rpartition(".")[2] for name in layers} | BESIDE_LAYERS
    unknown = [name for name in targets if "." not in name and name not in known]
    if targets and len(unknown) < len(targets):
        return
    near = nearest(unknown[0], sorted(known)) if unknown else None
    raise SpecError(
        f"no layer of {case.name} is called {' or '.join(f'`{name}`' for name in unknown)}"
        if unknown
        else "no layers are listed",
        hint=(f"Did you mean `{near}`? " if near else "") + f"Its linear layers are {', '.join(layers)}; or set all-linear.",
        where="adapter.targets",
    )
