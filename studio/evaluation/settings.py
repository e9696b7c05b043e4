"""The `evaluation` section: what the evidence after a run is made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from studio.core.fields import Ui
from studio.core.section import DECIDED, Section
from studio.data.settings import rows_from_python
from studio.evaluation.judge.settings import Judge


def _as_list(value: object) -> Any:
    return [value] if isinstance(value, str) else value


class Evaluation(Section, frozen=True):
    """Base against tuned, after every run."""

    max_rows: int = Field(default=200, ge=1, le=100_000, title="Rows answered")
    """How many held-out rows are answered by base and tuned. The loss is measured on all of them."""
    max_new_tokens: Annotated[int | None, Ui(advanced=True)] = Field(
        default=None, ge=1, le=32_768, title="Longest answer (tokens)"
    )
    """Empty: half as long again as the longest reference answer, at most 1,024."""
    task: Annotated[Literal["auto", "text", "labels", "json", "tools", "numbers", "lists", "code"], Ui(advanced=True)] = Field(
        default="auto", title="Kind of answers"
    )
    """What the answers are, for figures that fit them. auto: as the held-out references show; the report says why."""
    folds: int = Field(default=0, ge=0, le=20, title="Folds of a cross-validation")
    """For small datasets, with data.holdout 0: so many further trainings, each on all rows but one part, which it then answers.
    Every row is evidence, and the tuned model is trained on all. 0: none."""
    judge: Judge = Field(default_factory=Judge)
    also: Annotated[list[str], BeforeValidator(_as_list), rows_from_python("evaluation"), Ui(advanced=True)] = Field(
        default_factory=list, title="Further question files"
    )
    """Scored and shown beside the held-out rows, never trained on."""
    general: Annotated[Literal["builtin", "off"] | str, rows_from_python("evaluation"), Ui(advanced=True)] = Field(
        default="builtin", title="Forgetting check"
    )
    """A small general question file, `builtin`, or `off`: does the tuned model still know what the base knew?"""
    while_training: Annotated[int, Ui(advanced=True)] = Field(default=0, ge=0, le=20, title="Questions asked while training")
    """So many held-out questions are answered at every evaluation during training, to see the answers change."""
    samples: Annotated[int, Ui(advanced=True)] = Field(default=10, ge=0, le=100, title="Samples shown")
    """How many best, worst and most changed answers the report shows."""
    resamples: Annotated[int, Ui(advanced=True)] = Field(default=1000, ge=100, le=100_000, title="Bootstrap resamples")
    """Resamples behind each 95 % interval (percentile bootstrap, Efron 1979)."""


class ResolvedEvaluation(Evaluation, frozen=True):
    """The evaluation with nothing left to the plan."""

    max_new_tokens: int = DECIDED
