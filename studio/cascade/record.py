"""What is kept of a cascade, in `cascades/<id>/` of the home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from studio.cascade.asking import LargeRow
from studio.cascade.calibration import Calibration, Row
from studio.cascade.curve import Curve, Point
from studio.cascade.questions import Right
from studio.core.errors import JobError
from studio.core.plain import object_or_empty
from studio.core.records import Record
from studio.remote.endpoint import Endpoint


class Cascade(Record):
    """A small model, a large one, and where the line between them is; `cascade.json`."""

    label: ClassVar[str] = "cascade"
    remedy: ClassVar[str] = "Calibrate again: studio cascade calibrate."

    id: str
    created: float
    """Seconds since 1970."""
    small: str
    """A run, an export or a model, as `studio serve` takes it."""
    large: Endpoint
    max_tokens: int
    """Longest answer of either."""
    right: Right
    calibration: Calibration
    warnings: tuple[str, ...] = ()


class CostlyError(Record):
    """A question that was answered locally and wrong."""

    question: str
    reference: str
    answer: str
    confidence: float
    kind: str


class CascadeReport(Record):
    """The cascade on questions that nothing of it was made from; `report.json`."""

    label: ClassVar[str] = "cascade report"
    remedy: ClassVar[str] = "Make it again: studio cascade report."

    rows: int
    kinds: dict[str, int]
    local: tuple[float, float, float]
    """Share of questions answered locally, with its exact 95 % interval."""
    local_wrong: tuple[float, float, float]
    """Share of all questions answered locally and wrong, with its exact 95 % interval."""
    held: bool
    """The share of local and wrong answers is within the promise."""
    at_target: Point
    small: Point
    large: Point
    curves: tuple[Curve, ...]
    """Of the cascade, the ideal and a random router, and one that sees the question only."""
    reliability: tuple[tuple[float, float, int], ...]
    error: float
    """Calibration error of the confidence on these rows."""
    errors: tuple[CostlyError, ...]
    """Local and wrong, the surest first, at most ten."""
    saved: float
    """US dollars per 1,000 questions less than the large model alone."""
    warnings: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class CascadeFolder:
    """A cascade's folder and the names in it."""

    path: Path

    record = property(lambda self: self.path / "cascade.json", doc="The cascade.")
    rows = property(lambda self: self.path / "calibration.jsonl", doc="The calibration rows as the small model answered them.")
    report = property(lambda self: self.path / "report.json", doc="The cascade on rows it never saw.")
    page = property(lambda self: self.path / "report.html", doc="The report as a page.")
    tested = property(lambda self: self.path / "test.jsonl", doc="The rows of the report, both models' answers.")
    ledger = property(lambda self: self.path / "ledger.sqlite", doc="What the large model cost since it is served.")

    def read(self) -> Cascade:
        """The cascade. Raises JobError where there is none, RecordError for a damaged file."""
        try:
            return Cascade.read(self.record)
        except FileNotFoundError:
            raise JobError("there is no such cascade", hint="List them: studio cascade list.", where=self.path.name) from None

    def read_rows(self) -> list[Row]:
        """The calibration rows."""
        return _lines(self.rows, Row)

    def read_tested(self) -> list[tuple[Row, LargeRow]]:
        """The rows of the report, if it was made."""
        from studio.core.files import read_json_lines

        both, where = map(object_or_empty, read_json_lines(self.tested)), str(self.tested)
        return [(Row.from_json(item.get("small"), where), LargeRow.from_json(item.get("large"), where)) for item in both]


def _lines(file: Path, kind: type[Row]) -> list[Row]:
    from studio.core.files import read_json_lines

    return [kind.from_json(item, str(file)) for item in read_json_lines(file)]
