"""Use case of evidence: evaluate a run again, perhaps on further questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.errors import JobError, SpecError
from studio.spec import edit

if TYPE_CHECKING:
    from studio.app.runs import Run
    from studio.evaluation.metric import Metric
    from studio.evaluation.report import Report
    from studio.evaluation.tasks.own import Own
    from studio.pipeline import Prepared


def evaluate(
    run: Run,
    also: list[str] | None = None,
    metrics: list[str] | None = None,
    on_progress: Callable[[float, float, str], None] | None = None,
) -> Report:
    """Base against tuned once more; the new report replaces the old one when it is whole.

    metrics: Python functions of your own, `FILE.py:FUNCTION` each. Their files are run. on_progress: called with done, total
    and what is done. Raises JobError and SpecError.
    """
    if not (run.folder.adapter / "adapter_config.json").exists():
        raise JobError(
            f"this run has no trained adapter (state: {run.status.state})", hint="Evaluate a run that is done.", where=run.id
        )
    from dataclasses import replace

    from studio import pipeline, worker
    from studio.app import gpu_use
    from studio.evaluation.tasks import own
    from studio.runs import mirror
    from studio.runs.event_reporter import EventReporter

    functions = [own.load(name) for name in metrics or []]
    worker.set_environment()
    prepared = pipeline.reopen(run.folder)
    if also:
        files = [str(Path(name).expanduser().absolute()) for name in also]
        kept = [name for name in prepared.spec.evaluation.also if name not in files]
        prepared = replace(prepared, spec=edit(prepared.spec, {"evaluation.also": [*kept, *files]}))
    watcher = EventReporter(run.folder, on_progress)
    with gpu_use.in_turn(f"an evaluation of {run.id}", watcher), mirror.afterwards(run.folder, watcher) as mirrored:
        pipeline.evaluate(run.folder, prepared, watcher, mirrored, again=True, own=functions)
        if functions:
            _own_on_exports(run, prepared, functions)
    return run.report


def _own_on_exports(run: Run, prepared: Prepared, functions: list[Own]) -> None:
    """The metrics on the answers that the run's exports gave as well, in their manifests and cards."""
    from studio import pipeline
    from studio.app import exports
    from studio.export.make import written_again
    from studio.export.verification.own import with_own

    source = pipeline.export_source(run.folder, prepared)
    for item in exports.list_exports(run):
        artifact = item.artifact
        for function in functions:
            measured = with_own(artifact.verification, run.report, function)
            if measured is not None:
                artifact = artifact.with_values(verification=measured)
        if artifact is not item.artifact:
            written_again(source, artifact)


def write_task(run: Run, folder: Path) -> str:
    """The run's held-out rows as a task of lm-evaluation-harness in `folder`; what was written, in words."""
    from studio.evaluation import lm_eval
    from studio.evaluation.report import HELD_OUT
    from studio.runs.rows import held_out_rows

    folder = folder.expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise SpecError("this is a file", hint="Name a folder.", where=str(folder))
    rows = held_out_rows(run.folder)
    if not rows:
        raise JobError(
            "this run has no held-out rows: its tuned model was trained on all of them",
            hint="Train with data.holdout, or name another task. (The models of a cross-validation are not kept.)",
            where=run.id,
        )
    found = run.report.set(HELD_OUT) if run.folder.report.exists() else None
    longest = (found.max_new_tokens if found else 0) or 256
    return lm_eval.sentence(lm_eval.write(folder, run.spec.name, rows, longest))


def metrics() -> dict[str, Metric]:
    """Every metric by name: its label, which way is better, how its values are shown."""
    from studio.evaluation.metrics import METRICS

    return METRICS


def table(report: Report) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A report as a table: the names of its columns, and a row for every figure."""
    from studio.evaluation import table as tables

    return tables.HEADER, [tuple(row) for row in tables.rows(report)]
