"""The `tracking` section: where metrics go besides the run folder, which always has them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.core.section import Section

PROJECT = "studio"
"""The project of runs that name none."""


class Tracking(Section, frozen=True):
    """Weights & Biases, Trackio."""

    wandb: Literal["auto", "online", "offline", "off"] = Field(default="auto", title="Weights & Biases")
    """auto: online if a key is found in the environment or keyring, else offline. It never blocks or fails a run."""
    trackio: Annotated[Literal["on", "off"], Ui(advanced=True)] = Field(default="off", title="Trackio")
    """on: also kept by Trackio, on this disk or on the server that TRACKIO_SERVER_URL names. Needs the extra `trackio`."""
    project: Annotated[str | None, Ui(advanced=True)] = Field(default=None, min_length=1, title="Project")
    """The project runs are listed under. Empty: WANDB_PROJECT, if it is set, else `studio`."""
    entity: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="W&B entity")
    """User or team. Empty: WANDB_ENTITY, if it is set, else your default."""
    tags: Annotated[list[str], Ui(advanced=True)] = Field(default_factory=list, title="Tags")
    """Labels to find the run by. Empty: those of WANDB_TAGS, separated by commas."""
    note: Annotated[str, Ui(advanced=True)] = Field(default="", title="Note")
    """What this run is for, in your words."""
    group: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="Group")
    """Runs of one group are shown together. Empty: WANDB_RUN_GROUP, if it is set."""
    job_type: Annotated[str | None, Ui(advanced=True)] = Field(default=None, min_length=1, title="Job type")
    """What kind of run it is within its group. Empty: WANDB_JOB_TYPE, if it is set, else `train`."""
    include: Annotated[list[Literal["git", "paths", "checkpoints"]], Ui(advanced=True)] = Field(
        default_factory=list, title="Send as well"
    )
    """git: the commit of the folder you started from. paths: full file names. checkpoints: each checkpoint, as an artifact.
    None of them is sent unless it is named here."""
