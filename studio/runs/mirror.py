"""A run as Weights & Biases shows it: what is copied there from the run folder, and when. docs/tracking.md lists all of it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from studio.core import events
from studio.core.errors import Stopped
from studio.core.files import read_json, write_text
from studio.runs.folder import RunFolder
from studio.runs.records import RunLock
from studio.tracking import wandb
from studio.tracking.limits import without_paths
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.evaluation.report import Report
    from studio.export.artifacts.manifest import Artifact

EVIDENCE = (
    "set", "metric", "headline", "rows", "base", "base low", "base high", "tuned", "tuned low", "tuned high",
    "change", "change low", "change high",
)  # fmt: skip
"""Columns of the evidence table; low and high are the ends of the 95 % interval."""


P = ParamSpec("P")


def _never_raises(method: Callable[Concatenate[Mirror, P], None]) -> Callable[Concatenate[Mirror, P], None]:
    """The method, in which an error becomes a warning: a mirror costs no run."""

    @functools.wraps(method)
    def guarded(self: Mirror, *args: P.args, **kwargs: P.kwargs) -> None:
        self.sink.guard(method.__name__, lambda: method(self, *args, **kwargs))

    return guarded


class Mirror:
    """An open W&B run, in the terms of a run of ours. Nothing here raises, and nothing blocks for long."""

    def __init__(self, folder: RunFolder, sink: wandb.Sink) -> None:
        self.folder, self.sink = folder, sink
        self._mark = folder.path / "wandb" / "mirrored-step"

    @_never_raises
    def checked(self) -> None:
        """Send what the checks found in the training rows, as a table."""
        from studio.data.desk_report import DeskReport

        if self.folder.findings.exists():
            self.sink.table("data findings", *DeskReport.read(self.folder.findings).table)

    @_never_raises
    def catch_up(self) -> None:
        """Send the logged steps that W&B does not have, such as those of a process that was killed before it sent them."""
        known = self.sink.last_step()
        if known < 0:
            with contextlib.suppress(OSError, ValueError):
                known = float(self._mark.read_text("utf-8"))
        for line in list(self.folder.read_metrics()):
            if line["step"] > known:
                values = {name: value for name, value in line.items() if name not in ("step", "time", "version")}
                self.step(line["step"], {name: value for name, value in values.items() if isinstance(value, int | float)})

    def step(self, step: int, values: dict[str, float]) -> None:
        """One logged step."""
        self.sink.log(step, values)
        with contextlib.suppress(OSError):
            write_text(self._mark, str(step), durable=False)

    @_never_raises
    def inputs(self, lock: RunLock) -> None:
        """The dataset and the base model the run reads: names, hashes and revision, never their content."""
        model = lock.model
        self.sink.used(f"{self.folder.id}-dataset", "dataset", {"sha256": lock.data, "split": _split(self.folder)})
        about = {"name": model.name, "revision": model.revision, "files": model.files}
        self.sink.used(f"base-{Path(model.name).name}", "base-model", about)

    @_never_raises
    def trained(self, tokenizer: Any) -> None:
        """The adapter with its tokenizer and chat template, how training ended, and predicted against measured memory."""
        lock, plan = RunLock.read(self.folder.lock), read_json(self.folder.plan)
        fitted = read_json(self.folder.training)
        figures = {f"training/{name}": value for name, value in fitted.items() if isinstance(value, int | float)}
        predicted = plan.get("measured", {}).get("predicted")
        if predicted:
            figures |= {"memory/predicted_bytes": predicted, "memory/peak_bytes": fitted["peak_memory_bytes"]}
        self.sink.summary(figures)
        beside = self.folder.path / "wandb" / "adapter"
        tokenizer.save_pretrained(beside)
        for file in (
            *beside.glob("*config.json"),
            self.folder.adapter / "adapter_config.json",
            self.folder.adapter / "README.md",
        ):
            if file.exists():  # they name the folder of the base model
                write_text(beside / file.name, self._hide(file.read_text("utf-8")))
        lineage = {"dataset": lock.data, "base": lock.model.name, "revision": lock.model.revision}
        self.sink.artifact(
            f"{self.folder.id}-adapter", "model", [beside, self.folder.adapter], {**lineage, "run": self.folder.id}
        )

    @_never_raises
    def evaluated(self, report: Report) -> None:
        """Verdict and figures in the summary, the evidence and sample answers as tables, the report as a page."""
        figures: dict[str, Any] = {"verdict": report.verdict.text, "verdict/kind": report.verdict.kind}
        rows = []
        for part in report.sets:
            for name, found in part.metrics.items():
                sides = {"base": found.base, "tuned": found.tuned, "change": found.change}
                figures |= {f"{part.name}/{name}/{side}": value.value for side, value in sides.items()}
                figures |= {
                    f"{part.name}/{name}/change_low": found.change.low,
                    f"{part.name}/{name}/change_high": found.change.high,
                }
                bounds = [bound for value in sides.values() for bound in (value.value, value.low, value.high)]
                rows.append([part.label, name, name == part.headline, found.change.rows, *bounds])
        self.sink.summary(figures)
        self.sink.table("evidence", EVIDENCE, rows)
        first = report.sets[0]
        shown = [first.answers[index] for index in dict.fromkeys([*first.changed, *first.best, *first.worst])]
        answers = [[item.question, item.reference, item.base.text, item.tuned.text] for item in shown]
        self.sink.table("samples", ["question", "reference", "base", "tuned"], answers)
        if self.folder.report_page.exists():
            self.sink.page("report", self._hide(self.folder.report_page.read_text("utf-8")))

    @_never_raises
    def exported(self, artifact: Artifact) -> None:
        """What an export is and how its verification ended: the manifest without answers, not the weights."""
        from studio.export.artifacts.manifest import MANIFEST
        from studio.export.artifacts.push import published

        found = artifact.verification
        about = {"kind": artifact.kind, "status": found.status, "bytes": artifact.bytes, "note": found.note}
        checks = {check.name: check.value for check in found.checks}
        self.sink.summary({f"export/{artifact.folder}/{name}": value for name, value in about.items() if value})
        manifest = self.folder.path / "wandb" / "exports" / artifact.folder / MANIFEST
        write_text(manifest, self._hide(published(artifact).decode()))
        self.sink.artifact(f"{self.folder.id}-{artifact.folder}", "export", [manifest], {**about, "checks": checks})

    @_never_raises
    def pushed(self, export: str, repository: str, commit: str) -> None:
        """Where an export was uploaded to."""
        self.sink.summary({f"export/{export}/pushed": f"{repository}@{commit}" if commit else repository})

    def _hide(self, text: str) -> str:
        """The text without the paths of this machine."""
        spec = self.folder.spec()
        if "paths" in spec.tracking.include:
            return text
        named = [item for item in _texts(spec.model_dump(mode="json")) if Path(item).is_absolute()]
        base = RunLock.read(self.folder.lock).model.folder or ""
        for path in sorted(filter(None, (*named, base, str(self.folder.path))), key=len, reverse=True):
            text = text.replace(path, without_paths(path))
        return text.replace(f"{Path.home()}/", "~/")

    def ended(self, problem: BaseException | None) -> None:
        """The state, an alert for done and failed, and the end of the W&B run. A run that was stopped has not failed."""
        name, state = self.folder.spec().name, "failed"
        if problem is None:
            state = "done"
            self.sink.alert(f"{name} is done", _verdict(self.folder) or "The run is done.")
        elif isinstance(problem, Stopped | KeyboardInterrupt):
            state = "stopped"
        else:
            self.sink.alert(f"{name} failed", self._hide(str(problem))[:500] or type(problem).__name__, "ERROR")
        self.sink.summary({"state": state})
        self.sink.finish(state != "failed")


@contextlib.contextmanager
def tracked(folder: RunFolder, reporter: Reporter) -> Iterator[Mirror | None]:
    """The mirror of a run while it works, or None if it is off. It never blocks or fails the run."""
    mirror = _open(folder, reporter, "train")
    if mirror is None:
        yield None
        return
    mirror.inputs(RunLock.read(folder.lock))
    problem: BaseException | None = None
    try:
        yield mirror
    except BaseException as error:
        problem = error
        raise
    finally:
        mirror.ended(problem)


@contextlib.contextmanager
def afterwards(folder: RunFolder, reporter: Reporter) -> Iterator[Mirror | None]:
    """The mirror of a run that has ended, for what is done with it later; None for a run that was not mirrored."""
    was_tracked = any(isinstance(event, events.Tracking) for event in folder.read_events())
    mirror = _open(folder, reporter, None) if was_tracked else None
    try:
        yield mirror
    finally:
        if mirror:
            mirror.sink.finish()


def _open(folder: RunFolder, reporter: Reporter, job_type: str | None) -> Mirror | None:
    spec = folder.resolved_spec()
    hidden: dict[str, Any] = {}
    if "git" not in spec.tracking.include:
        hidden["git"] = True
    if "paths" not in spec.tracking.include:
        hidden["model"] = {"folder"}
    lock = RunLock.read(folder.lock).model_dump(mode="json", exclude=hidden)
    config = {"spec": spec.model_dump(mode="json"), "lock": lock, "run": folder.id}
    sink = wandb.open_sink(spec.tracking, folder.id, spec.name, folder.path, config, reporter, job_type=job_type)
    if sink is None:
        return None
    mirror = Mirror(folder, sink)
    mirror.catch_up()
    return mirror


def _texts(value: Any) -> Iterator[str]:
    """Every text in nested plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _split(folder: RunFolder) -> Any:
    report = folder.data / "report.json"
    return read_json(report).get("split") if report.exists() else None


def _verdict(folder: RunFolder) -> str:
    return read_json(folder.report)["verdict"]["text"] if folder.report.exists() else ""
