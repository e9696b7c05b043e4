"""What is compared, as a YAML file says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    questions: Annotated[str, Field(min_length=1)]
    """JSONL of held-out questions: `question`, `answer`, and where known `passages`, `quote` or `document`. A row with
    `answerable: false` has no answer in the documents, and is to be refused."""
    large: Endpoint | None = None
    """A large model behind an API."""
    large_with_passages: bool = True
    """The large model is also asked with passages."""
    ceiling: Annotated[float | None, Field(gt=0)] = None
    """US dollars that the large model's answers may cost at most."""
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


def load(path: Path) -> Comparison:
    """The comparison in a YAML file. Raises SpecError."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as problem:
        raise SpecError(f"it cannot be read: {problem.strerror}", hint="Name a YAML file.", where=str(path)) from None
    except yaml.YAMLError as problem:
        raise SpecError(f"it is not YAML: {problem}", hint="Correct it in an editor.", where=str(path)) from None
    if not isinstance(values, dict):
        raise SpecError("the file contains no settings", hint="Write at least `questions: FILE`.", where=str(path))
    return Comparison(**values)
