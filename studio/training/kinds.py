"""The kinds of adapters: what each is, what it needs of the base, and whether its layers can be computed together.

Plain values, no torch: settings, plan and form read them. How each begins is in `studio.training.initial`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

KindName = Literal["lora", "rslora", "dora", "pissa", "olora", "eva", "full"]


class Kind(NamedTuple):
    """A kind of adapter."""

    summary: str
    alone: str = ""
    """Why its layers are not computed together; empty if they are."""
    exact_base: str = ""
    """Why it needs an unquantized base; empty if any will do."""
    factor: int = 1
    """Its rank in the adapter folder, as a multiple of `adapter.rank`."""
    rate: float = 1.0
    """The learning rate it takes, as a share of LoRA's."""
    rate_reason: str = ""
    """Why."""


_PRINCIPAL = "it begins with the main part of each weight, which a quantized base does not have exactly"
_AWAY = "both its matrices begin away from zero, so the same step moves it further"
KINDS: dict[KindName, Kind] = {
    "lora": Kind("low-rank matrices (Hu et al. 2021)"),
    "rslora": Kind("LoRA whose update is scaled by alpha over the root of the rank, for high ranks (Kalajdzievski 2023)"),
    "dora": Kind("LoRA with a learned magnitude (Liu et al. 2024), slower", alone="DoRA rescales whole weights"),
    "pissa": Kind(
        "LoRA that begins with each weight's principal part (Meng et al. 2024)",
        exact_base=_PRINCIPAL,
        factor=2,
        rate=0.4,
        rate_reason=_AWAY,
    ),
    "olora": Kind("LoRA that begins with each weight's QR factors (Büyükakyüz 2024)", exact_base=_PRINCIPAL, factor=2),
    "eva": Kind("LoRA that begins with the main directions of the rows' activations (Paischer et al. 2024)"),
    "full": Kind(
        "no adapter: the linear layers themselves are trained",
        alone="there are no adapters: the layers themselves are trained",
        exact_base="the weights themselves are trained, and quantized ones cannot be",
        rate=0.2,
        rate_reason="every weight moves, and the update is not scaled",
    ),
}
assert tuple(KINDS) == get_args(KindName)
KIND_HELP = "; ".join(f"{name}: {kind.summary}" for name, kind in KINDS.items()) + "."
