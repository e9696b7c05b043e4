"""Use case of savings: what each smaller form of a run costs in quality, from records alone; nothing is measured again.

Exports were asked the run's own held-out questions when they were verified; a pruned and healed model, or a smaller one tuned
alike, answered the same questions in its own evidence. All are compared row by row with the run itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from studio.app import benchmark_results, exports, runs
from studio.app.runs import Run
from studio.core.errors import JobError, StudioError
from studio.core.files import studio_home
from studio.core.text import plural, size
from studio.evaluation import parent
from studio.evaluation.interval import Estimate
from studio.evaluation.metrics import METRICS
from studio.evaluation.report import SetReport
from studio.models import dims, loading, pruning
from studio.models.settings import Model

SpeedFrom = Literal["bench", "evaluation", ""]


@dataclass(frozen=True)
class Saving:
    """One form of a run: its size, its speed, its score on the run's questions, and the paired change against the run."""

    what: str
    run: str
    bytes: int | None
    score: float
    rows: int
    change: Estimate | None
    """None for the run itself."""
    tokens_per_second: float | None = None
    speed_from: SpeedFrom = ""
    """bench: one request at a time, as served; evaluation: many at once, with the adapter beside the base."""


@dataclass(frozen=True)
class Savings:
    """All forms of a run, itself first."""

    run: str
    metric: str
    """The name of the metric its verdict reads."""
    rows: tuple[Saving, ...]

    @property
    def label(self) -> str:
        """The metric in words."""
        return METRICS[self.metric].label

    def as_json(self) -> dict[str, object]:
        """As plain values."""
        return asdict(self)


def savings(run: Run, others: Sequence[Run] = (), home: Path | None = None) -> Savings:
    """What each smaller form of `run` costs: its exports, what was pruned from it, and `others`, such as a smaller model tuned
    on the same data. Raises JobError for a run without evidence, or another that answered none of its questions."""
    main = _held_out(run)
    if main is None:
        raise JobError("this run has no evidence to compare with", hint="Evaluate it: studio eval RUN.", where=run.id)
    found = main.metrics[main.headline].tuned
    speeds = _speeds(home)
    rows = [
        Saving("the run: base + adapter", run.id, _bytes(run), found.value, found.rows, None, *_speed(run, speeds)),
        *_exports(run, main.headline, speeds),
    ]
    children = [other for other in runs.list_runs(home) if _pruned_from(other, run) and other.id != run.id]
    for other in {each.id: each for each in (*others, *children)}.values():
        row = _other(other, main, speeds)
        if row is None and other in others:
            raise JobError(
                f"this run has answers to none of the held-out questions of {run.id}",
                hint="Train it on the same data with the same data.holdout and seed.",
                where=other.id,
            )
        rows += [row] if row else []
    return Savings(run.id, main.headline, tuple(rows))


def _held_out(run: Run) -> SetReport | None:
    from studio.evaluation.report import HELD_OUT

    found = run.report.set(HELD_OUT) if run.folder.report.exists() else None
    return found if found and found.answers else None


def _exports(run: Run, headline: str, speeds: dict[str, float]) -> Iterator[Saving]:
    for item in exports.list_exports(run):
        cost = item.artifact.verification.evidence
        if cost is None or headline not in cost.metrics:
            continue
        figure = cost.metrics[headline]
        speed = speeds.get(f"{run.id}:{item.artifact.folder}")
        yield Saving(
            item.artifact.folder,
            run.id,
            item.artifact.bytes,
            figure.artifact,
            cost.rows,
            figure.change,
            speed,
            "bench" if speed else "",
        )


def _other(other: Run, main: SetReport, speeds: dict[str, float]) -> Saving | None:
    theirs = _held_out(other)
    rows = parent.paired(main.answers, theirs.answers) if theirs else []
    if not rows:
        return None
    found = parent.compared(main.headline, rows, 1000, 0)
    pruned = _record(other)
    what = f"−{plural(len(pruned.dropped), 'layer')}, healed" if pruned else f"{other.spec.name}: {other.spec.model.name}"
    return Saving(what, other.id, _bytes(other), found.tuned.value, len(rows), found.change, *_speed(other, speeds))


def _record(run: Run) -> pruning.PrunedModel | None:
    try:
        return pruning.record_of(Path(run.spec.model.name))
    except (StudioError, OSError):
        return None


def _pruned_from(other: Run, run: Run) -> bool:
    record = _record(other)
    return record is not None and record.parent == run.id


def _bytes(run: Run) -> int | None:
    """The base's weights as the run held them, in 16 or 32 bit or quantised, without the adapter's few megabytes."""
    from studio.hardware.memory import weight_bytes

    model = run.spec.model
    try:
        counted = dims.model_dims(loading.find(Model(name=model.name, revision=model.revision), planning=True).config)
    except StudioError:
        return None
    return weight_bytes(counted, model.quantization or "none", model.double_quantization, model.dtype or "bf16")


def _speeds(home: Path | None) -> dict[str, float]:
    """Tokens a second, one request at a time, of everything that was benchmarked, by name; the newest result counts."""
    found: dict[str, float] = {}
    for result in reversed(benchmark_results.results(studio_home(home))):
        for item in result.items:
            alone = next((level for level in item.levels if level.concurrency == 1), None)
            if alone is not None:
                found[item.name] = alone.tokens_per_second.median
    return found


def _speed(run: Run, speeds: dict[str, float]) -> tuple[float | None, SpeedFrom]:
    if run.id in speeds:
        return speeds[run.id], "bench"
    measured = run.report.speed.get("tuned") if run.folder.report.exists() else None
    return (measured.tokens_per_second, "evaluation") if measured else (None, "")


COLUMNS = ("what", "size", "tokens/s", "score", "change (95 % interval)", "rows")


def table(savings: Savings) -> list[tuple[str, ...]]:
    """The rows as words, under `COLUMNS`; a star marks a speed that was taken in the evaluation."""
    metric = METRICS[savings.metric]
    rows: list[tuple[str, ...]] = []
    for row in savings.rows:
        pace = f"{row.tokens_per_second:,.0f}{'' if row.speed_from == 'bench' else ' *'}" if row.tokens_per_second else "–"
        change = (
            f"{metric.show_change(row.change.value)} ({metric.show_interval(row.change, change=True)})" if row.change else ""
        )
        rows.append((row.what, size(row.bytes) if row.bytes else "–", pace, metric.show(row.score), change, str(row.rows)))
    return rows
