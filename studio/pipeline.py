"""The stages of a run, from top to bottom: prepare, train, evaluate, export.

Every step keeps its product in the run folder and skips itself when the product is there: to resume a run is to run it
again. Heavy libraries are imported inside the steps, so that a spec or a data error is told before they load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import distillation, planner
from studio.core import events
from studio.core.errors import OutOfMemory
from studio.core.files import write_json
from studio.data import desk_report, encode, prepare
from studio.data.curation import references
from studio.evaluation import more_rows
from studio.export.artifacts import card as cards
from studio.hardware import machine as machines
from studio.models import adapter_merge, download, libraries, loading, pruning
from studio.models.chat import fix_date
from studio.models.loading import free_memory
from studio.runs import judging, sampling_engine
from studio.runs.device import alone_on_device
from studio.runs.folder import RunFolder
from studio.runs.mirror import Mirror, tracked
from studio.runs.plan import PlanRecord
from studio.runs.recorder import Recorder
from studio.runs.rows import encode_parts, held_out_rows, within_length
from studio.runs.run_history import measured_runs
from studio.spec import ResolvedSpec, RunSpec, with_full_paths
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.evaluation.report import SetReport
    from studio.evaluation.tasks.own import Own
    from studio.export.artifacts.manifest import Artifact
    from studio.export.merging.source import Source
    from studio.export.targets import AnyTarget


@dataclass(frozen=True)
class Prepared:
    """What the first stage found and decided."""

    spec: ResolvedSpec
    base_model: loading.FoundModel
    tokenizer: Any
    train: encode.Tokens
    held_out: encode.Tokens | None
    machine: machines.Machine


def run(folder: RunFolder, recorder: Recorder) -> None:
    """Everything from the asked spec to verified exports. Raises StudioError, or Stopped when asked to stop."""
    asked = with_full_paths(folder.asked_spec())
    with recorder.stage("preparing"):
        prepared = make_ready(folder, asked, recorder)
        download.fetch(prepared.base_model, recorder)  # before the device is held: it takes minutes, and nothing of the device
    with alone_on_device(folder, recorder, prepared.machine), tracked(folder, recorder) as mirror:
        if mirror:
            recorder.on_metrics, recorder.on_event = mirror.step, mirror.happened
            mirror.checked()
        with recorder.stage("training"):
            train(folder, prepared, recorder, mirror)
            if mirror:
                mirror.trained(prepared.tokenizer, cards.adapter_card(export_source(folder, prepared)))
        with recorder.stage("evaluating"):
            evaluate(folder, prepared, recorder, mirror)
            if judging.ask(folder, prepared.spec, _home(folder), recorder) and mirror:
                mirror.judged()
        with recorder.stage("exporting"):
            export_all(folder, prepared, recorder, mirror)


def make_ready(folder: RunFolder, requested: RunSpec, recorder: Recorder) -> Prepared:
    """Read, check, split, encode, plan; write the resolved spec, the plan and the lock."""
    if not (folder.data / "report.json").exists():
        located = references.located(requested.data, _home(folder))
        report = prepare.prepare(located, requested.training.seed, folder.data, recorder, requested.training.method.needs)
        recorder.event(events.DataReady(message=report.counts))
        for warning in report.warnings:
            recorder.event(events.Warning(message=warning))
    if not folder.findings.exists():
        checked = desk_report.check_rows(folder.data / "train.jsonl", tuple(requested.data.regions), recorder)
        checked.write(folder.findings)
        for finding in checked.findings:
            if finding.severity != "info":
                recorder.event(events.Warning(message=str(finding)))
    found = loading.find(requested.model)
    tokenizer = loading.tokenizer(found, requested.model.chat_template)
    fix_date(tokenizer, day := planner.day_of(folder.lock))
    replayed = planner.mix_in(folder.data, requested, found, _home(folder))
    train, held_out = encode_parts(folder.data, tokenizer, requested, recorder)
    machine = machines.probe()
    if not folder.spec_file.exists():
        requested = planner.take_start(requested, folder, found.config)
        teacher = planner.teacher(requested, _home(folder), tokenizer, "fp32")  # refused now if it cannot be one
        judging.refuse(requested, _home(folder))
        rows = planner.rows_for(requested, train, held_out)
        source = planner.held_out_from(requested.data, planner.made_rows(requested, _home(folder)))
        rows = replace(rows, replayed=replayed, held_out_from=source)
        plan = planner.resolve(requested, machine, found, rows, measured_runs(_home(folder)), teacher)
        plan.record().write(folder.plan)
        for decision in plan.decisions:
            recorder.event(events.Decision(field=decision.field, value=decision.value, reason=decision.reason))
        for warning in plan.warnings:
            recorder.event(events.Warning(message=warning))
        plan.refuse_if_it_does_not_fit()
        start = folder.start if folder.start.exists() else None
        planner.lock(plan.spec, found, machine, _home(folder), start, day).write(folder.lock)
        folder.write_spec(plan.spec)
    spec = folder.resolved_spec()
    train = within_length(train, "training", spec.data, recorder) if train else encode.EMPTY
    held_out = within_length(held_out, "held-out", spec.data, recorder) if held_out else None
    return Prepared(spec, found, tokenizer, train, held_out, machine)


def train(folder: RunFolder, prepared: Prepared, recorder: Recorder, mirror: Mirror | None = None) -> None:
    """Fit the adapter, from the last checkpoint if there is one; where memory runs out, again with settings that take less."""
    if folder.training.exists() and (folder.adapter / "adapter_config.json").exists():
        return
    libraries.import_heavy()  # before any tensor is made
    from studio.training import fit

    words = distillation.taught(prepared, folder, recorder)
    with sampling_engine.opened(folder, prepared.spec, prepared.base_model, prepared.machine, recorder) as engine:
        base = load(prepared, as_stored=True)
        words |= {"engine": engine, "on_evaluation": sampler(folder, prepared, recorder, mirror)}
        while True:
            try:
                job = replace(fit_job(folder, prepared), **words)
                distillation.train_baseline(base, prepared, job, folder, recorder)
                fitted = fit.fit(base, prepared.tokenizer, job, recorder)
                break
            except OutOfMemory as problem:
                prepared = replace(prepared, spec=planner.recover_from_oom(folder, prepared.spec, problem, recorder))
            free_memory()
    write_json(folder.training, asdict(fitted))
    PlanRecord.read(folder.plan).with_measured(fitted.peak_memory_bytes).write(folder.plan)
    recorder.event(events.Trained(**asdict(fitted)))
    del base
    free_memory()


def fit_job(folder: RunFolder, prepared: Prepared) -> Any:
    """What `fit` needs of a run."""
    from studio.training import fit
    from studio.training.job import Verification

    spec = prepared.spec
    return fit.TrainingJob(
        adapter=spec.adapter,
        training=spec.training,
        device=prepared.machine.device,
        dtype=spec.model.dtype,
        quantized=spec.model.quantization in ("nf4", "int8"),
        train=prepared.train,
        held_out=prepared.held_out,
        max_length=spec.data.max_length,
        checkpoints=folder.checkpoints,
        adapter_out=folder.adapter,
        start=folder.start if folder.start.exists() else None,
        verification=Verification.of(spec.data, spec.training, prepared.train, prepared.held_out),
    )


def sampler(folder: RunFolder, prepared: Prepared, recorder: Recorder, mirror: Mirror | None) -> Any:
    """What asks held-out questions of the model while it is trained, if the spec wants that."""
    from studio.evaluation import samples

    spec, on_samples = prepared.spec, mirror.answered if mirror else None
    rows = held_out_rows(folder, spec.evaluation.while_training) if spec.evaluation.while_training else []
    return samples.sampler(rows, prepared.tokenizer, spec.evaluation, spec.data.train_on, folder.samples, recorder, on_samples)


def evaluate(
    folder: RunFolder,
    prepared: Prepared,
    recorder: Reporter,
    mirror: Mirror | None = None,
    again: bool = False,
    own: Sequence[Own] = (),
) -> None:
    """Base against tuned on the held-out rows and the other question sets; the report as JSON and as a page. own: metrics of
    a person's own, to be shown beside the others."""
    if folder.report.exists() and not again:
        return
    from studio.evaluation import compare, curve, parent, scored
    from studio.evaluation.sets import question_sets
    from studio.runs import report_page

    spec = prepared.spec
    base = pruning.base_of(spec.model.name)
    crossed = cross_validated(folder, prepared, recorder) if spec.evaluation.folds else None
    rows = held_out_rows(folder)
    sets = question_sets(rows, spec.evaluation, spec.data, base, _home(folder), crossed is not None)
    if not sets and crossed is None:
        recorder.event(events.Warning(message="no held-out rows: this run ends without evidence"))
        return
    attach = scored.load if spec.training.method.scores else loading.attach_adapter
    model = attach(load(prepared), folder.adapter)
    report = compare.compare(
        model,
        prepared.tokenizer,
        sets,
        spec.evaluation,
        seed=spec.training.seed,
        reporter=recorder,
        train_on=spec.data.train_on,
        max_length=max(spec.data.max_length, more_rows.SHORT_QUESTIONS),
        start=folder.start if folder.start.exists() else None,
        cross_validated=crossed,
        baseline=distillation.baseline_of(folder),
    )
    report = distillation.beside_teacher(report, model, folder, prepared)
    for metric in own:
        report = report.with_own(metric)
    report = parent.beside(report, pruning.record_of(prepared.base_model.folder), _home(folder) / "runs")
    report = parent.beside_merged(report, adapter_merge.parts_of(folder.adapter), _home(folder) / "runs")
    if said := curve.reading(list(folder.read_metrics()), report.verdict.forgets):
        report.verdict.cautions.append(said)
    report = planner.with_origins(report, spec.data, folder.lock)
    report.write(folder.report)
    report_page.write(folder, report)
    recorder.event(events.Verdict(text=report.verdict.text, verdict=report.verdict.kind))
    if mirror:
        mirror.evaluated(report)
    del model
    free_memory()


def cross_validated(folder: RunFolder, prepared: Prepared, recorder: Reporter) -> SetReport:
    """Every row answered by a model that was trained as the run's own was, on the other folds."""
    from studio.runs.cross_validation import cross_validate
    from studio.training import fit

    def fitted(tokens: encode.Tokens, into: Path, reporter: Reporter) -> Any:
        out = into / "adapter"
        if not (out / "adapter_config.json").exists():
            job = fit_job(folder, replace(prepared, train=tokens, held_out=None))
            job = replace(job, checkpoints=into / "checkpoints", adapter_out=out)
            fit.fit(load(prepared, as_stored=True), prepared.tokenizer, job, reporter)
            free_memory()
        return loading.attach_adapter(load(prepared), out)

    longest = max(prepared.spec.data.max_length, more_rows.SHORT_QUESTIONS)
    return cross_validate(folder, prepared.spec, prepared.tokenizer, fitted, longest, recorder)


def export_all(folder: RunFolder, prepared: Prepared, recorder: Recorder, mirror: Mirror | None) -> None:
    """Make and verify every export the spec asks for."""
    for target in prepared.spec.export:
        artifact = export_one(folder, prepared, target, recorder)
        if mirror:
            mirror.exported(artifact)


def export_source(folder: RunFolder, prepared: Prepared) -> Source:
    """The finished run as its exports see it."""
    from studio.export.merging.run_info import collect_run_info
    from studio.export.merging.source import Source

    values, made = prepared.spec.model_dump(mode="json"), planner.made_in(folder.lock)
    collected = planner.collected_in(folder.lock)
    return Source(
        base=prepared.base_model,
        model=prepared.spec.model,
        adapter=folder.adapter,
        name=prepared.spec.name,
        exports=folder.exports,
        about=collect_run_info(values, folder.data / "report.json", folder.report, made, collected),
        day=planner.day_of(folder.lock),
        train=folder.data / "train.tokens",
        longest=prepared.spec.data.max_length,
    )


def export_one(folder: RunFolder, prepared: Prepared, target: AnyTarget, recorder: Reporter, deploy: bool = False) -> Artifact:
    """Make one export, with deploy files if asked, and verify it in its own runtime; one that is there is left alone."""
    from studio.export import make
    from studio.export.artifacts import deploy as deploying
    from studio.runs import export_judging
    from studio.runs.export_probe import export_probe

    source = export_source(folder, prepared)
    probe = export_probe(folder, prepared.spec, prepared.tokenizer, source.about.report, _home(folder))
    artifact = make.export(target, source, probe, recorder)
    artifact = export_judging.ask(folder, source, artifact, prepared.spec.evaluation.judge, _home(folder), recorder)
    if deploy:
        artifact = deploying.write(source, artifact)
    recorder.event(artifact.event())
    free_memory()
    return artifact


def _home(folder: RunFolder) -> Path:
    """The studio home that a run is in, where the datasets are that it names."""
    return folder.path.parent.parent


def reopen(folder: RunFolder) -> Prepared:
    """A run whose adapter is trained, ready to be evaluated again, exported or talked to."""
    spec = folder.resolved_spec()
    found = loading.find(spec.model)
    tokenizer = loading.tokenizer(found, spec.model.chat_template)
    fix_date(tokenizer, planner.day_of(folder.lock))
    return Prepared(spec, found, tokenizer, encode.EMPTY, None, machines.probe())


def load(prepared: Prepared, as_stored: bool = False) -> Any:
    """The base model as the plan decided to hold it. as_stored: see `load_base`."""
    import torch

    if prepared.machine.device == "cpu":
        torch.set_num_threads(prepared.spec.training.threads)
    return loading.load_base(prepared.spec.model, prepared.machine.device, prepared.base_model, as_stored=as_stored)
