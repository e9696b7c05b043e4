"""What the training method leaves to the plan: its learning rate, general rows, how much each kind of answer counts."""

from __future__ import annotations

from studio.core.text import count, parameters
from studio.hardware.dims import ModelDims
from studio.models.architectures import STARTER
from studio.models.architectures.base import COMPACT_MODEL
from studio.planner.case import Case
from studio.planner.draft import Draft
from studio.spec import RunSpec
from studio.training.methods.method import Method

REPLAYED = 131
"""General rows that are mixed in: all that are shipped."""
USUAL_RANK = 16
"""The rank that the usual learning rates are for."""
MOST_REPLAY = 0.5
"""The largest share of the training rows that the plan mixes in."""
TEXT_REPLAY = 0.1
"""The share of general conversations among documents, by characters."""


def decide(draft: Draft, case: Case) -> None:
    """The learning rate, the replay of general rows, and the method's own open settings."""
    _rate(draft, case)
    share, why = replay(draft.spec, case.dims, len(case.rows) - case.rows.replayed)
    draft.settle("data.replay", share, why, "more general rows keep more of what the model knew and take longer to train")
    _labels(draft, case)


def replay(spec: RunSpec, dims: ModelDims, rows: int) -> tuple[float, str]:
    """How many general rows are mixed in, as a share of the training rows, and why. It is needed before rows are encoded."""
    if spec.data.replay is not None:
        return spec.data.replay, "as set"
    if spec.training.method.needs == "texts":
        if dims.is_small:
            return 0.0, "the shipped conversations are beyond a model this small; name its own in data.replay_from"
        return TEXT_REPLAY, "text alone makes a model forget how to answer"
    if spec.training.method.kind != "sft":
        return 0.0, _without_replay(spec.training.method)
    if dims.is_small:
        return 0.0, "a model this small has hardly any general skills to lose"
    if spec.data.train_on == "all":
        return 0.0, "plain text is learned, not answers"
    share = min(MOST_REPLAY, round(REPLAYED / max(1, rows), 3))
    return share, f"with few general rows among {count(rows)}, a model keeps answering what the data do not ask (measured)"


def _without_replay(method: Method) -> str:
    """Why no general rows are mixed in for a method that learns more than answers."""
    if method.compares:
        return f"{method.kind} compares with the model as it begins, and moves it less"
    if method.generates:
        return f"{method.kind} rewards the model's own answers, and moves it less"
    if method.distils:
        return "the teacher says what is learned, and is not asked general questions"
    return f"{method.kind} learns from preferred and rejected answers, and general rows have none"


def _rate(draft: Draft, case: Case) -> None:
    """The learning rate, by the model's size and the method."""
    if case.dims.is_small:
        rate, why = STARTER.learning_rate, "a very small model learns next to nothing at the 2e-4 usual for large ones"
    else:
        rate = case.architecture.rate(case.dims.parameters)
        why = f"usual for LoRA on {parameters(case.dims.parameters)} parameters"
        if case.dims.parameters < COMPACT_MODEL:
            why = f"{parameters(case.dims.parameters)} parameters learn too little at the 2e-4 usual for large ones (measured)"
    method = draft.spec.training.method
    kind = draft.spec.adapter.traits
    if kind.rate != 1:
        rate, why = rate * kind.rate, f"{kind.rate:.0%} of LoRA's rate ({rate:g}): {kind.rate_reason}"
    share, because = _by_rank(draft.spec)
    if share < 1:
        rate, why = rate * share, f"{share:.0%} of the rate at rank {USUAL_RANK} ({rate:g}): {because}"
    ratio = draft.spec.adapter.lora_plus
    if ratio != 1:
        rate, why = rate / ratio**0.5, f"LoRA+ trains B {ratio:g} times as fast as A: the two rates lie around {rate:g}"
    if method.rate != 1:
        rate, why = rate * method.rate, f"{method.rate:.0%} of the rate for learning answers ({rate:g}): {method.rate_reason}"
    draft.settle(
        "training.learning_rate", float(f"{rate:.2g}"), why, "higher may forget or diverge, lower may learn too little"
    )


def _by_rank(spec: RunSpec) -> tuple[float, str]:
    """The share of the usual rate that an adapter of a high rank bears, and why.

    LoRA's update is scaled by alpha / rank, and alpha grows with the rank: so does the update, while rsLoRA's, scaled by
    alpha / sqrt(rank), does not (Kalajdzievski 2023). The rate makes up for what the scale is larger than rsLoRA's would be.
    """
    adapter = spec.adapter
    rank = max((adapter.rank, *adapter.ranks.values()))
    if adapter.kind in ("rslora", "full") or rank <= USUAL_RANK:
        return 1.0, ""
    scale = adapter.alpha / adapter.rank if adapter.alpha else 2.0
    share = min(1.0, 2.0 * (USUAL_RANK / rank) ** 0.5 / scale)
    return share, f"the update of rank {rank} is larger at the same rate, and lost what the model knew (measured)"


def _labels(draft: Draft, case: Case) -> None:
    """How much good and bad answers count, where they are labelled one by one: as much as one another."""
    if draft.spec.training.method.kind != "kto":
        return
    good, bad = max(1, case.rows.good), max(1, case.rows.bad)
    why = f"{count(case.rows.good)} good answers and {count(case.rows.bad)} bad ones"
    other = "what counts more is learned first"
    draft.settle("training.method.good_weight", round(max(1.0, bad / good), 2), why, other)
    draft.settle("training.method.bad_weight", round(max(1.0, good / bad), 2), why, other)
