"""Adapters merged into one: exactly (`cat`), back to a smaller rank (`svd`), or by the experiments TIES and DARE.

An adapter's update of a layer is s B A. What is merged are these updates, never A and B apart: a mean of the A times a mean
of the B is not the mean of their products. Scales are those of each layer, of rsLoRA and of ranks that differ by layer; what
is no such update (DoRA, biases, whole modules, tokens) is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from studio.core.errors import ModelError
from studio.core.files import folder_aside, read_json, sha256, write_json
from studio.core.records import Record
from studio.models import adapter_files

if TYPE_CHECKING:
    import torch

Method = Literal["cat", "svd", "ties", "dare"]
METHODS: dict[Method, str] = {
    "cat": "exact; the ranks add up",
    "svd": "the nearest of a smaller rank (Eckart & Young 1936); the error is reported",
    "ties": "experiment: the largest changes, by majority of sign (Yadav et al. 2023), then as svd",
    "dare": "experiment: changes dropped at random and the rest scaled up (Yu et al. 2024), then as svd",
}
DENSITY: dict[Method, float] = {"ties": 0.2, "dare": 0.5}
"""The share of each update that is kept, as in the papers."""
RECORD = "merge.json"
_REFUSED = {
    "use_dora": "it is DoRA, which rescales whole weights",
    "modules_to_save": "modules were trained whole beside its matrices",
    "lora_bias": "its matrices have biases",
    "trainable_token_indices": "tokens of its own were trained",
    "target_parameters": "it adapts parameters that are no layers",
    "layer_replication": "it repeats layers",
    "fan_in_fan_out": "its layers are stored transposed",
    "alora_invocation_tokens": "tokens switch it on",
}


class MergedPart(Record):
    """An adapter that went into a merge."""

    name: str
    """What it was called: a run, a folder, a repository."""
    weight: float
    rank: int
    sha256: str
    """Of its weights."""


class MergeRecord(Record):
    """merge.json of an adapter folder: what it was merged from, and how."""

    label: ClassVar[str] = "merge record"
    remedy: ClassVar[str] = "Merge the adapters again: studio adapters merge."

    method: Method
    base: str
    parts: tuple[MergedPart, ...]
    rank: int
    exact_rank: int
    """The sum of the ranks, at which nothing is lost."""
    error: float
    """What the rank leaves out of the sum of the updates, as a share of its norm; 0 for cat."""
    density: float | None = None
    """The share of each update that was kept, for ties and dare."""
    changed: float = 0.0
    """How far what was merged is from the weighted sum of the updates before the rank was cut, as a share of its norm."""
    seed: int = 0


def parts_of(folder: Path) -> list[str]:
    """What the adapter in `folder` was merged from, as it was named; nothing where it was trained."""
    file = folder / RECORD
    return [part.name for part in MergeRecord.read(file).parts] if file.exists() else []


@dataclass(frozen=True)
class Adapter:
    """An adapter to be merged: its folder, what to call it, and its share."""

    folder: Path
    name: str
    weight: float


def merge(
    adapters: Sequence[Adapter],
    out: Path,
    method: Method = "cat",
    rank: int | None = None,
    density: float | None = None,
    seed: int = 0,
) -> MergeRecord:
    """Write the sum of the weighted updates of `adapters` as a plain LoRA folder `out`, with its record.

    rank: of the result, for every method but cat; by default the largest of theirs. density: for ties and dare. Raises
    ModelError for an adapter that is no plain LoRA, for other bases, and for layers of other sizes.
    """
    import torch

    updates = [_read(adapter) for adapter in adapters]
    base = _one_base(adapters)
    ranks = [max(len(down) for _, down in update.values()) for update in updates]
    exact = sum(ranks)
    rank = exact if method == "cat" else min(rank or max(ranks), exact)
    kept = density if density is not None else DENSITY.get(method)
    generator = torch.Generator().manual_seed(seed)
    layers = list(dict.fromkeys(layer for update in updates for layer in update))
    tensors: dict[str, Any] = {}
    lost = whole = changed = summed = 0.0
    for layer in layers:
        factors = [
            (adapter.weight * up, down)
            for adapter, update in zip(adapters, updates, strict=True)
            for up, down in [update.get(layer) or _nothing(layer, updates)]
        ]
        try:
            up, down = torch.cat([up for up, _ in factors], 1), torch.cat([down for _, down in factors])
        except RuntimeError:
            raise _other_size(layer, adapters) from None
        if method == "cat":
            up, down = _filled(factors, ranks)
        else:
            if kept is not None:
                total = up @ down
                merged = _chosen(method, [up @ down for up, down in factors], [a.weight for a in adapters], kept, generator)
                changed, summed = changed + float((merged - total).square().sum()), summed + float(total.square().sum())
                up, down = merged, None
            up, down, left, energy = _cut(up, down, rank)
            lost, whole = lost + left, whole + energy
        tensors[f"base_model.model.{layer}.lora_A.weight"] = down.contiguous()
        tensors[f"base_model.model.{layer}.lora_B.weight"] = up.contiguous()
    record = MergeRecord(
        method=method,
        base=base,
        parts=tuple(
            MergedPart(name=each.name, weight=each.weight, rank=own, sha256=sha256(each.folder / adapter_files.WEIGHTS))
            for each, own in zip(adapters, ranks, strict=True)
        ),
        rank=rank,
        exact_rank=exact,
        error=math.sqrt(lost / whole) if whole else 0.0,
        density=kept,
        changed=math.sqrt(changed / summed) if summed else 0.0,
        seed=seed,
    )
    _write(adapters[0].folder, layers, tensors, record, out)
    return record


def _read(adapter: Adapter) -> dict[str, tuple[Any, Any]]:
    """The updates of an adapter by layer: B with its scale in it, and A, both fp32."""
    from safetensors.torch import load_file

    config = adapter_files.read_config(adapter.folder)
    reasons = [reason for name, reason in _REFUSED.items() if config.get(name)]
    if config.get("bias", "none") != "none":
        reasons.append("biases of the base were trained")
    names = () if reasons else adapter_files.check(adapter.folder)
    if any(not name.endswith((".lora_A.weight", ".lora_B.weight")) for name in names):
        odd = next(name for name in names if not name.endswith((".lora_A.weight", ".lora_B.weight")))
        reasons.append(f"it holds {odd}, which is no matrix of LoRA on a linear layer")
    if reasons:
        raise ModelError(
            f"{adapter.name} cannot be merged with others: {reasons[0]}",
            hint="Export it as `merged`, and train the next adapter on that model.",
            where=str(adapter.folder),
        )
    adapter_files.check_values(adapter.folder)
    tensors = load_file(adapter.folder / adapter_files.WEIGHTS)
    found = {}
    for name in names:
        if name.endswith(".lora_A.weight"):
            path = name.removesuffix(".lora_A.weight")
            down, up = tensors[name].float(), tensors[f"{path}.lora_B.weight"].float()
            layer = path.removeprefix("base_model.model.")
            found[layer] = (scale(config, layer) * up, down)
    return found


def scale(config: dict[str, Any], layer: str) -> float:
    """What B A of a layer is multiplied with, by an adapter's config."""
    rank = _own(config.get("rank_pattern"), layer, config["r"])
    alpha = _own(config.get("alpha_pattern"), layer, config["lora_alpha"])
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else float(rank))


def _own(patterns: dict[str, Any] | None, layer: str, otherwise: object) -> Any:
    """A layer's own value, as peft matches patterns: the first that ends the layer's path."""
    return next((value for key, value in (patterns or {}).items() if re.match(rf"(.*\.)?({key})$", layer)), otherwise)


def _one_base(adapters: Sequence[Adapter]) -> str:
    bases = [str(adapter_files.read_config(each.folder).get("base_model_name_or_path") or "") for each in adapters]
    first = bases[0]
    for each, base in zip(adapters, bases, strict=True):
        if Path(base).name.lower() != Path(first).name.lower():
            raise ModelError(
                f"{adapters[0].name} was trained on {first or '(unnamed)'}, and {each.name} on {base or '(unnamed)'}",
                hint="Only adapters of one base can be merged.",
                where=str(each.folder),
            )
    return first


def _nothing(layer: str, updates: Sequence[dict[str, tuple[Any, Any]]]) -> tuple[Any, Any]:
    """The update of an adapter that leaves a layer alone, of rank 0."""
    up, down = next(update[layer] for update in updates if layer in update)
    return up[:, :0], down[:0]


def _filled(factors: Sequence[tuple[Any, Any]], ranks: Sequence[int]) -> tuple[Any, Any]:
    """The factors side by side, each with zeros up to its adapter's rank, so that all layers have one."""
    import torch

    ups, downs = [], []
    for (up, down), rank in zip(factors, ranks, strict=True):
        ups.append(torch.nn.functional.pad(up, (0, rank - up.shape[1])))
        downs.append(torch.nn.functional.pad(down, (0, 0, 0, rank - len(down))))
    return torch.cat(ups, 1), torch.cat(downs)


def _chosen(method: Method, updates: list[Any], weights: list[float], density: float, generator: torch.Generator | None) -> Any:
    """The updates, weighted already, [outputs, inputs] each, merged by TIES or DARE."""
    import torch

    if method == "dare":
        kept = [torch.rand(update.shape, generator=generator) < density for update in updates]
        return sum(update * mask / density for update, mask in zip(updates, kept, strict=True))
    trimmed = []
    for update in updates:
        least = update.abs().flatten().kthvalue(max(1, round((1 - density) * update.numel()))).values
        trimmed.append(torch.where(update.abs() > least, update, 0.0))
    sign = torch.stack(trimmed).sum(0).sign()
    agreeing = [(update.sign() == sign) & (update != 0) for update in trimmed]
    total = torch.stack([torch.where(agree, update, 0.0) for agree, update in zip(agreeing, trimmed, strict=True)]).sum(0)
    share = torch.stack([weight * agree for weight, agree in zip(weights, agreeing, strict=True)]).sum(0)
    return torch.where(share > 0, total / share.clamp(min=1e-12) * sum(weights), 0.0)


def _cut(up: torch.Tensor, down: torch.Tensor | None, rank: int) -> tuple[Any, Any, float, float]:
    """The nearest product of that rank to up @ down (to `up` alone where down is None): B, A, the squared norm of what is left
    out, and that of the whole."""
    import torch

    if down is None:
        left, values, right = torch.linalg.svd(up, full_matrices=False)
    else:  # of a product of thin matrices: what it does lies in the span of both
        one, first = torch.linalg.qr(up)
        other, second = torch.linalg.qr(down.t())
        left, values, right = torch.linalg.svd(first @ second.t(), full_matrices=False)
        left, right = one @ left, right @ other.t()
    squares = values.double().square()
    root = values[:rank].sqrt()
    cut_up, cut_down = left[:, :rank] * root, root[:, None] * right[:rank]
    short = rank - cut_up.shape[1]
    if short > 0:  # a layer that fewer adapters have
        cut_up, cut_down = torch.nn.functional.pad(cut_up, (0, short)), torch.nn.functional.pad(cut_down, (0, 0, 0, short))
    return cut_up, cut_down, float(squares[rank:].sum()), float(squares.sum())


def _other_size(layer: str, adapters: Sequence[Adapter]) -> ModelError:
    return ModelError(
        f"{layer} has other sizes in one of {', '.join(each.name for each in adapters)}",
        hint="They were trained on other bases; only adapters of one base can be merged.",
        where="adapters",
    )


def _write(like: Path, layers: list[str], tensors: dict[str, Any], record: MergeRecord, out: Path) -> None:
    from safetensors.torch import save_file

    settings = read_json(like / adapter_files.CONFIG)
    settings |= {"r": record.rank, "lora_alpha": record.rank, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {}}
    settings |= {"target_modules": layers, "layers_to_transform": None, "layers_pattern": None, "exclude_modules": None}
    settings |= {"init_lora_weights": True, "lora_dropout": 0.0, "inference_mode": True}
    with folder_aside(out) as aside:
        save_file(tensors, aside / adapter_files.WEIGHTS, {"format": "pt"})
        (aside / adapter_files.WEIGHTS).chmod(0o644)
        write_json(aside / adapter_files.CONFIG, settings)
        record.write(aside / RECORD)
