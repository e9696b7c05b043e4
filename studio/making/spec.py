"""MakingSpec: what a job makes rows from, by which teacher and which recipes; read from YAML, a form or Python."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from studio.core.fields import Ui
from studio.core.section import Section
from studio.core.validation_errors import Conflict
from studio.data.near import SIMILAR
from studio.making.recipes import AnyRecipe
from studio.making.recipes.base import Style
from studio.remote.endpoint import Endpoint


class Filters(Section, frozen=True):
    """What a row must pass, the cheap tests first. Rows that do not are listed with the reason."""

    shortest_question: Annotated[int, Field(ge=1)] = 8
    """Characters."""
    longest_question: Annotated[int, Field(ge=1)] = 800
    """Characters, without the passage."""
    longest_answer: Annotated[int, Field(ge=1)] = 4000
    """Characters."""
    language: bool = True
    """Drop rows in another language than the passage or question they are made of, or than `language` if that is set."""
    similar: Annotated[float, Field(ge=0.5, le=1, title="Near-duplicate threshold")] = SIMILAR
    """Likeness of two questions from which the later one is dropped, if the answers agree; 1: only exact repeats."""
    judge: Annotated[float | None, Field(ge=1, le=5, title="Minimum judge score")] = None
    """1 to 5: the lowest of right, complete and grounded. Empty: no judge is asked, which costs a request a row."""


class MakingSpec(Section, frozen=True):
    """A job that makes rows."""

    version: Annotated[int, Ui(advanced=True)] = Field(default=1, ge=1, le=1, title="Layout version")
    """The version of this layout."""
    name: Annotated[str, Field(min_length=1, max_length=80)] = "made"
    """What the dataset is called."""
    teacher: Endpoint
    """The model that writes the rows."""
    terms: Annotated[str, Field(max_length=2000, title="The teacher's terms")] = ""
    """What the teacher's terms of use say about training on its answers. Some forbid it for models that compete, some want to
    be named: read them, and note it here. It goes into the dataset, the run and the model card."""
    documents: Annotated[list[str], Field(title="Documents")] = Field(default_factory=list)
    """Document collections: names of `studio documents list`."""
    questions: Annotated[str, Field(title="Your questions")] = ""
    """A file of your own questions: .txt with one a line, or .csv or .jsonl with a column `question`."""
    holdout: Annotated[float | list[str], Field(title="Held-out documents")] = 0.2
    """Whole documents that no training row is made from: a share, or their names. Rows from them become the held-out rows."""
    against: Annotated[list[str], Field(title="Other held-out files")] = Field(default_factory=list)
    """Data files or datasets whose questions no training row may repeat."""
    recipes: Annotated[list[AnyRecipe], Field(min_length=1)]
    """What is made, one after another; later recipes make variants of the rows of earlier ones."""
    student: Endpoint | None = None
    """Your own model, for preference pairs, e.g. behind `studio serve`."""
    judge: Endpoint | None = None
    """The model that scores rows. Empty: the teacher."""
    language: Annotated[str, Field(pattern=r"^([a-z]{2})?$")] = ""
    """Two letters, e.g. `de`. Empty: the documents' own."""
    audience: str = "a customer"
    """Who asks."""
    system: str = ""
    """System prompt of every row."""
    context: str = "{passage}\n\n{question}"
    """How a passage and a question on it make the prompt of a row."""
    filters: Filters = Field(default_factory=Filters)
    seed: int = 42
    """For the choice of held-out documents and the teacher's answers."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """Requests at once."""

    @model_validator(mode="after")
    def _recipes_have_what_they_need(self) -> MakingSpec:
        taken = {recipe.takes for recipe in self.recipes}
        if "passages" in taken and not self.documents:
            raise Conflict(
                "documents", "a recipe makes rows from passages, but no documents are set", "Name a document collection."
            )
        if "questions" in taken and not self.questions:
            raise Conflict("questions", "`answers` requires your own questions", "Name a file with one question per line.")
        if self.recipes[0].takes == "rows":
            raise Conflict(
                "recipes", f"`{self.recipes[0].name}` makes variants of rows and cannot be first", "Put `questions` before it."
            )
        if self.student is None and any(recipe.name == "preferences" for recipe in self.recipes):
            raise Conflict(
                "student", "`preferences` compares with your own model, but none is set", "Name its server: {url: …, model: …}."
            )
        for mark in ("{passage}", "{question}"):
            if self.context.count(mark) != 1:
                raise Conflict("context", f"expected {mark} exactly once", "Write for example {passage}\\n\\n{question}.")
        if isinstance(self.holdout, float | int) and not 0 <= self.holdout < 0.9:
            raise Conflict(
                "holdout",
                f"expected a share from 0 to below 0.9, got {self.holdout}",
                "Write for example 0.2, or a list of names.",
            )
        return self

    @property
    def style(self) -> Style:
        """What all rows have in common."""
        return Style(self.language, self.audience, self.system, self.context, self.seed)
