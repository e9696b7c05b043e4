"""Where rows come from that a model wrote: kept with a dataset's versions, in a run's lock, in the model card."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from studio.core.records import Record
from studio.core.text import plural


class Teacher(Record):
    """A model that wrote rows, and on what terms."""

    host: str
    model: str
    served: tuple[str, ...] = ()
    """The names in its answers."""
    price: str = ""
    terms: str = ""
    """What its terms of use say about training on its answers, as the user noted it."""


class MadeRows(Record):
    """In short where the rows of a dataset come from."""

    label: ClassVar[str] = "origin of made rows"

    job: str
    teacher: Teacher
    recipes: dict[str, int] = Field(default_factory=dict)
    """Rows by recipe: in a job's report those that were kept, in a dataset's version those that it holds."""
    prompts: tuple[str, ...] = ()
    """Names and versions of the prompts."""
    documents: tuple[str, ...] = ()
    held_out_documents: tuple[str, ...] = ()
    """Documents that no training row was made from."""
    passages: int = 0
    """Passages that the rows were made from."""
    filters: tuple[str, ...] = ()
    """The filters that the rows passed, with their thresholds, e.g. `near-duplicate 0.7`."""
    cost: float = 0.0
    """US dollars, the dropped rows included."""
    at: float = 0.0

    @property
    def sentence(self) -> str:
        """In a sentence, for reports and model cards."""
        served = f" (served as {', '.join(self.teacher.served)})" if self.teacher.served else ""
        used, apart = len(self.documents) - len(self.held_out_documents), len(self.held_out_documents)
        passages = f"{plural(self.passages, 'passage')} of " if self.passages else ""
        sources = f" from {passages}{plural(used, 'document')}" if self.documents else ""
        held_out = f"; {plural(apart, 'whole document')} {'was' if apart == 1 else 'were'} held out" if apart else ""
        return f"Rows were written by {self.teacher.model} at {self.teacher.host}{served}{sources}{held_out}."

    @property
    def terms_sentence(self) -> str:
        """What they cost, by which prompts they were made, which filters they passed, and the teacher's terms."""
        prompts = f" Prompts: {', '.join(self.prompts)}." if self.prompts else ""
        filters = f" Filters passed: {', '.join(self.filters)}." if self.filters else ""
        return f"Cost: {self.cost:.4f} dollars.{prompts}{filters} The teacher's terms: {self.teacher.terms or 'not noted'}"
