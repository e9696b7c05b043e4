"""What is compared, as a YAML file says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from studio.core.errors import SpecError
from studio.core.section import Section
from studio.remote.endpoint import Endpoint


class Comparison(Section, frozen=True):
    """Base, tuned, retrieval, both, and a large model by API, on the same questions."""

    run: Annotated[str, Field(min_length=1)] = "last"
    """The run whose base and tuned model are compared; or a model, which then stands alone."""
    index: str | None = None
    """The index that passages come from. Empty: nothing is answered from passages."""
    questions: str = ""
    """Held-out questions: JSONL, or `dataset:NAME` of the library. A row has `question`, `answer`, and where known
    `passages`, `quote` or `document`; with `answerable: false` it has no answer in the documents, and is to be refused.
    Empty: the run's own held-out rows."""
    large: Endpoint | None = None
    """A large model behind an API."""
    large_with_passages: bool = True
    """The large model is also asked with passages."""
    ceiling: Annotated[float | None, Field(gt=0)] = None
    """US dollars that the large model's answers may cost at most."""
    quality: Literal["auto", "exact_match", "normalised_match", "contains_reference", "token_f1", "rouge_l"] = "auto"
    """The metric of an answer. auto: for references of up to 12 words whether the answer contains the reference (but for case,
    punctuation and articles), so that a model that answers in a sentence is not wrong for that; else token F1."""
    most_questions: Annotated[int, Field(ge=2)] = 100
    """Questions that are asked; the first of the file."""
    passages: Annotated[int, Field(ge=1, le=20)] = 4
    """Passages in a prompt."""
    max_tokens: Annotated[int, Field(ge=1)] = 200
    """Longest answer, in tokens."""
    volume: Annotated[float, Field(gt=0)] = 10_000
    """Questions a month that costs are reckoned for."""
    server: Annotated[float, Field(ge=0)] = 0.0
    """US dollars a month that a machine of one's own costs, whatever it answers."""

    def as_yaml(self) -> str:
        """As YAML, without what nobody chose."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)


def load(path: Path) -> Comparison:
    """The comparison in a YAML file. Raises SpecError."""
    try:
        return parse(path.read_text("utf-8"), str(path))
    except OSError as problem:
        raise SpecError(f"it cannot be read: {problem.strerror}", hint="Name a YAML file.", where=str(path)) from None


def parse(text: str, where: str) -> Comparison:
    """The comparison that a YAML text describes. Raises SpecError."""
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as problem:
        raise SpecError(f"it is not YAML: {problem}", hint="Correct it in an editor.", where=where) from None
    if not isinstance(values, dict):
        raise SpecError("the file contains no settings", hint="Write at least `run: RUN`.", where=where)
    return Comparison(**values)
