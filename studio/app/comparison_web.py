"""A comparison from a page, which loads no model in its own process: the form as YAML, begun, looked after and stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import indexes, library, runs
from studio.comparison import settings
from studio.comparison.settings import Comparison
from studio.core.errors import SpecError
from studio.core.files import write_text
from studio.processes import tasks
from studio.processes.tasks import Task

_KIND, _NAME = "compare", "answers"


def choices(home: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, str]]]:
    """Runs and models, indexes, and question sets that a page offers, as (label, value)."""
    tuned = [run for run in runs.list_runs(home) if (run.folder.adapter / "adapter_config.json").exists()]
    models = [(f"{run.title} · {run.id}", run.id) for run in tuned]
    models += [("starter, as shipped", "starter"), *((path.name, str(path)) for path in library.models(home))]
    sources = [("none: compare without passages", "")]
    sources += [(item.record.name, item.record.name) for item in indexes.indexes(home)]
    questions = [("the run's own held-out rows", "")]
    questions += [
        (f"{item.title}, version {item.number}", f"dataset:{item.name}@{item.number}") for item in library.versions(home)
    ]
    return models, sources, questions


def from_form(
    run: str | None,
    index: str | None,
    questions: str | None,
    most: float | None,
    passages: float | None,
    url: str | None,
    model: str | None,
    price_in: float | None,
    price_out: float | None,
    ceiling: float | None,
    volume: float | None,
    server: float | None,
) -> Comparison:
    """The comparison that the page's form describes. Raises SpecError."""
    if not run:
        raise SpecError("no run was selected", hint="Choose a run or a model.", where="Run or model")
    values: dict[str, Any] = {"run": run, "questions": questions or ""}
    if index:
        values["index"] = index
    if (url or "").strip() or (model or "").strip():
        large: dict[str, Any] = {"url": (url or "").strip(), "model": (model or "").strip()}
        if price_in or price_out:  # an empty number comes as 0
            large["price"] = {"input": price_in or 0, "output": price_out or 0}
        values["large"] = large
    numbers = {"most_questions": most, "passages": passages, "ceiling": ceiling, "volume": volume, "server": server}
    for name, value in numbers.items():
        if value:
            values[name] = int(value) if value == int(value) else value
    return Comparison(**values)


def from_web(text: str, home: Path) -> Comparison:
    """A comparison that was written in the browser. Raises SpecError, also for what a page may not name: a file or model
    outside the home, or a key, which would be sent to whatever address stands beside it."""
    return checked(settings.parse(text, "comparison"), home)


def checked(spec: Comparison, home: Path) -> Comparison:
    """The comparison, if a page may begin it. Raises SpecError."""
    if spec.large is not None and spec.large.key:
        raise SpecError(
            "the web studio sends a key to its own host only",
            hint="Leave `key` out; for another variable use the command: studio compare.",
            where="large.key",
        )
    if spec.questions and not spec.questions.startswith("dataset:"):
        raise SpecError(
            "the web studio opens only files in its own library",
            hint="Name a dataset, or use the command: studio compare.",
            where="questions",
        )
    known = {value for _, value in choices(home)[0]} | {"last"}
    if spec.run not in known:
        raise SpecError("choose a run or a model of the list", hint="Or use the command: studio compare.", where="run")
    return spec


def begin(spec: Comparison, home: Path) -> Task:
    """Begin to compare in a process that outlives the page. Raises JobError while another one is under way."""
    file = _folder(home) / "comparison.yaml"
    running = task(home)
    if running is None or running.state != "running":
        write_text(file, spec.as_yaml())
    return tasks.begin(file.parent, _KIND, _NAME, ["compare", str(file)], home)


def task(home: Path) -> Task | None:
    """The process that compares, if one was begun."""
    return tasks.task(_folder(home), _KIND, _NAME)


def forget(home: Path) -> None:
    """Forget the process that compared, and end it if it still does."""
    tasks.stop(_folder(home), _KIND, _NAME)


def _folder(home: Path) -> Path:
    return home / "comparisons" / ".tasks"
