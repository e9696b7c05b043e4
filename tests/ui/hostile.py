"""A home full of hostile words: in file names, cells, run names, answers, errors and logs."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from studio.app import documents, feedback, indexes, library, runs
from studio.app.feedback import Opinion
from studio.app.runs import Run
from studio.cascade.asking import LargeRow
from studio.cascade.calibration import Row, calibrate
from studio.cascade.questions import Right
from studio.cascade.record import Cascade, CascadeFolder
from studio.cascade.report import report as cascade_report
from studio.cascade.signals import SIGNALS
from studio.comparison.compare import BASE, Answerer, Reply, compare
from studio.comparison.questions import Question
from studio.comparison.questions import Questions as FileOfQuestions
from studio.comparison.record import AnswerRow
from studio.comparison.settings import Comparison
from studio.core import events
from studio.core.errors import TrainingError
from studio.core.files import write_json, write_text
from studio.core.records import ErrorRecord
from studio.data.made_rows import MadeRows, Teacher
from studio.evaluation.interval import Estimate
from studio.evaluation.report import Answered, Compared, ModelAnswer, Report, SetReport, Speed, Verdict
from studio.export.artifacts import manifest
from studio.export.artifacts.manifest import Artifact, File
from studio.export.verification.result import Check, Verification
from studio.hardware.peak import Item
from studio.making import folder
from studio.making.recipes.questions import Questions
from studio.making.records import DroppedRow, Example, FilterFigures, JobStatus, MakingReport, RecipeFigures
from studio.making.spec import MakingSpec
from studio.remote.endpoint import Endpoint, Price
from studio.runs.plan import Alternative, Counts, Decision, MemoryEstimate, PlanRecord, Time
from studio.runs.recorder import Recorder
from studio.spec import RunSpec, dump
from studio.tracking.reporter import Silent
from tests.documents.files import PdfPage, pdf

EVIL = '<img src=x onerror="window.hacked=1;alert(1)"><script>window.hacked=1</script>\''


def fill(home: Path) -> None:
    """Two datasets, a run that is done with evidence, and one that failed."""
    rows = "".join(f"{json.dumps({'question': f'{EVIL} what is {i}?', 'answer': f'{EVIL} it is {i}'})}\n" for i in range(40))
    source = home / "upload.jsonl"
    source.write_text(rows + '{"question": "", "answer": "x"}\n', encoding="utf-8")
    item = library.add(home, f"Hostile {EVIL}"[:80], [("<script>hack<script>.jsonl", source)])
    for file in library.samples():
        if file.stem == "support":
            library.add(home, "Support", [(file.name, file)])
    paper = pdf(home / "paper.pdf", [PdfPage().write([f"{EVIL} is on page {number}"], size=7) for number in (1, 2)])
    page = home / "page.md"
    page.write_text(f"# {EVIL}\n\n{EVIL}\n")
    documents.add_documents("Papers", paper, page, home=home)
    indexes.build_index("papers", "papers", home=home)
    made(home)
    compared(home)
    cascaded(home)
    run = done(home, item.files[0])
    rated(home, run)
    failed(home, item.files[0])


def rated(home: Path, run: Run) -> None:
    """Collected answers, every word of them hostile."""
    feedback.turn(True, home)
    opinion = Opinion(rating="bad", correction=EVIL, flag=EVIL)
    feedback.say_of_evidence(home, run, "held-out", 0, "tuned", opinion)
    feedback.say_in_chat(home, "starter", False, "base", [{"role": "user", "content": EVIL}], EVIL, opinion)


def made(home: Path) -> None:
    """A job that has made rows, every word of it hostile."""
    teacher = Endpoint(url="https://api.example.com/v1", model=EVIL, price=Price(input=1, output=1))
    recipe = Questions(kind="questions")
    job = folder.create(home, MakingSpec(name=EVIL[:80], teacher=teacher, documents=["papers"], terms=EVIL, recipes=[recipe]))
    error = ErrorRecord(kind="StudioError", message=EVIL, hint=EVIL, where=EVIL)
    job.set_status(JobStatus(state="ceiling", what=EVIL, done=3, total=9, spent=0.1, ceiling=0.1, error=error))
    example = Example(score=0.7, question=EVIL, answer=EVIL)
    figures = FilterFigures(name="leak", entered=3, dropped=1, threshold=0.7, below=(example,), above=(example,))
    summary = MadeRows(job=job.id, teacher=Teacher(host=EVIL, model=EVIL, served=(EVIL,), terms=EVIL), documents=(EVIL,))
    report = MakingReport(
        complete=False, summary=summary, recipes=(RecipeFigures(recipe=EVIL, calls=3),), filters=(figures,), rows=1, pairs=0,
        held_out=0, refusals=0, dropped=1, spent=0.1, cautions=(EVIL,),
    )  # fmt: skip
    dropped = DroppedRow(recipe=EVIL, filter="leak", reason=EVIL, question=EVIL, source=EVIL)
    job.write_result([], [dropped], report)


def compared(home: Path) -> None:
    """A comparison whose every word is hostile."""
    folder, rows = home / "comparisons" / "20260101-000000-0000", list[AnswerRow]()
    questions = FileOfQuestions([Question(f"{EVIL} {number}", EVIL, True) for number in range(2)])
    local = [Answerer(BASE, lambda messages: Reply(EVIL, 3, 3, 0.1))]
    record = compare(Comparison(run=EVIL), questions, local, None, None, Silent(), rows.append, id=folder.name)
    record.write(folder / "report.json")
    for row in rows:
        row.append(folder / "answers.jsonl")
    write_text(folder / "comparison.yaml", EVIL)


def cascaded(home: Path) -> None:
    """A cascade with its report, every word of it hostile."""
    folder = CascadeFolder(home / "cascades" / "evil-0001")
    rows = [
        Row(
            question=EVIL, reference=EVIL, answer=EVIL, right=number % 3 > 0, kind="fresh", tokens=3, seconds=0.1,
            signals=dict.fromkeys(SIGNALS, number / 100),
        )
        for number in range(100)
    ]  # fmt: skip
    cascade = Cascade(
        id="evil-0001", created=0, small=EVIL, large=Endpoint(url="http://localhost:1/v1", model=EVIL), max_tokens=9,
        right=Right(metric="exact_match", at_least=1.0), calibration=calibrate(rows, 0.4), warnings=(EVIL,),
    )  # fmt: skip
    cascade.write(folder.record)
    bought = [LargeRow(answer=EVIL, right=True, cost=0.1, seconds=1, tokens=3) for _ in rows]
    cascade_report(cascade, rows, rows, bought).write(folder.report)


def done(home: Path, file: str, name: str = f"done {EVIL}"[:80], steps: int = 60) -> Run:
    """A run as it lies on disk after it ended well."""
    spec = RunSpec.model_validate({"name": name, "data": {"train": file}, "tracking": {"note": EVIL, "tags": [EVIL[:40]]}})
    run = runs.create(spec, home)
    folder, recorder = run.folder, Recorder(run.folder)
    folder.write_spec(spec)  # pyright: ignore[reportArgumentType]
    plan(EVIL).write(folder.plan)
    for state in ("preparing", "training", "evaluating", "exporting"):
        with recorder.stage(state):
            recorder.event(events.Warning(message=EVIL))
            for step in range(1, steps + 1) if state == "training" else ():
                recorder.metrics(step, loss=2 * math.exp(-step / 20) + 0.1, lr=2e-4, grad_norm=1.0, tokens_per_second=900.0)
    recorder.metrics(steps, eval_loss=0.2)
    write_text(folder.log, EVIL + "\nWANDB_API_KEY=0123456789abcdef0123456789abcdef01234567\n")
    (folder.adapter).mkdir()
    write_json(folder.adapter / "adapter_config.json", {})
    report().write(folder.report)
    write_text(folder.report_page, "<p>the report as a page</p>")
    checks = [Check(EVIL, 1.0, EVIL, True, EVIL)]
    artifact = Artifact(
        kind="merged", folder="merged", settings={}, key="k", sources={}, details={}, versions={}, serve=[f"vllm serve {EVIL}"],
        made_at="2026-01-01T00:00:00+00:00", files=[File(path="model.safetensors", bytes=3, sha256="0" * 64)],
        verification=Verification(True, EVIL, checks),
    )  # fmt: skip
    (folder.exports / "merged").mkdir(parents=True)
    manifest.write(artifact, folder.exports / "merged")
    recorder.end("done")
    return run


def plan(text: str) -> PlanRecord:
    """A plan whose every text is `text`."""
    return PlanRecord(
        spec={},
        machine=text,
        device="cpu",
        fits=False,
        decisions=(Decision(text, text, text, text),),
        memory=MemoryEstimate(total=5, items=(Item(text, 5, text),)),
        counts=Counts(1, 1, 0, 1, 1, 1, 1.0, 0.0, 1, False),
        time=Time(low=1, high=2, basis=text),
        summary=(text,),
        warnings=(text,),
        alternatives=(Alternative(text, {}, 3, text),),
    )


def failed(home: Path, file: str) -> Run:
    """A run as it lies on disk after it failed."""
    run = runs.create(RunSpec.model_validate({"name": "failed", "data": {"train": file}}), home)
    recorder = Recorder(run.folder)
    write_text(run.folder.spec_file, dump(run.spec))
    recorder.end("failed", TrainingError(f"the loss is not a number {EVIL}", hint=f"Lower it {EVIL}", where=EVIL))
    return run


def report() -> Report:
    """A report whose texts are hostile."""
    scores: dict[str, float] = dict.fromkeys(("exact_match", "normalised_match", "token_f1", "rouge_l", "loss"), 0.0)
    given = ModelAnswer(EVIL, 3, False, scores)
    answered = Answered(EVIL, f"wanted {EVIL}", given, dataclasses.replace(given, text="wanted"), EVIL, 3)
    figure = Compared(Estimate(0.1, 0.0, 0.2, 9), Estimate(0.9, 0.8, 1.0, 9), Estimate(0.8, 0.6, 1.0, 9))
    found = SetReport("held-out", 9, [answered] * 3, {"exact_match": figure}, "exact_match", EVIL, 32, [0], [1], [2], [EVIL])
    verdict = Verdict("better", f"Better: {EVIL}", EVIL, [EVIL])
    speed = {"base": Speed(0.1, 0.1, 0.2, 3, 100.0)}
    return Report(sets=[found], verdict=verdict, device="cpu", resamples=1000, seed=42, speed=speed)


if __name__ == "__main__":
    import sys

    fill(Path(sys.argv[1]))
