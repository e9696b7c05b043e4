"""A metric of one's own on the answers that an artifact gave: they are kept, so nothing is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from studio.evaluation.report import Answered, Compared, ModelAnswer, Report
from studio.evaluation.tasks.own import NUMBER, SHARE, Own
from studio.export.verification.result import ConversionCost, Figure, Verification


def with_own(verification: Verification, report: Report, own: Own) -> Verification | None:
    """The verification with the metric on each set whose answers are kept; None where none is. Raises what it raises."""
    evidence = _measured(verification.evidence, report, own) if verification.evidence else None
    general = [_measured(cost, report, own) or cost for cost in verification.general]
    if evidence is None and general == verification.general:
        return None
    return replace(verification, evidence=evidence or verification.evidence, general=general)


def _measured(cost: ConversionCost, report: Report, own: Own) -> ConversionCost | None:
    part = report.set(cost.set)
    if part is None or not cost.answers or max(cost.indices, default=0) >= len(part.answers):
        return None
    rows = [part.answers[index] for index in cost.indices]
    if [row.tuned.text for row in rows] != cost.tuned_answers:
        return None  # of another evaluation

    def score(answers: Sequence[Answered]) -> Compared:
        return report.model_copy(update={"sets": [replace(part, answers=list(answers))]}).score(own.function, part.name)

    before = score(rows)
    now = zip(rows, cost.answers, strict=True)
    after = score([replace(row, base=row.tuned, tuned=ModelAnswer(text, 0, True, {})) for row, text in now])
    shares = all(0 <= side.value <= 1 for side in (before.base, before.tuned, after.tuned))
    figure = Figure(before.base.value, after.base.value, after.tuned.value, after.change)
    return replace(cost, metrics={**cost.metrics, f"{SHARE if shares else NUMBER}{own.name}": figure})
