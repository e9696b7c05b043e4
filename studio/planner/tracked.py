"""Where a run is listed: what the spec leaves open is taken from W&B's own variables, once.

It is decided with the plan, so that a run that is resumed elsewhere goes on in the same project.
"""

from __future__ import annotations

import os

from studio.planner.draft import Draft

VARIABLES = {
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "tags": "WANDB_TAGS",
}
"""The fields of `tracking` that a variable fills."""


def decide(draft: Draft) -> None:
    """Fill the open fields of `tracking` from the environment."""
    tracking = draft.spec.tracking
    if tracking.wandb == "off" and tracking.trackio == "off":
        return
    for field, variable in VARIABLES.items():
        value: str | list[str] = os.environ.get(variable, "").strip()
        if field == "tags":
            value = [tag for part in value.split(",") if (tag := part.strip())]
        if value:
            draft.settle(f"tracking.{field}", value, f"{variable} is set")
