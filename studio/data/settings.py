"""The `data` section: where rows come from, how they are read, and what becomes of those that do not fit."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from typing_extensions import TypedDict

from studio.core.fields import Ui
from studio.core.plain import is_object, object_or_empty
from studio.core.section import DECIDED, Section
from studio.data import in_memory
from studio.data.context import Role, Turns
from studio.data.reasoning import Reasoning
from studio.data.verifiers import VERIFIERS, AnyVerifier

FormatName = Literal[
    "preference", "messages", "sharegpt", "templated", "alpaca", "prompt_completion", "question_answer", "text"
]

VERIFIER_HELP = (
    "How an answer to these rows is scored from 0 to 1: the reward of `grpo`, and a figure of the evidence after any run. "
    + "; ".join(f"{name}: {kind.summary}" for name, kind in VERIFIERS.items())
    + ". Empty: none, but for `grpo`, where the plan decides by the rows' answers."
)
PLAIN = {"plain": True}
"""The validation context of a spec that was written down: rows are then named by a file, never part of the spec."""


def rows_from_python(section: str) -> BeforeValidator:
    """Marks a setting that names files: in Python it also takes rows in memory, which become a file once.

    In a spec that was written down, rows are a mistake that pydantic names. section: of the setting, for errors.
    """

    def check(value: object, info: ValidationInfo) -> Any:
        if object_or_empty(info.context).get("plain") or isinstance(value, int | float):
            return value
        return in_memory.as_sources(value, f"{section}.{info.field_name}")

    return BeforeValidator(check)


class ReadAs(TypedDict, total=False):
    """How a dataset is read: fields of the data section that were confirmed for it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    format: FormatName
    columns: dict[str, str]
    roles: dict[str, Role]
    turns: Turns
    message_order: Literal["day_first", "month_first", "as_written", "newest_first"]
    header_row: int
    sheet: str
    system: str
    train_on: Literal["assistant", "last_assistant", "all"]
    reasoning: Reasoning


class Data(Section, frozen=True):
    """The training data."""

    train: Annotated[str | list[str], rows_from_python("data")] = Field(title="Training files")
    """One file or several (.json .jsonl .csv .tsv .parquet .arrow .xlsx .txt .md .docx .html, also compressed or zipped), a
    folder, a pattern such as `chats/*.jsonl`, `hub:owner/name`, or a dataset of the library, `dataset:NAME@3`."""
    holdout: Annotated[float | str, rows_from_python("data")] = Field(default=0.1, title="Held-out rows")
    """Rows never trained on, for the evidence: a share such as 0.1, or a file of its own."""
    format: FormatName | None = Field(default=None, title="Format")
    """The layout of a row. Empty: detected, and the run stops to ask when the answer is not clear."""
    columns: Annotated[dict[str, str], Ui(advanced=True)] = Field(default_factory=dict, title="Columns")
    """Which column plays which role, e.g. `{question: Frage, answer: Antwort}`; a path such as `answers.text.0` reaches into
    objects and lists. Needed only where detection asks."""
    roles: Annotated[dict[str, Role], Ui(advanced=True)] = Field(default_factory=dict, title="Speakers")
    """Names of speakers in conversations and their roles, e.g. `{Anna: assistant, "*": user}`; `*` is everybody else.
    Common names are known."""
    turns: Annotated[Turns, Ui(advanced=True)] = Field(default="strict", title="Order of turns")
    """strict: user and assistant take turns, the user first; join: neighbouring turns of one speaker become one, and a
    greeting may come first; keep: turns stay as they are, in any order that the model's template takes."""
    message_order: Annotated[Literal["day_first", "month_first", "as_written", "newest_first"] | None, Ui(advanced=True)] = (
        Field(default=None, title="Order of messages")
    )
    """Of a table with one message a row. day_first, month_first: by their dates, which are written so; as_written: the oldest
    message of a conversation stands first; newest_first: the newest does. Empty: by their times, and the run stops to ask where
    these are not clear."""
    system: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="System prompt")
    """Put before every conversation that has none of its own."""
    rows_per: Annotated[Literal["conversation", "answer"], Ui(advanced=True)] = Field(
        default="conversation", title="A row for each"
    )
    """conversation: all its answers are learned from one row; answer: each becomes a row with what came before it, for models
    whose template writes the reasoning of the last answer only (Qwen3, R1)."""
    reasoning: Annotated[Reasoning, Ui(advanced=True)] = Field(default="keep", title="Reasoning of answers")
    """keep: where the rows have it, beside an answer (`reasoning_content`, a column `reasoning`) or within it; within: in front
    of the answer between `<think>` and `</think>`, for models whose template has no place for it; drop: answers alone."""
    subset: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="Hub subset")
    """Configuration name of a hub dataset. Empty: its default."""
    split: Annotated[str, Ui(advanced=True)] = Field(default="train", title="Hub split")
    """Which split of a hub dataset to read."""
    sheet: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="Sheet")
    """Which sheet of a workbook to read. Empty: the first with a table in it."""
    header_row: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, title="Row of column names")
    """The line of a table, or row of a sheet, that names the columns. Empty: the first with content."""
    encoding: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="Text encoding")
    """E.g. `utf-8` or `cp1252`. Empty: detected."""
    train_on: Literal["assistant", "last_assistant", "all"] = Field(default="assistant", title="Train on")
    """Which tokens are learned: every assistant turn, the last one only, or all tokens."""
    replay: Annotated[float | None, Ui(step=0.05)] = Field(default=None, ge=0, le=1, title="Replay of general rows")
    """General conversations that are mixed into training, so that the model keeps what it knew: how many, as a share of the
    training rows; 0: none. Empty: the plan decides."""
    replay_from: Annotated[str, Ui(advanced=True)] = Field(default="builtin", min_length=1, title="Replayed rows")
    """Where they come from: `builtin`, which are shipped with the studio, or a file of your own."""
    max_length: int | None = Field(default=None, ge=16, le=1_048_576, title="Longest row (tokens)")
    """Rows longer than this are over-long. Empty: the longest row, as far as model and memory allow."""
    overlong: Literal["drop", "truncate", "split", "error"] | None = Field(default=None, title="Over-long rows")
    """drop: leave them out and count them; truncate: shorten the beginning, never an answer's end; split: plain text becomes
    several rows, and others are left out; error: stop. Empty: `split` for the method `text`, else `drop`."""
    max_rejected: Annotated[float, Ui(advanced=True, step=0.01)] = Field(
        default=0.05, ge=0, le=1, title="Rejected share allowed"
    )
    """The run stops if a larger share of rows than this cannot be used."""
    verifier: AnyVerifier | None = Field(default=None, title="Verifier", description=VERIFIER_HELP)
    control: AnyVerifier | None = Field(default=None, title="Control score")
    """A second verifier that is measured and never rewarded: where the reward rises and this falls, the model learned to
    please the rule. Empty: likeness to the rows' answers, where there is a verifier."""
    regions: Annotated[list[str], Ui(advanced=True)] = Field(default_factory=list, title="Countries of personal data")
    """Two-letter codes such as `DE`: countries whose phone numbers and national identity numbers the checks look for."""
    limit: Annotated[int | None, Ui(advanced=True)] = Field(default=None, ge=1, title="Use at most")
    """Read only the first so many rows, for a quick try. Empty: all."""
    _of_held_out: Data | None = PrivateAttr(default=None)

    @property
    def of_held_out(self) -> Data:
        """The settings that read the held-out file: these, unless it has settings of its own."""
        return self._of_held_out or self

    def with_held_out(self, settings: Data) -> Self:
        """The same settings for the training files, and others for the held-out file."""
        changed = self.model_copy()
        BaseModel.__setattr__(changed, "_of_held_out", settings)  # a copy that nobody has seen yet
        return changed

    @field_validator("regions")
    @classmethod
    def _are_codes(cls, regions: list[str]) -> list[str]:
        codes = [region.strip().upper() for region in regions]
        for code in codes:
            if len(code) != 2 or not code.isascii() or not code.isalpha():
                raise ValueError(f"expected a two-letter country code such as DE, got {code!r}")
        return codes

    @property
    def files(self) -> tuple[str, ...]:
        """The training files as a tuple, also when one was given."""
        return (self.train,) if isinstance(self.train, str) else tuple(self.train)


class ResolvedData(Data, frozen=True):
    """The data with nothing left to the plan."""

    replay: float = DECIDED
    overlong: Literal["drop", "truncate", "split", "error"] = DECIDED

    @model_validator(mode="before")
    @classmethod
    def _recorded_before_replay(cls, values: object, info: ValidationInfo) -> Any:
        """A run that was planned before there was replay had none, and left over-long rows out unless it said otherwise."""
        if is_object(values) and "replay" not in values and object_or_empty(info.context).get("recorded"):
            return {"overlong": "drop", **values, "replay": 0.0}
        return values

    max_length: int = DECIDED
