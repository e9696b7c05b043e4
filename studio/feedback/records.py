"""What feedback is kept as: an answer with its conversation, and what a person said of it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from studio.core.errors import DataError
from studio.core.messages import ChatMessage, Tool
from studio.core.records import Record

Origin: TypeAlias = Literal["chat", "evidence", "served"]
Rating: TypeAlias = Literal["good", "bad"]
SETTINGS = "feedback.json"
LONGEST = 20_000
"""Characters of a correction or a note."""


class Collecting(Record):
    """`feedback.json`: whether answers of Chat and Evidence can be rated. A server collects only what `--collect` says."""

    label: ClassVar[str] = "feedback settings"
    remedy: ClassVar[str] = "Delete the file; collecting is then off."

    pages: bool = False
    since: float = 0.0
    by: str = ""


class Opinion(Record):
    """What a person says of an answer. None leaves what was said before; an empty text takes it back."""

    rating: Rating | Literal[""] | None = None
    correction: str | None = None
    """What the answer should have been."""
    flag: str | None = None
    """Why somebody should look at it, e.g. "invented a price"."""

    def checked(self) -> Opinion:
        """Itself, texts trimmed. Raises DataError if it says nothing, or at too great a length."""
        if self.rating is None and self.correction is None and self.flag is None:
            raise DataError("this says nothing of the answer", hint="Give a rating, a correction or a flag.", where="feedback")
        for name, text in (("correction", self.correction), ("flag", self.flag)):
            if text is not None and len(text) > LONGEST:
                raise DataError(f"the {name} has {len(text):,} characters", hint=f"At most {LONGEST:,}.", where=name)
        trimmed = {
            name: text.strip() for name, text in (("correction", self.correction), ("flag", self.flag)) if text is not None
        }
        return self.model_copy(update=trimmed)


class CollectedAnswer(Record):
    """An answer, the conversation before it, and what people said of it. Personal data is masked before it is written."""

    label: ClassVar[str] = "collected answer"

    key: str
    """What names it where it was given: the API's id of a served answer, else a digest of its content."""
    origin: Origin
    model: str
    """The name under which it answered."""
    messages: tuple[ChatMessage, ...]
    """The conversation before it, the system prompt included; passages of an index are not in it."""
    answer: ChatMessage
    """The answer as a message of the assistant."""
    tools: tuple[Tool, ...] = ()
    run: str = ""
    """The run that answered; empty for a model that no run trained."""
    side: Literal["base", "tuned", ""] = ""
    index: str = ""
    """The index whose passages were put before the question."""
    held_out: bool = False
    """Whether the question is a held-out row of the run: no row for training is made of it."""
    masked: tuple[str, ...] = ()
    """Kinds of personal data that were masked."""
    at: float = 0.0
    rating: Rating | Literal[""] = ""
    correction: str = ""
    flag: str = ""
    by: str = ""
    """Who said so; empty for a client of the API."""
    rated_at: float = 0.0
    datasets: dict[str, str] = Field(default_factory=dict)
    """The dataset that rows, labels or pairs of it were last put into, by which of them."""
    number: int = 0
    """Given by the store, never twice."""

    @property
    def rated(self) -> bool:
        """Whether somebody said anything of it."""
        return bool(self.rating or self.correction or self.flag)

    @property
    def text(self) -> str:
        """The answer's words."""
        return str(self.answer.get("content") or "")

    @property
    def question(self) -> str:
        """The last message before it."""
        return str(self.messages[-1].get("content") or "") if self.messages else ""

    def with_opinion(self, opinion: Opinion, by: str, at: float) -> CollectedAnswer:
        """The same with what a person says of it; a correction that says what the answer says is none."""
        said = {name: value for name, value in opinion.model_dump(mode="json").items() if value is not None}
        if said.get("correction", "").strip() == self.text.strip():
            said.pop("correction", None)
        return self.model_copy(update={**said, "by": by, "rated_at": at})


def collecting(home: Path) -> Collecting:
    """Whether the pages of a home collect. Raises RecordError for a damaged file."""
    file = home / SETTINGS
    return Collecting.read(file) if file.exists() else Collecting()
