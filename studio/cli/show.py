"""How things look in the terminal. rich is imported when something is shown."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.text import duration, plural, printable, size

if TYPE_CHECKING:
    from studio.app.comparison import Comparison
    from studio.app.exports import ExportEstimate
    from studio.data.findings import Finding
    from studio.evaluation.report import Report
    from studio.export.artifacts.manifest import Artifact
    from studio.runs.plan import PlanRecord


@cache
def console() -> Any:
    """The terminal; plain text where the output is not one."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else 120)


def as_json(value: object) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def say(text: str = "", style: str = "") -> None:
    """A line of plain text, never read as markup."""
    from rich.text import Text

    console().print(Text(printable(text), style=style))


def when(seconds: float | None) -> str:
    """A moment in this machine's time."""
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M") if seconds else ""


def heading(text: str) -> None:
    """A stage or a section begins."""
    say()
    say(text.replace("\n", "\ufffd"), "bold")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[int] = (), title: str = "") -> None:
    """A table of plain text; `right` are the columns that hold figures."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, show_header=any(columns))
    for place, name in enumerate(columns):
        grid.add_column(name, justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(printable(cell(value))) for value in row))
    console().print(grid)


def damages(home: str | Path | None, kind: str) -> None:
    """What of a kind cannot be read and is missing from a list, on stderr, so that `--json` stays one document."""
    from studio.app import damage
    from studio.core.files import studio_home

    root = studio_home(home)
    for item in damage.damages(root, kind):
        sys.stderr.write(f"damaged: {printable(item.sentence(root))}\n→ {printable(item.hint)}\n")


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value)
    return str(value)


def findings(items: Sequence[Finding], left: Mapping[str, int] | None = None) -> None:
    """What checks of the data found. left: the rows of each finding that nobody has decided about yet."""
    for item in items:
        colour = {"error": "red", "warning": "yellow"}.get(item.severity, "")
        still = f", {left.get(item.check, 0):,} to see" if left is not None else ""
        say(f"{item.check}: {item.message}: {plural(item.count, item.unit)} ({item.share:.1%}){still}", colour)
        for example in item.examples:
            say(f"    {example.where}: {example.text}")
        say(f"    Not looked for: {item.not_covered}.", "dim")
    if not items:
        say("No check found anything.", "bold green")


def base_model(name: str) -> str:
    """Which base model is trained, before anything else is said: three lines of YAML name none."""
    chosen = f"base model: {name}"
    return chosen + (" (shipped, 3.7 M parameters, for a first try; choose yours with model.name)" if name == "starter" else "")


@cache
def _advanced() -> set[str]:
    from studio import spec
    from studio.core.fields import Leaf

    return {field.path for field in spec.fields() if isinstance(field, Leaf) and field.ui.advanced}


def is_often_changed(field: str) -> bool:
    """Whether people usually change a field of a plan; the others are shown if asked for."""
    return not (field in _advanced() or field.startswith("export."))


def decisions(plan: PlanRecord, every: bool = True) -> int:
    """What the plan decided and why: everything, or only the fields people usually change. Returns how many are left out."""
    shown = [item for item in plan.decisions if every or is_often_changed(item.field)]
    rows = [(item.field, cell(item.value), item.reason, item.otherwise) for item in shown]
    table(("decided", "value", "because", "otherwise"), rows)
    return len(plan.decisions) - len(shown)


def memory(plan: PlanRecord) -> None:
    """The predicted memory by part."""
    rows = [(item.name, size(item.bytes), item.why) for item in plan.memory.items if item.bytes]
    table(("memory", "", "what it is"), [*rows, ("total", size(plan.memory.total), "")], right=(1,))


def disk_and_ram(plan: PlanRecord) -> None:
    """The disk by part, and the RAM by stage."""
    rows = [("disk", item.name, size(item.bytes)) for item in (plan.disk.items if plan.disk else ())]
    rows += [("RAM", stage.name, size(stage.bytes)) for stage in (plan.ram.stages if plan.ram else ())]
    table(("where", "for", ""), rows, right=(2,))


def comparison(compared: Comparison) -> None:
    """Runs side by side: the settings in which they differ, and their results."""
    ids = [run.id for run in compared.runs]
    table(("setting", *ids), [(name, *values) for name, values in compared.settings], title="Settings that differ")
    table(("result", *ids), [(name, *values) for name, values in compared.results.items()], title="Results")


def evidence(report: Report) -> None:
    """The before/after table and the verdict."""
    from studio.app import evidence

    table(*evidence.table(report), right=(2, 3, 4))
    say("* metric that decides the verdict", "dim")
    say(
        report.verdict.text,
        "bold green" if report.verdict.kind == "better" and not report.verdict.only_wording else "bold yellow",
    )
    for caution in report.verdict.cautions:
        say(f"! {caution}", "yellow")
    if report.verdict.advice:
        say(report.verdict.advice)


TOLD = ("prompt_ids_identical", "kl_mean", "evidence", "general", "general-text", "greedy_identical")
"""The checks a summary shows; a failed one is always shown."""


def artifact(artifact: Artifact, every: bool = True) -> None:
    """One export: what it is, how it was verified (every check, or those of a summary), how to serve it."""
    verification = artifact.verification
    good = verification.passed and not verification.loses_some
    say(f"{artifact.folder}: {size(artifact.bytes)}, {verification.status}", "green" if good else "yellow")
    for check in verification.checks:
        if every or check.passed is False or check.name in TOLD:
            judged = check.passed is False or check.threshold is not None
            mark = ("✓" if check.passed else "✗") if judged else "·"
            say(f"  {mark} {check.name} {cell(check.value)}: {check.explanation}")
    if verification.judged:
        say(f"  · judge: {verification.judged.sentence}")
        for doubt in verification.judged.doubts:
            say(f"    decides nothing: {doubt}", "dim")
    if verification.advice:
        say(f"  → {verification.advice}", "yellow")
    for command in artifact.serve[:1]:
        say(f"  serve: {command}")


def export_estimate(estimate: ExportEstimate) -> None:
    """What an export would take, in a line or two."""
    sizes = (
        (estimate.bytes, f"about {size(estimate.bytes or 0)}"),
        (estimate.disk, f"needs {size(estimate.disk or 0)} of disk space"),
        (estimate.memory, f"{size(estimate.memory or 0)} of memory"),
        (estimate.seconds, f"about {duration(estimate.seconds or 0)} of CPU time"),
    )
    said = ", ".join(text for value, text in sizes if value)
    if estimate.seconds_range:
        said += " ({} to {}, by a short test of this processor)".format(*map(duration, estimate.seconds_range))
    say(f"{estimate.kind}: {said or 'its size is not known before the base model is on this machine'}")
    for note in filter(None, (estimate.note, estimate.missing)):
        say(f"! {note}", "yellow")


def time_left(done: float, total: float, seconds: float) -> str:
    """How long the rest will take at the pace so far."""
    return duration(seconds / done * (total - done)) if done and total > done else ""
