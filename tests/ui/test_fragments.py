"""Fragments escape everything that came from outside."""

from __future__ import annotations

import functools
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest

from studio.app import curves, run_updates
from studio.app.exports import ExportEstimate, ListedExport
from studio.app.file_preview import FirstRows
from studio.app.fragments import chat, compare, data, desk, evidence, exports, parts, plan, runs
from studio.app.fragments import home as home_fragments
from studio.app.preview_records import PreviewRecord, PreviewToken
from studio.app.run_summary import RunSummary
from studio.core import events
from studio.core.charts import Series, line_chart
from studio.core.errors import DataError
from studio.core.records import ErrorRecord
from studio.data import prepare
from studio.data.report import DataReport
from studio.data.settings import Data
from studio.evaluation.report import Answered, ModelAnswer
from studio.export.artifacts.manifest import Artifact, File
from studio.export.artifacts.push import PushRecord, Upload
from studio.export.verification.result import STRUCTURAL, Check, Verification
from studio.processes.tasks import Task
from studio.runs.plan import PlanRecord
from studio.runs.status import Status
from studio.ui import signin
from tests.ui import hostile

EVIL = "\"><script>hack()</script><img src=x onerror='hack()'> javascript:hack()"


def row(**changes: Any) -> RunSummary:
    failed = ErrorRecord(kind="JobError", message=EVIL, hint=EVIL, where=EVIL)
    hostile = RunSummary(
        id=EVIL, state="failed", name=EVIL, model=EVIL, data=EVIL, step=3, loss=1.0, held_out_loss=None, verdict=EVIL,
        created=1.0, who=EVIL, seconds=2.0, exports=(EVIL,), error=failed, folder=EVIL, started=1.0, note=EVIL, tags=(EVIL,),
        position=2,
    )  # fmt: skip
    return replace(hostile, **changes)


@functools.cache
def report() -> DataReport:
    """What the check of a dirty file says: hostile text in the file's name, a column, rows, rejected and repeated rows."""
    row = {"question": f"{EVIL} why?", "answer": f"{EVIL} so", EVIL: EVIL}
    rows = [row, row, {**row, "answer": EVIL}, {**row, "question": ""}, {**row, "question": "n/a", "answer": "N/A"}]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{EVIL.replace('/', '')}.jsonl"
        file.write_text("".join(json.dumps(item) + "\n" for item in rows))
        found = prepare.inspect(Data(train=str(file)))
    assert found.problems, "a fifth of the rows is rejected"
    assert found.rejected.first, "listed"
    assert found.removed, "repeated"
    assert found.conflicts, "two answers to one question"
    assert found.warnings, "in words"
    assert found.samples, "rows as conversations"
    return found


def desk_parts() -> str:
    """All parts of the desk, on rows, edits, a title and a reason that are hostile."""
    from studio.app import curation, library
    from studio.app.curation import Query

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        rows = [{"question": f"{EVIL} a@b.org", "answer": f"{EVIL} {number}"} for number in range(3)]
        file.write_text("".join(json.dumps(item) + "\n" for item in rows))
        item = library.add(Path(folder) / "home", EVIL[:80], [(f"{EVIL.replace('/', '')}.jsonl"[-60:], file)])
        with curation.desk(item.reference, Path(folder) / "home") as opened:
            opened.mask(Query(every=True))
            opened.exclude(Query(rows=("1",)))
            made = curation.write_version(opened, why=EVIL)
            row = opened.row(2)
            found = {finding.check: finding for finding in opened.findings()}
            others = opened.same_question(row)
            parts = [
                desk.rows(list(opened.rows()), 2, 3, 0),
                desk.editor(row, others, curation.mask_preview(opened.row(1), item), found),
            ]
        difference = desk.difference(curation.compare(item, made), item, made)
        return "".join([desk.heading(made), *parts, desk.versions(library.versions_of(made), made), difference])


def planned() -> PlanRecord:
    return hostile.plan(EVIL)


def given() -> ModelAnswer:
    return ModelAnswer(text=EVIL, tokens=1, stopped=False, scores={})


TOKEN = PreviewToken(id=1, text=EVIL, trained=True, control=True, quoted=True)
ITEM = PreviewRecord(file=EVIL, line=1, trained=1, tokens=(TOKEN,), notes=(EVIL,), lookalikes=(EVIL,))
CHECKS = [Check(EVIL, EVIL, EVIL, False, EVIL)]
ARTIFACT = Artifact(
    kind=EVIL, folder=EVIL, settings={}, key=EVIL, sources={}, details={}, versions={}, serve=[EVIL], made_at=EVIL,
    files=[File(path=f"deploy/{EVIL}", bytes=3, sha256=EVIL)],
    verification=Verification(False, EVIL, CHECKS, note=f"{STRUCTURAL}: {EVIL}", advice=EVIL),
)  # fmt: skip
PUSHED = PushRecord(
    repository=EVIL,
    url=f"https://x/{EVIL}",
    commit=EVIL,
    private=True,
    status=EVIL,
    files=1,
    bytes=3,
    removed=[],
    pushed_at=EVIL,
)
UNRUN = ARTIFACT.with_values(verification=Verification(None, EVIL, CHECKS, note=f"{STRUCTURAL}: {EVIL}"))
STATUS = Status(state="training", done=1, total=2, what=EVIL)
PROBLEM = DataError(EVIL, hint=EVIL, where=EVIL)
ALL = {
    "bar": lambda: parts.bar([(EVIL, "/")], "x"),
    "heading": lambda: parts.heading(EVIL, EVIL),
    "notice": lambda: parts.notice(EVIL, EVIL, "bad", EVIL),
    "error": lambda: parts.error(PROBLEM),
    "toast": lambda: parts.toast(PROBLEM),
    "empty": lambda: parts.empty(EVIL, EVIL, EVIL, EVIL),
    "progress": lambda: parts.progress(1, 2, EVIL),
    "table": lambda: parts.table([EVIL], [[parts.text(EVIL)]], EVIL),
    "facts": lambda: parts.facts([(EVIL, EVIL)]),
    "figures": lambda: parts.figures([(EVIL, EVIL, EVIL)]),
    "steps": lambda: home_fragments.steps([Some(title=EVIL, text=EVIL, link=EVIL, label=EVIL, done=False)]),
    "library": lambda: data.library([Some(key=EVIL, title=EVIL, number=1, files=[EVIL], bytes=1, created=1.0)]),
    "desk": lambda: desk_parts(),
    "data head": lambda: data.head(report()),
    "detected": lambda: data.detected(report(), {}),
    "findings": lambda: data.findings(report()),
    "lengths": lambda: data.lengths(report()),
    "samples": lambda: data.samples(report()),
    "tokens": lambda: data.tokens([ITEM]),
    "raw rows": lambda: data.raw_rows(FirstRows(columns=(EVIL,), rows=({EVIL: EVIL},))),
    "plan": lambda: plan.card(planned()),
    "runs": lambda: runs.overview([row(), row(state="done", error=None)]),
    "newest": lambda: runs.newest([row()]),
    "run head": lambda: runs.head(row(), f"https://x/{EVIL}"),
    "stages": lambda: runs.stages(STATUS),
    "problem": lambda: runs.problem(ErrorRecord(kind="JobError", message=EVIL, hint=EVIL, where=EVIL)),
    "decisions": lambda: runs.decisions(planned()),
    "story": lambda: runs.story([events.Warning(message=EVIL, time=1.0), events.Unreadable(line=EVIL)]),
    "log": lambda: runs.log(EVIL),
    "settings": lambda: compare.settings([(EVIL, [EVIL, [EVIL]])], [EVIL, EVIL]),
    "results": lambda: compare.results([row()], [[(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL)]], [EVIL]),
    "answer": lambda: evidence.answer(
        Answered(question=EVIL, reference=EVIL, base=given(), tuned=given(), file=EVIL, line=1, earlier=1)
    ),
    "marked": lambda: evidence.marked(EVIL, "other words"),
    "chat": lambda: chat.sides([{"role": "user", "content": EVIL}], [{"role": EVIL, "content": EVIL}], True, EVIL),
    "exports": lambda: exports.artifacts(EVIL, [ListedExport(ARTIFACT, [PUSHED])]),
    "working": lambda: exports.working(
        [
            Task("export", EVIL, "failed", 1.0, error=PROBLEM),
            Task("push", EVIL, "running", 1.0, EVIL),
        ]
    ),
    "target": lambda: exports.target(EVIL, EVIL, ExportEstimate(EVIL, 3, f"{EVIL}: {EVIL}", EVIL, EVIL, EVIL)),
    "upload": lambda: exports.upload(Upload(UNRUN, EVIL, False)),
    "chart": lambda: line_chart(EVIL, [Series(EVIL, [(0, 1.0), (1, 2.0)])], x_label=EVIL, note=EVIL),
    "sign-in": lambda: signin.page(EVIL, True),
}


@pytest.mark.parametrize("name", ALL)
def test_what_came_from_outside_stays_text(name: str):
    html = ALL[name]()
    assert "<script" not in html
    assert "<img src=x" not in html
    assert not re.search(r"<[^>]*\son\w+\s*=\s*['\"]?hack", html.replace("&quot;", "").replace("&#x27;", "")) or "&lt;" in html
    assert not re.search(r'href="\s*javascript:', html)


def test_a_link_to_another_site_is_shown_only_if_it_is_https():
    assert "javascript" not in runs.head(row(verdict="", note="", tags=(), error=None), "javascript:hack()")


def test_an_answer_that_agrees_is_not_marked():
    assert "<del>" not in evidence.marked("The same words.", "The same words.")
    assert evidence.marked("It costs 5 euro", "It costs 6 euro") == "It costs <del>5</del> euro"


@pytest.mark.slow
def test_a_hundred_thousand_steps_become_at_most_a_thousand_points_and_no_spike_is_lost(tmp_path):
    file = tmp_path / "metrics.jsonl"
    with open(file, "w") as out:
        for step in range(100_000):
            out.write(f'{{"step": {step}, "loss": {99.0 if step == 54_321 else 1.0}}}\n')
    found = curves.read(file)
    points = found.series["loss"].points()
    assert len(points) <= curves.POINTS
    assert max(y for _, y in points) == 99.0
    assert [x for x, _ in points] == sorted(x for x, _ in points)


def test_a_damaged_run_is_called_damaged_with_its_file_although_it_ended_well():
    error = ErrorRecord(kind="RecordError", message="damaged: launch.json: expected a JSON object", hint="Set it aside.")
    shown = runs.overview([row(id="a", state="done", name="a", error=error)])
    assert ">damaged<" in shown
    assert "Damaged: launch.json: expected a JSON object" in shown


def test_curves_are_read_on_and_a_resumed_run_replaces_its_steps(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 3, "lo')
    assert list(curves.read(file).series["loss"].steps) == [1, 2]
    with open(file, "a") as out:
        out.write('ss": 1}\n{"step": 2, "loss": 1.5}\nnot json\n{"step": "x"}\n{"step": 4, "loss": NaN}\n')
    series = curves.read(file).series["loss"]
    assert list(zip(series.steps, series.values, strict=True)) == [(1, 3), (2, 1.5)]


def test_the_time_left_after_a_resume_is_told_from_the_resume_on(tmp_path):
    from studio.app.curves import read
    from studio.runs.status import Status
    from studio.ui.pages.run import _time_left

    file = tmp_path / "metrics.jsonl"
    before = [{"step": step, "loss": 1.0, "time": 1000.0 + 50 * step} for step in range(1, 101)]
    since = [{"step": step, "loss": 1.0, "time": 100_000.0 + 2 * step} for step in range(91, 111)]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in before + since))
    status = Status(state="training", done=110, total=140, process_started=100_000.0)
    assert _time_left(status, read(file)) == "about 1 min 0 s"
    assert _time_left(Status(state="training", done=110, total=140, process_started=200_000.0), read(file)) == ""


def test_bytes_that_are_read_are_not_called_rows() -> None:
    status = Status(state="preparing", done=40_302, total=40_302, what="Reading rows")
    assert run_updates.how_far(status) == "Reading rows: 39.4 KiB of 39.4 KiB"
    assert (
        run_updates.how_far(status.model_copy(update={"what": "Writing rows", "done": 10_000}))
        == "Writing rows 10,000 of 40,302"
    )
    assert run_updates.how_far(status.model_copy(update={"what": "", "total": 0})) == "preparing"
