"""What making rows writes: the rows with their provenance, what was dropped and why, the plan, the report."""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar, Literal

import orjson
from pydantic import BeforeValidator, Field

from studio.core.messages import ChatMessage, Tool
from studio.core.records import ErrorRecord, Record
from studio.core.text import count, plural
from studio.data.made_rows import MadeRows
from studio.processes.identity import ProcessId, process_of

_REMEDY = "Resume the job: answers that were paid for are in the cache, and the file is written again."


class PassageUse(Record):
    """A passage that was in the prompt a row comes from."""

    id: str
    sha256: str
    document: str
    page: int | None = None
    quote_start: int | None = None
    """Where the quote begins in the passage, in characters; None without a quote."""
    quote_end: int | None = None


class Provenance(Record):
    """Where a row comes from: enough to find the prompt, the answer and the sources again."""

    teacher: str
    """The model that was asked."""
    served: str
    """The model's name in its answer."""
    host: str
    recipe: str
    prompt: str
    """The prompt's name and version."""
    temperature: float
    seed: int | None
    passages: tuple[PassageUse, ...] = ()
    parent: str = ""
    """The id of the row it is a variant of."""
    cost: float = 0.0
    """US dollars, its share of the answer it came in."""
    answer: str = ""
    """The key of the answer in the cache."""
    filters: tuple[str, ...] = ()
    """The filters it passed, in order."""
    scores: dict[str, float] = Field(default_factory=dict)
    at: float = 0.0


class MadeRow(Record):
    """A row that was made: a conversation, or a preference pair, with its provenance."""

    label: ClassVar[str] = "made row"
    remedy: ClassVar[str] = _REMEDY

    messages: tuple[ChatMessage, ...]
    question: str
    """What it asks, without a passage around it."""
    answer: str
    rejected: str | None = None
    """The other answer of a preference pair."""
    tools: tuple[Tool, ...] = ()
    target: str = ""
    """What it is balanced by: its label or its tool."""
    held_out: bool = False
    refuses: bool = False
    quote: str = ""
    provenance: Provenance

    @property
    def id(self) -> str:
        """From its content."""
        return hashlib.sha256(orjson.dumps(self.values)).hexdigest()[:16]

    @property
    def kind(self) -> Literal["rows", "pairs"]:
        """Which dataset it goes to: no dataset holds both."""
        return "rows" if self.rejected is None else "pairs"

    @property
    def values(self) -> dict[str, object]:
        """The row as a line of a dataset."""
        if self.rejected is not None:
            other = {"role": "assistant", "content": self.rejected}
            return {"chosen": list(self.messages), "rejected": [*self.messages[:-1], other]}
        return {"messages": list(self.messages), **({"tools": list(self.tools)} if self.tools else {})}


class DroppedRow(Record):
    """A row, or a whole answer, that was not kept, and why."""

    recipe: str
    filter: str
    """`answer`, `parse`, `length`, `language`, `quote`, `repeat`, `near-duplicate`, `leak`, `judge`, `balance`."""
    reason: str
    score: float | None = None
    question: str = ""
    answer: str = ""
    held_out: bool = False
    source: str = ""
    """Where its passage stands."""
    cost: float = 0.0


class Example(Record):
    """A row beside a threshold, with its score."""

    score: float
    question: str
    answer: str = ""


class FilterFigures(Record):
    """What a filter did."""

    name: str
    entered: int
    dropped: int
    threshold: float | None = None
    below: tuple[Example, ...] = ()
    """Rows just on the worse side of the threshold, which were dropped."""
    above: tuple[Example, ...] = ()
    """Rows just on the better side."""


class RecipeFigures(Record):
    """What a recipe took and gave."""

    recipe: str
    calls: int = 0
    cached: int = 0
    made: int = 0
    """Rows that could be read from the answers."""
    kept: int = 0
    held_out: int = 0
    """Of the kept ones, those of held-out documents."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class MakingReport(Record):
    """`report.json`: the funnel from calls to rows, what it cost, and what was dropped."""

    label: ClassVar[str] = "making report"
    remedy: ClassVar[str] = _REMEDY

    complete: bool
    """False if it was stopped, or the ceiling was reached, before all was asked."""
    summary: MadeRows
    recipes: tuple[RecipeFigures, ...]
    filters: tuple[FilterFigures, ...]
    rows: int
    pairs: int
    held_out: int
    refusals: int
    dropped: int
    spent: float
    """US dollars that this job was billed, answers in the cache left out."""
    lost: float = 0.0
    """Of them, what is assumed for answers that never came."""
    cost_per_row: float | None = None
    targets: dict[str, int] = Field(default_factory=dict)
    """Rows by label or tool."""
    estimated_usage: int = 0
    """Answers whose tokens were reckoned, as the API counted none."""
    cautions: tuple[str, ...] = ()


class PlannedRecipe(Record):
    """What a recipe will take, as far as is known before."""

    recipe: str
    calls: int
    answered: int = 0
    """Of the requests, those whose answers are in the cache and cost nothing; the tokens are those of the others."""
    prompt_tokens: int
    completion_low: int
    completion_high: int
    rows: int
    """Rows it will make, before the filters."""


class Sample(Record):
    """A real answer that the plan asked for: what it was asked, and the rows in it."""

    recipe: str
    source: str = ""
    prompt: str
    rows: tuple[MadeRow, ...] = ()
    problem: str = ""


class MakingPlan(Record):
    """`plan.json`: calls, tokens and cost of a job, with a few real samples."""

    label: ClassVar[str] = "making plan"
    remedy: ClassVar[str] = "Plan again."

    recipes: tuple[PlannedRecipe, ...]
    price: str
    cost_low: float
    cost_high: float
    documents: tuple[str, ...]
    held_out_documents: tuple[str, ...]
    passages: int
    held_out_passages: int
    samples: tuple[Sample, ...] = ()
    samples_cost: float = 0.0
    cautions: tuple[str, ...] = ()
    approved: bool = False

    @property
    def calls(self) -> int:
        """Requests in all."""
        return sum(item.calls for item in self.recipes)

    @property
    def answered(self) -> int:
        """Requests whose answers were in the cache before the samples were requested."""
        return sum(item.answered for item in self.recipes)

    @property
    def answered_sentence(self) -> str:
        """How many of the requests are answered already; empty if none is."""
        if not self.answered:
            return ""
        are = "is" if self.answered == 1 else "are"
        return f"{count(self.answered)} of {plural(self.calls, 'request')} {are} answered already and cost nothing."


JobState = Literal["planned", "running", "paused", "ceiling", "done", "failed", "interrupted"]


class JobStatus(Record):
    """`status.json`: how far a job is."""

    label: ClassVar[str] = "making status"
    remedy: ClassVar[str] = _REMEDY

    state: JobState
    what: str = ""
    waiting: str = ""
    """Why the last request without an answer is tried again; empty once an answer has come."""
    done: int = 0
    total: int = 0
    """Requests, of all recipes; those that depend on rows still to be made are estimated."""
    spent: float = 0.0
    ceiling: float | None = None
    started: float | None = None
    ended: float | None = None
    seconds: float = 0.0
    """Time at work before this start."""
    process: Annotated[ProcessId | None, BeforeValidator(process_of)] = None
    process_started: float | None = None
    """When the present process began; `started` is the job's first beginning."""
    error: ErrorRecord | None = None
    dataset: str = ""
    """`dataset:NAME@1` once its rows are in the library."""
    held_out_dataset: str = ""
    pairs_dataset: str = ""
