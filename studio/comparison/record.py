"""What a comparison found, figure by figure, and each answer that a figure rests on."""

from __future__ import annotations

from typing import ClassVar

from studio.core.records import Record
from studio.evaluation.interval import Estimate

_REMEDY = "Compare again: studio compare."


class Figure(Record):
    """A figure with its 95 % interval over `rows` answers."""

    value: float
    low: float | None
    high: float | None
    rows: int

    @classmethod
    def of(cls, estimate: Estimate) -> Figure:
        """The figure of an estimate."""
        return cls(value=estimate.value, low=estimate.low, high=estimate.high, rows=estimate.rows)


class AnswerRow(Record):
    """One answer of one way of answering; a line of `answers.jsonl`, which every figure can be counted from."""

    label: ClassVar[str] = "answer"
    remedy: ClassVar[str] = _REMEDY

    way: str
    question: int
    """Its index among the questions."""
    text: str
    answer: str
    reference: str
    answerable: bool
    quality: float
    """By the metric of the comparison, 0 to 1; of a question without an answer, 1 for a refusal and 0 for anything else."""
    refused: bool
    grounded: float | None
    """The share of its sentences that the passages bear out; None without passages, and for a refusal."""
    passages: tuple[str, ...] = ()
    """Ids of the passages in its prompt; their texts are in `passages.jsonl`."""
    gold: tuple[str, ...] = ()
    """Ids of the passages that hold its answer, where they are known."""
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    cost: float
    """US dollars."""
    error: str = ""
    """Why there is no answer; it counts as wrong."""


class ComparedSystem(Record):
    """One way of answering, e.g. tuned with retrieval."""

    name: str
    about: str
    quality: Figure
    answered: Figure | None
    """Quality over the questions that have an answer."""
    known: Figure | None = None
    """Quality over the questions whose passage is known."""
    refused_rightly: Figure | None
    """Share of the questions without an answer that it refused."""
    refused_wrongly: Figure | None
    """Share of the questions with an answer that it refused."""
    grounded: Figure | None
    change: Figure | None
    """Quality minus that of the base model, paired question by question; None for the base itself."""
    prompt_tokens: float
    answer_tokens: float
    p50: float
    p95: float
    per_thousand: float
    """US dollars for 1,000 answers: as an API bills them, or the machine's price over the volume."""
    per_month: float
    """US dollars a month at the volume asked for: the API's bill, or what the machine costs."""
    break_even: float | None
    """Questions a month from which a machine of one's own is cheaper than this API; None for one's own machine."""
    errors: int


class ComparisonRecord(Record):
    """`report.json`."""

    label: ClassVar[str] = "comparison"
    remedy: ClassVar[str] = _REMEDY

    id: str
    created: float
    run: str
    index: str
    index_content: str
    large: str
    questions: int
    unanswerable: int
    volume: float
    server: float
    metric: str = "token_f1"
    """What quality is, for a question that has an answer."""
    ways: tuple[ComparedSystem, ...]
    found_by_retrieval: Figure | None
    """Share of the questions whose passage is known and was among those in the prompt: more than this share retrieval cannot
    answer well."""
    remarks: tuple[str, ...] = ()
