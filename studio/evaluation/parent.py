"""A model made from others against those: a pruned and healed one, or merged adapters; from the runs' own records.

The runs held out the same rows and answered them greedily, so each row is compared with itself, and nothing is asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from studio.core.records import RecordError
from studio.core.text import plural
from studio.evaluation.figures import of_answers
from studio.evaluation.interval import Draws, Estimate, change, estimate
from studio.evaluation.metrics import METRICS, TEXT_METRICS
from studio.evaluation.report import HELD_OUT, Answered, Compared, Report, SetReport
from studio.evaluation.tasks.choose import TASKS
from studio.evaluation.verdict import change_of
from studio.models.pruning import PrunedModel

PARENT = "parent"


def paired(before: Sequence[Answered], after: Sequence[Answered]) -> list[Answered]:
    """Rows that both have, as one model's tuned answers (`base`) and the other's (`tuned`)."""
    others: dict[tuple[str, str], list[Answered]] = {}
    for row in reversed(before):
        others.setdefault((row.question, row.reference), []).append(row)
    found = []
    for row in after:
        same = others.get((row.question, row.reference))
        if same:
            found.append(replace(row, base=same.pop().tuned))
    return found


def compared(name: str, rows: Sequence[Answered], resamples: int, seed: int) -> Compared:
    """One figure on paired rows, with intervals."""
    references = [row.reference for row in rows]
    before, after = (of_answers(name, [getattr(row, side) for row in rows], references) for side in ("base", "tuned"))
    draws = Draws(len(rows), resamples, seed)
    return Compared(estimate(before, draws), estimate(after, draws), change(before, after, draws))


def against(parent: Report, report: Report) -> SetReport | None:
    """The held-out rows, the parent's answers before and the healed model's after; None where they share no answered row."""
    one, other = parent.set(HELD_OUT), report.set(HELD_OUT)
    rows = paired(one.answers, other.answers) if one and other else []
    return beside_set(other, rows, PARENT, report) if other else None


def beside_set(other: SetReport, rows: list[Answered], before: str, report: Report) -> SetReport | None:
    """The set `other` on paired rows, another model's answers before; None without rows, or where the first figure needs more
    than answers."""
    if not rows:
        return None
    names = [*TASKS[other.task].names, *TEXT_METRICS, "answer_tokens", "stop_rate"]
    metrics = {name: compared(name, rows, report.resamples, report.seed) for name in dict.fromkeys(names)}
    if other.headline not in metrics:
        return None
    return replace(
        other,
        name=f"{before}:{HELD_OUT}",
        before=before,
        rows=len(rows),
        answers=rows,
        metrics=metrics,
        best=[],
        worst=[],
        changed=[],
        left_out=[],
        confusion=None,
    )


def beside(report: Report, pruned: PrunedModel | None, runs: Path) -> Report:
    """The report of a run that heals a pruned model with a third side: the run of `runs` that the model was made from."""
    parent = _evidence(runs / pruned.parent, report) if pruned else None
    if pruned is None or parent is None:
        return report
    third = against(parent, report)
    if third is None:
        return report
    report.verdict.cautions.insert(0, healed(report, third, len(pruned.dropped)))
    return report.model_copy(update={"sets": [*report.sets, third]})


def _evidence(run: Path, report: Report) -> Report | None:
    """The report of another run. One that cannot be read costs no evidence: `report` says that its side is missing."""
    file = run / "evaluation" / "report.json"
    if not file.exists():
        return None
    try:
        return Report.read(file)
    except (RecordError, OSError) as error:
        report.verdict.cautions.append(f"not compared with {run.name}, whose report cannot be read: {error}")
        return None


def beside_merged(report: Report, parents: Sequence[str], runs: Path) -> Report:
    """The report of merged adapters with a side for each run of `runs` that one of them came from, on that run's own rows."""
    sides = []
    for name in dict.fromkeys(parents):
        alone = _evidence(runs / name, report)
        found = against(alone, report) if alone is not None else None
        if found is not None:
            sides.append(replace(found, name=f"{PARENT}:{name}"))
    if not sides:
        return report
    said = [report.verdict.text.rstrip("."), *(_merged(side) for side in sides)]
    lost = [side.name.removeprefix(f"{PARENT}:") for side in sides if METRICS[side.headline].lost(_figure(side).change)]
    caution = (
        f"merging made {' and '.join(lost)} clearly worse on its own rows: serve the adapters side by side by their names, "
        "try other weights or another method, or train one run on all rows"
    )
    verdict = replace(
        report.verdict, text="; ".join(said) + ".", cautions=[*([caution] if lost else []), *report.verdict.cautions]
    )
    return report.model_copy(update={"sets": [*report.sets, *sides], "verdict": verdict})


def _figure(side: SetReport) -> Compared:
    return side.metrics[side.headline]


def _merged(side: SetReport) -> str:
    """What one of the merged adapters could do on its own rows, and what the merged one does, in half a sentence."""
    metric, figure = METRICS[side.headline], _figure(side)
    judged = (
        "a clear loss" if metric.lost(figure.change)
        else "a clear gain" if metric.gained(figure.change)
        else "no clear difference"
    )  # fmt: skip
    moved = f"{metric.show(figure.base.value)} -> {metric.show(figure.tuned.value)}"
    alone = f"against {side.name.removeprefix(f'{PARENT}:')} alone {metric.label.lower()} {moved}"
    return f"{alone} ({change_of(side)}, {plural(side.rows, 'row')}: {judged})"


def healed(report: Report, beside: SetReport, dropped: int) -> str:
    """What leaving layers out cost, and how much of it healing won back, in a sentence without its full stop."""
    main = report.set(HELD_OUT)
    assert main is not None
    metric = METRICS[main.headline]
    found, whole = main.metrics[main.headline], beside.metrics[main.headline]
    before, cut, now = whole.base.value, found.base.value, found.tuned.value
    lost = abs(before - cut)
    told = f"without {plural(dropped, 'layer')} {metric.label.lower()} fell from {_shown(before)} to {_shown(cut)}"
    if metric.better == "lower" or lost < 1e-9:
        return f"{metric.label.lower()}: parent {_shown(before)}, pruned {_shown(cut)}, healed {_shown(now)}"
    share = (now - cut) / lost
    interval = _interval(whole.change)
    return f"{told}; healing recovered {100 * share:.0f} % of that, to {_shown(now)} (against the parent {interval})"


def _shown(value: float) -> str:
    return f"{100 * value:.0f} %" if 0 <= value <= 1 else f"{value:.3g}"


def _interval(estimate: Estimate) -> str:
    told = f"{100 * estimate.value:+.0f} points"
    return (
        told
        if estimate.low is None or estimate.high is None
        else f"{told}, {100 * estimate.low:+.0f} to {100 * estimate.high:+.0f}"
    )
