"""Use case of starting: a commented spec for somebody's own data, each choice with its reason."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from studio import spec as specs
from studio.app import datasets, plans
from studio.core import resources
from studio.core.errors import DataError, SpecError, StudioError
from studio.core.files import studio_home
from studio.core.text import nearest, plural, shorten, size, slug
from studio.hardware import machine

if TYPE_CHECKING:
    from studio.data.report import DataReport
    from studio.data.rows import Conversation
    from studio.planner.plan import Plan
    from studio.spec import RunSpec

LOOKED_AT = 500
"""Rows that are looked at to tell the task."""
PLANNED = 2_000
"""Rows that are read to tell which model fits."""
LADDER = ("Qwen/Qwen3-8B", "Qwen/Qwen3-4B", "Qwen/Qwen3-1.7B", "Qwen/Qwen3-0.6B")
"""Models that are tried in turn, each smaller than the one before: one family, Apache-2.0."""
ENOUGH = 30
"""Held-out rows below which an interval is too wide to say much."""
_KIND = re.compile(r"^(hub|dataset):")
SHOWN = ("training.learning_rate", "training.batch_size", "model.quantization", "training.packing", "data.max_length")
"""Decisions of the plan that a new spec shows."""


@dataclass(frozen=True)
class Draft:
    """A spec for somebody's data, as text to be written and edited."""

    text: str
    name: str
    task: str
    why: str
    """Why that task."""
    model: str
    why_model: str
    """Why that model, or why it is not planned."""
    plan: Plan | None
    """What the plan says of it; None where the model is not known on this machine."""


def tasks() -> dict[str, str]:
    """The tasks that a spec can start from, each with what it is for."""
    return {
        file.stem: _about(file.read_text("utf-8")) for file in sorted((resources.folder("configs") / "tasks").glob("*.yaml"))
    }


def known_task(name: str) -> str:
    """The task of that name. Raises SpecError for one that there is not, with the nearest."""
    known = tasks()
    if name in known:
        return name
    near = nearest(name, list(known))
    hint = f"Did you mean `{near}`?" if near else f"Choose one of: {', '.join(known)}."
    raise SpecError(f"there is no task `{name}`", hint=hint, where="--task")


def known_gpu(name: str) -> str:
    """The name of a GPU to plan for; empty for this machine. Raises SpecError for one that is not known."""
    machine.probe(name or None)
    return name


def _about(text: str) -> str:
    return next(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ") and "$schema" not in line)


def guess_task(data: str) -> tuple[str, str]:
    """Which task the data look like, and why. Raises DataError for data that cannot be used."""
    report = inspected(data)
    from studio.data import prepare
    from studio.data.curation import references
    from studio.data.settings import Data

    located = references.located(Data(train=_named(data), holdout=0.0), studio_home())
    return _task_of(report, list(islice(prepare.usable(located), LOOKED_AT)))


def _named(data: str) -> str:
    """The data as a spec names them: a dataset of the library as `dataset:NAME`, also where only its name is given."""
    from studio.data.curation import store

    return store.reference_of(studio_home(), data) or data


def inspected(data: str) -> DataReport:
    """The data report. Raises DataError with the first problem of data that cannot be used."""
    report = datasets.inspect(data)
    if not report.usable:
        hint = report.hints[0] if report.hints else f"See all findings: studio data inspect {data}"
        raise DataError(report.problems[0], hint=hint, where=data)
    return report


def _task_of(report: DataReport, rows: list[Conversation]) -> tuple[str, str]:
    if any({"chosen", "rejected"} <= file.columns.keys() for file in report.files):
        return "preference", "rows are pairs of a better and a worse answer"
    if rows and all(row.text for row in rows):
        return "plain-text", "rows are plain text, without questions"
    if any(row.tools for row in rows):
        return "tool-calls", "rows have tools"
    answers = [str(row.messages[-1].get("content") or "") for row in rows if row.messages]
    if answers and sum(map(_is_json_object, answers)) >= 0.9 * len(answers):
        return "extraction", "answers are JSON"
    distinct = set(answers)
    if len(answers) >= 20 and len(distinct) <= max(2, len(answers) // 10) and max(map(len, distinct)) <= 60:
        return "classification", f"answers are one of {plural(len(distinct), 'label')}"
    if report.lengths.p90 > 16_000:
        return "long-context", f"one row in ten has more than {report.lengths.p90:,} characters"
    return "chat", "answers are free text"


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def draft(
    data: str,
    task: str | None = None,
    model: str | None = None,
    gpu: str | None = None,
    name: str | None = None,
    folder: Path | None = None,
) -> Draft:
    """A commented spec for data. What is not given is chosen: the task by the rows, the model by the plan.

    folder: where the spec will lie, from which it names the data; by default the working folder. Raises DataError for data
    that cannot be used, SpecError for an unknown task, HardwareError for an unknown GPU.
    """
    known = tasks()
    task = known_task(task) if task is not None else None
    data = _named(data)
    report = inspected(data)
    task, why = (task, "as asked") if task else guess_task(data)
    preset = resources.folder("configs") / "tasks" / f"{task}.yaml"
    name = name or slug(Path(_KIND.sub("", data).partition(":")[0]).name.partition(".")[0].partition("@")[0])
    holdout = _holdout(report.totals.usable)
    wanted = specs.edit(specs.load(preset), {"name": name, "data.train": data, "data.holdout": holdout, "data.limit": PLANNED})
    chosen, plan, reason = _model(wanted, model, gpu)
    source = data if ":" in data else os.path.relpath(data, folder or Path.cwd())
    text = _filled(preset.read_text("utf-8"), {
        "name": (name, ""),
        "model.name": (chosen, reason),
        "data.train": (source, f"{plural(report.totals.usable, 'row')}, {report.files[0].format.replace('_', ' ')}"),
        "data.holdout": (holdout, f"about {round(report.totals.usable * holdout):,} rows, never trained on, for the evidence"),
    })  # fmt: skip
    head = f"# {name}: {known[task]}\n# Task `{task}`: {why}. {_licence(chosen)}"
    return Draft(f"{head}\n\n{text}{_decided(plan)}", name, task, why, chosen, reason, plan)


def _holdout(rows: int) -> float:
    return next((share for share in (0.1, 0.2) if rows * share >= ENOUGH), 0.25)


def _model(wanted: RunSpec, model: str | None, gpu: str | None) -> tuple[str, Plan | None, str]:
    """The model, the plan with it, and why: the one asked for, else the task's, or the next smaller one that fits."""
    ladder = (model,) if model else LADDER[LADDER.index(wanted.model.name) :]
    too_large: list[str] = []
    plan: Plan | None = None
    for candidate in ladder:
        try:
            plan = plans.plan(specs.edit(wanted, {"model.name": candidate}), gpu)
        except StudioError as error:
            if not model or error.where == "--gpu" or type(error).__name__ == "HardwareError":
                raise
            return candidate, None, f"not planned: {shorten(error.message, 70)}"
        if model or (plan.fits and (plan.device != "cpu" or candidate == ladder[-1])):
            break
        too_large.append(candidate.rpartition("/")[2])
    assert plan is not None
    fits = f"needs {size(plan.memory.total)} of {size(plan.memory_budget)} on {plan.machine}"
    if not plan.fits:
        return plan.spec.model.name, plan, f"does not fit: {fits}"
    if plan.device == "cpu" and not model:
        return plan.spec.model.name, plan, f"no GPU here, so the smallest of its family; {fits}"
    return plan.spec.model.name, plan, f"{fits}{f'; {too_large[-1]} does not fit' if too_large else ''}"


def _licence(model: str) -> str:
    from studio.models import presets

    known = presets.preset(model)
    if known is None:
        return f"Base model {model}: see its page for the licence."
    return f"Base model {model}, licence {known.license}{f': {known.license_note}' if known.license_note else '.'}"


def _filled(text: str, values: dict[str, tuple[object, str]]) -> str:
    """A preset's text from its first setting on, with some values replaced, each with a comment of its own."""
    section, lines = "", list[str]()
    body = text[text.index("version:") :]
    for line in body.splitlines():
        if found := re.match(r"^(\w+):", line):
            section = found.group(1)
        indent, key = (re.match(r"^( *)(\w*)", line) or re.match("()()", "")).groups()  # type: ignore[union-attr]
        path = key if not indent else f"{section}.{key}"
        if path in values:
            value, comment = values[path]
            written = yaml.safe_dump({key: value}, allow_unicode=True, width=10_000).strip()
            line = f"{indent}{written}" + (f"  # {comment}" if comment else "")
        lines.append(line)
    return "\n".join(lines) + "\n"


def _decided(plan: Plan | None) -> str:
    """What the plan decides where the spec is silent, as comments to be taken over."""
    if plan is None:
        return ""
    words = {True: "true", False: "false"}
    rows = [(item.field, words.get(item.value, item.value), item.reason) for item in plan.decisions if item.field in SHOWN]
    width = max((len(f"{field}: {value}") for field, value, _ in rows), default=0)
    lines: Iterable[str] = (f"#   {f'{field}: {value}':<{width}}  {reason}" for field, value, reason in rows)
    return "\n".join(["", f"# What the plan decides on {plan.machine}; write it above to decide otherwise:", *lines, ""])
