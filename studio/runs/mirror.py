"""A run as trackers show it: what is copied there from the run folder, and when. docs/tracking.md lists all of it."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from studio.core import events
from studio.core.errors import Diverged, Stopped
from studio.core.files import read_json, write_text
from studio.core.plain import is_list, is_object
from studio.models.chat import write_day
from studio.runs.folder import RunFolder
from studio.runs.records import RunLock
from studio.tracking import trackio, wandb
from studio.tracking.limits import redacted, without_paths
from studio.tracking.reporter import Reporter
from studio.tracking.sink import Sink, warn
from studio.training import checkpoints

if TYPE_CHECKING:
    from studio.core.events import Event
    from studio.evaluation.report import Report
    from studio.evaluation.samples import Sample
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
        try:
            method(self, *args, **kwargs)
        except Exception as problem:
            warn(self.reporter, f"the trackers lack what was {method.__name__} ({redacted(problem)}); the run folder has it")

    return guarded


class Mirror:
    """A run in its open trackers, in terms of our own. Nothing here raises, and nothing blocks for long."""

    def __init__(self, folder: RunFolder, sinks: Sequence[Sink], reporter: Reporter) -> None:
        self.folder, self.sinks, self.reporter = folder, sinks, reporter

    def send(self, call: Callable[[Sink], object]) -> None:
        """Call it with every tracker."""
        for sink in self.sinks:
            call(sink)

    @_never_raises
    def checked(self) -> None:
        """Send what the checks found in the training rows, as a table."""
        from studio.data.desk_report import DeskReport

        if self.folder.findings.exists():
            found = DeskReport.read(self.folder.findings).table
            self.send(lambda sink: sink.table("data findings", *found))

    @_never_raises
    def caught_up(self) -> None:
        """Send the logged steps that a tracker lacks, such as those of a process that was killed before it sent them."""
        for sink in self.sinks:
            known = sink.last_step()
            for point in list(self.folder.read_metrics()):
                if point.step > known:
                    sink.log(point.step, dict(point.figures))

    def step(self, step: int, values: dict[str, float]) -> None:
        """One logged step."""
        self.send(lambda sink: sink.log(step, values))

    @_never_raises
    def happened(self, event: Event) -> None:
        """A checkpoint that was saved, if the spec asks for it: what a run is resumed from."""
        if isinstance(event, events.CheckpointSaved) and "checkpoints" in self.folder.spec().tracking.include:
            self._saved(event.step)

    def _saved(self, step: int) -> None:
        folder, about = checkpoints.folder_of(self.folder.checkpoints, step), {"run": self.folder.id, "step": step}
        self.send(lambda sink: sink.artifact(f"{self.folder.id}-checkpoint", "checkpoint", [folder], about, fleeting=True))

    @_never_raises
    def answered(self, samples: Sequence[Sample]) -> None:
        """The answers to a few held-out questions at every evaluation so far."""
        rows = [[item.step, item.question, item.reference, item.answer] for item in samples]
        self.send(lambda sink: sink.table("samples while training", ("step", "question", "reference", "answer"), rows))

    @_never_raises
    def inputs(self, lock: RunLock) -> None:
        """The dataset and the base model the run reads: names, hashes and revision, never their content. Runs on the same
        data name one artifact, of which other content or another split is another version."""
        model = lock.model
        dataset = {"sha256": lock.data, "split": _split(self.folder)}
        about = {"name": model.name, "revision": model.revision, "files": model.files}
        self.send(lambda sink: sink.used(_dataset_name(lock), "dataset", dataset))
        self.send(lambda sink: sink.used(f"base-{Path(model.name).name}", "base-model", about))

    @_never_raises
    def trained(self, tokenizer: Any, card: str) -> None:
        """The adapter with its tokenizer, chat template and model card, how training ended, and predicted against measured
        memory."""
        lock, plan = RunLock.read(self.folder.lock), read_json(self.folder.plan)
        fitted = read_json(self.folder.training)
        figures = {f"training/{name}": value for name, value in fitted.items() if isinstance(value, int | float)}
        predicted = plan.get("measured", {}).get("predicted")
        if predicted:
            figures |= {"memory/predicted_bytes": predicted, "memory/peak_bytes": fitted["peak_memory_bytes"]}
        self.send(lambda sink: sink.summary(figures))
        beside = self.folder.path / "tracking" / "adapter"
        tokenizer = copy.deepcopy(tokenizer)
        write_day(tokenizer, lock.day)
        tokenizer.save_pretrained(beside)
        write_text(beside / "README.md", self._hide(card))
        for file in (*beside.glob("*config.json"), self.folder.adapter / "adapter_config.json"):
            if file.exists():  # they name the folder of the base model
                write_text(beside / file.name, self._hide(file.read_text("utf-8")))
        lineage = {
            "dataset": lock.data, "base": lock.model.name, "revision": lock.model.revision,
            "run": self.folder.id,
        }  # fmt: skip
        paths = [beside, self.folder.adapter]
        self.send(lambda sink: sink.artifact(f"{self.folder.id}-adapter", "model", paths, lineage))

    @_never_raises
    def evaluated(self, report: Report) -> None:
        """Verdict and figures in the summary, the evidence and sample answers as tables, the report as a page."""
        figures: dict[str, Any] = {"verdict": report.verdict.text, "verdict/kind": report.verdict.kind}
        figures |= _origins(report)
        rows: list[list[Any]] = []
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
        self.send(lambda sink: sink.summary(figures))
        self.send(lambda sink: sink.table("evidence", EVIDENCE, rows))
        first = report.sets[0]
        shown = [first.answers[index] for index in dict.fromkeys([*first.changed, *first.best, *first.worst])]
        answers = [[item.question, item.reference, item.base.text, item.tuned.text] for item in shown]
        self.send(lambda sink: sink.table("samples", ["question", "reference", "base", "tuned"], answers))
        if self.folder.report_page.exists():
            self.send(lambda sink: sink.page("report", self._hide(self.folder.report_page.read_text("utf-8"))))

    @_never_raises
    def judged(self) -> None:
        """What a judge found, whether it may be believed, and the report with it."""
        from studio.evaluation.report import Report
        from studio.runs.report_page import opinion_on

        found = opinion_on(self.folder, Report.read(self.folder.report))
        if found is None or found.report is None:
            return
        figures: dict[str, Any] = {"judge/outcome": found.report.sentence, "judge/decides": found.decides}
        figures |= {"judge/doubts": "; ".join(found.doubts), "judge/cost": found.report.cost, "judge/flips": found.report.flips}
        shown = {"win_rate": found.report.win_rate, "grade_change": found.report.grade_change, "kappa": found.kappa}
        for name, value in shown.items():
            if value is not None:
                figures |= {f"judge/{name}": value.value, f"judge/{name}_low": value.low, f"judge/{name}_high": value.high}
        self.send(lambda sink: sink.summary(figures))
        self.send(lambda sink: sink.page("report", self._hide(self.folder.report_page.read_text("utf-8"))))

    @_never_raises
    def exported(self, artifact: Artifact) -> None:
        """What an export is and how its verification ended: the manifest without answers, not the weights."""
        from studio.export.artifacts.manifest import MANIFEST
        from studio.export.artifacts.push import published

        found = artifact.verification
        about = {"kind": artifact.kind, "status": found.status, "bytes": artifact.bytes, "note": found.note}
        checks = {check.name: check.value for check in found.checks}
        figures = {f"export/{artifact.folder}/{name}": value for name, value in about.items() if value}
        self.send(lambda sink: sink.summary(figures))
        manifest = self.folder.path / "tracking" / "exports" / artifact.folder / MANIFEST
        write_text(manifest, self._hide(published(artifact).decode()))
        name, metadata = f"{self.folder.id}-export-{artifact.folder}", {**about, "checks": checks}
        self.send(lambda sink: sink.artifact(name, "export", [manifest], metadata))

    @_never_raises
    def pushed(self, export: str, repository: str, commit: str) -> None:
        """Where an export was uploaded to."""
        address = f"{repository}@{commit}" if commit else repository
        self.send(lambda sink: sink.summary({f"export/{export}/pushed": address}))

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
        """The state, an alert for done, diverged and failed, and the end of the trackers' run. A run that was stopped has not
        failed."""
        name, state = self.folder.spec().name, "failed"
        if problem is None:
            state, text = "done", _verdict(self.folder) or "The run is done."
            self.send(lambda sink: sink.alert(f"{name} is done", text))
        elif isinstance(problem, Stopped | KeyboardInterrupt):
            state = "stopped"
        else:
            how = "diverged" if isinstance(problem, Diverged) else "failed"
            said = self._hide(str(problem))[:500] or type(problem).__name__
            self.send(lambda sink: sink.alert(f"{name} {how}", said, "ERROR"))
        self.send(lambda sink: sink.summary({"state": state}))
        self.send(lambda sink: sink.finish(state != "failed"))


@contextlib.contextmanager
def tracked(folder: RunFolder, reporter: Reporter) -> Generator[Mirror | None]:
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
def afterwards(folder: RunFolder, reporter: Reporter) -> Generator[Mirror | None]:
    """The mirror of a run that has ended, for what is done with it later; None for a run that was not mirrored."""
    was_tracked = any(isinstance(event, events.Tracking) for event in folder.read_events())
    mirror = _open(folder, reporter, None) if was_tracked else None
    try:
        yield mirror
    finally:
        if mirror:
            mirror.send(lambda sink: sink.finish())


def _open(folder: RunFolder, reporter: Reporter, job_type: str | None) -> Mirror | None:
    spec = folder.resolved_spec()
    hidden: dict[str, Any] = {}
    if "git" not in spec.tracking.include:
        hidden["git"] = True
    if "paths" not in spec.tracking.include:
        hidden["model"] = {"folder"}
    lock = RunLock.read(folder.lock).model_dump(mode="json", exclude=hidden)
    config = {"spec": spec.model_dump(mode="json"), "lock": lock, "run": folder.id}
    sinks = [
        wandb.open_sink(spec.tracking, folder.id, spec.name, folder.path, config, reporter, job_type=job_type),
        trackio.open_sink(spec.tracking, folder.id, folder.path, config, reporter),
    ]
    mirror = Mirror(folder, [sink for sink in sinks if sink], reporter)
    mirror.caught_up()
    return mirror if mirror.sinks else None


def _origins(report: Report) -> dict[str, Any]:
    """Where rows come from that a model wrote or people corrected."""
    found: dict[str, Any] = {}
    if origins := report.made_rows.values():
        found["data/teacher"] = ", ".join(dict.fromkeys(item.teacher.model for item in origins))
        found["data/made"] = " ".join(dict.fromkeys(item.sentence for item in origins))
        found["data/terms"] = " ".join(dict.fromkeys(item.terms_sentence for item in origins))
        found["data/cost"] = sum({item.job: item.cost for item in origins}.values())  # datasets of one job share its cost
    if report.collected_rows:
        found["data/collected"] = " ".join(item.sentence for item in report.collected_rows.values())
    return found


def _texts(value: object) -> Iterator[str]:
    """Every text in nested plain values."""
    if isinstance(value, str):
        yield value
    elif is_object(value) or is_list(value):
        for item in value.values() if is_object(value) else value:
            yield from _texts(item)


def _dataset_name(lock: RunLock) -> str:
    """What the runs on the same data call it: by its first file, or its name in the library."""
    first = next(iter(lock.data), "data")
    named = (
        first.removeprefix("dataset:").partition("@")[0] if first.startswith("dataset:") else Path(first).name.partition(".")[0]
    )
    return f"dataset-{named}"


def _split(folder: RunFolder) -> Any:
    report = folder.data / "report.json"
    return read_json(report).get("split") if report.exists() else None


def _verdict(folder: RunFolder) -> str:
    return read_json(folder.report)["verdict"]["text"] if folder.report.exists() else ""
