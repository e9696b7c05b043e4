"""How often a run is evaluated and kept."""

from __future__ import annotations

from studio.core.text import plural
from studio.planner import fitting
from studio.planner.case import Case
from studio.planner.draft import Draft
from studio.training.schedule import total_steps

TIMES = 10
"""How often a run is evaluated and kept, unless the spec says."""


def decide(draft: Draft, case: Case) -> None:
    """Settle how often the run is evaluated and kept, and which weights stay."""
    batch = fitting.batch_size(draft.spec, case)
    training = draft.spec.training
    steps = total_steps(max(1, len(case.rows)), batch, training.epochs, training.max_steps)
    every = training.eval_every or max(1, round(steps / TIMES))
    draft.settle(
        "training.eval_every",
        every,
        f"about {TIMES} times in {plural(steps, 'step')}",
        "each takes a pass over the held-out rows",
    )
    draft.settle(
        "training.save_every", every, "with each evaluation", "a killed run loses at most the steps since its last checkpoint"
    )
    if len(case.rows.held_out):
        draft.settle("training.keep", "best", "there are held-out rows to tell by", "last may be overtrained")
    else:
        draft.settle("training.keep", "last", "there are no held-out rows to tell by")
