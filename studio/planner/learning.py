"""What the training method leaves to the plan: its learning rate, and how much each kind of answer counts."""

from __future__ import annotations

from studio.core.text import count, parameters
from studio.models.architectures import STARTER
from studio.planner.draft import Draft
from studio.planner.fitting import Case


def decide(draft: Draft, case: Case) -> None:
    """The learning rate and the method's own open settings."""
    _rate(draft, case)
    _labels(draft, case)


def _rate(draft: Draft, case: Case) -> None:
    """The learning rate, by the model's size and the method."""
    if case.dims.is_small:
        rate, why = STARTER.learning_rate, "a very small model learns next to nothing at the 2e-4 usual for large ones"
    else:
        rate = case.architecture.rate(case.dims.parameters)
        why = f"usual for LoRA on {parameters(case.dims.parameters)} parameters"
    method = draft.spec.training.method
    kind = draft.spec.adapter.traits
    if kind.rate != 1:
        rate, why = rate * kind.rate, f"{kind.rate:.0%} of LoRA's rate ({rate:g}): {kind.rate_reason}"
    if method.rate != 1:
        rate, why = rate * method.rate, f"{method.rate:.0%} of the rate for learning answers ({rate:g}): {method.rate_reason}"
    draft.settle("training.learning_rate", rate, why, "higher may forget or diverge, lower may learn too little")


def _labels(draft: Draft, case: Case) -> None:
    """How much good and bad answers count, where they are labelled one by one: as much as one another."""
    if draft.spec.training.method.kind != "kto":
        return
    good, bad = max(1, case.rows.good), max(1, case.rows.bad)
    why = f"{count(case.rows.good)} good answers and {count(case.rows.bad)} bad ones"
    other = "what counts more is learned first"
    draft.settle("training.method.good_weight", round(max(1.0, bad / good), 2), why, other)
    draft.settle("training.method.bad_weight", round(max(1.0, good / bad), 2), why, other)
