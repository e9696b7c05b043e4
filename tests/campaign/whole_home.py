"""A home with two of everything that Studio keeps, each file written by the code that writes it. No torch is needed."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

from studio.app import answer_comparison, curation, documents, indexes, judging, library, making, queue, runs
from studio.app.runs import Run
from studio.benchmark.result import Result
from studio.cascade import page, report
from studio.cascade.calibration import calibrate
from studio.cascade.questions import Right
from studio.cascade.record import Cascade, CascadeFolder
from studio.cli.main import run as command
from studio.comparison.compare import BASE, Answerer
from studio.core.files import append_json, write_json, write_text
from studio.data.curation import store
from studio.data.curation.views import Query
from studio.data.report import DataReport
from studio.evaluation.interval import Estimate
from studio.evaluation.report import Answered, Compared, ModelAnswer, Report, SetReport, Verdict
from studio.processes.identity import ProcessId
from studio.remote.endpoint import Endpoint
from studio.runs import supervisor
from studio.spec import RunSpec
from tests.benchmark.records import CONDITIONS, MACHINE
from tests.cascade.test_promise import bought, split
from tests.comparison import test_compare as comparing
from tests.evaluation.test_judge import honest
from tests.making import kit
from tests.remote.loopback import loopback
from tests.ui import hostile

TWO = ("alpha", "beta")
"""What things are called: a fault meets one of them, and the other stays as it is."""


def fill(home: Path) -> None:
    """Two of everything. STUDIO_HOME must name `home`."""
    home.mkdir(parents=True, exist_ok=True)
    with patch.object(supervisor, "ensure", lambda root: None):
        for name in TWO:
            key = _dataset(home, name)
            _run(home, name, key)
            _index(home, name)
            _job(home, name)
            _cascade(home, name)
            _comparison(home, name)
            _benchmark(home, name)
            _model(home, name)
            _checks(home, name)
            queue.submit(RunSpec.model_validate({"name": f"waits-{name}", "data": {"train": key}}), home)
    _servers(home)


def item_of(file: Path) -> Path:
    """The thing of a home that a file of it belongs to, relative to the home: a run, a dataset, a job; else the file itself."""
    parts = file.parts
    deep = {"runs", "datasets", "documents", "indexes", "making", "cascades", "comparisons", "models"}
    return Path(*parts[:2]) if parts[0] in deep and len(parts) > 2 else file


def _dataset(home: Path, name: str) -> str:
    rows = [{"question": f"what does lamp {number} cost?", "answer": f"{number} euros for {name}"} for number in range(12)]
    file = home.parent / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    item = library.add(home, name, [(file.name, file)])
    desk = curation.desk(item.reference, home)
    desk.exclude(Query(rows=("1",)), "said twice")
    curation.write_version(desk)
    return item.reference


def _run(home: Path, name: str, reference: str) -> Run:
    """A run that is done, judged, rated and exported."""
    run = hostile.done(home, reference, name, 5)
    write_text(run.folder.log, "done\n")
    rows = [Answered(f"question {index}", "24 months", _given(f"12 months {index}"), _given("24 months")) for index in range(6)]
    figure = Compared(Estimate(0, 0, 0, 6), Estimate(1, 1, 1, 6), Estimate(1, 1, 1, 6))
    part = SetReport("held-out", 6, rows, {"exact_match": figure}, "exact_match", "")
    Report(sets=[part], verdict=Verdict("better", "b", "a"), device="CPU", resamples=100, seed=0).write(run.folder.report)
    with loopback(lambda body: honest(body["messages"][-1]["content"])) as api:
        judging.judge(run, f"{api.url}#judge", home)
    judging.rate(run, judging.pairs_to_rate(run)[0][0].key, "tie")
    return run


def _checks(home: Path, name: str) -> None:
    """What the pages of a dataset show, made here, so that no page begins a process."""
    for item in store.versions_of(home / "datasets" / name):
        found = io.StringIO()
        with contextlib.redirect_stdout(found):
            command(["data", "inspect", item.reference, "--json", "--home", str(home)])
        made = DataReport.from_json(json.loads(found.getvalue()))
        library.Inspection(settings=item.settings, report=made).write(item.path / "inspected.json")
        curation.desk(item.reference, home)


def _given(text: str) -> ModelAnswer:
    return ModelAnswer(text, 2, True, {"exact_match": 0.0})


def _index(home: Path, name: str) -> None:
    folder = home.parent / f"pages-{name}"
    folder.mkdir(exist_ok=True)
    for passage in kit.passages_of(home, "handbook"):
        (folder / passage.document).write_text(f"# {passage.heading_path[0]}\n\n{passage.text}\n")
    documents.add_documents(name, folder, home=home)
    indexes.build_index(name, name, home=home)


def _job(home: Path, name: str) -> None:
    with loopback(kit.answer) as api:
        teacher = {"url": api.url, "model": "canned", "price": {"input": 1, "output": 1}}
        recipe = {"name": name, "documents": [name], "teacher": teacher, "recipes": [{"kind": "questions", "per_passage": 2}]}
        making.make_rows(making.plan_rows(recipe, ceiling=1.0, samples=1, home=home), ceiling=1.0, home=home)


def _cascade(home: Path, name: str) -> None:
    seen, unseen = split(1, 200)
    cascade = Cascade(
        id=f"{name}-0000", created=1.0, small=name, large=Endpoint(url="http://127.0.0.1:1/v1", model="canned"), max_tokens=32,
        right=Right(metric="normalised_match", at_least=1.0), calibration=calibrate(seen, 0.02),
    )  # fmt: skip
    folder = CascadeFolder(home / "cascades" / cascade.id)
    folder.path.mkdir(parents=True)
    for row in seen[:20]:
        append_json(folder.rows, row.as_json())
    cascade.write(folder.record)
    found = report.report(cascade, seen, unseen, bought(unseen))
    found.write(folder.report)
    write_text(folder.page, page.render(cascade, found))


def _comparison(home: Path, name: str) -> None:
    questions = home.parent / f"questions-{name}.jsonl"
    rows = [{"question": f"What does {tool} cost?", "answer": price} for tool, price in comparing.FACTS.items()]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = answer_comparison.Comparison(questions=str(questions), volume=10)
    answerers = [Answerer(BASE, comparing.guesses), Answerer("tuned", comparing.reads)]
    with patch.object(answer_comparison, "_local", lambda spec, home, opened: (answerers, 4096)):
        answer_comparison.compare_answers(spec, home)


def _benchmark(home: Path, name: str) -> None:
    state = "done" if name == TWO[0] else "running"
    Result(id=f"20260101-00000{len(name)}", begun=1.0, state=state, settings=CONDITIONS, machine=MACHINE).write(
        home / "bench" / f"20260101-00000{len(name)}.json"
    )


def _model(home: Path, name: str) -> None:
    folder = home / "models" / name
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 8})


def _servers(home: Path) -> None:
    process = asdict(ProcessId(1, -1, "gone"))
    started = home / "serving" / "started"
    started.mkdir(parents=True)
    for number in (1, 2):
        note = {"process": process, "given": ["starter"], "since": 1.0, "port": 8000}
        write_json(started / f"{number}.json", note)
        write_text(started / f"{number}.log", "ended\n")
        write_json(home / "serving" / f"{number}.json", {**note, "url": "http://127.0.0.1:1/v1", "models": ["a"], "pid": 1})


def names(home: Path) -> dict[str, list[str]]:
    """The ids of what `fill` wrote, by kind."""
    return {
        "runs": [run.id for run in runs.list_runs(home) if run.id.startswith(TWO)],
        "datasets": list(TWO),
        "documents": list(TWO),
        "indexes": list(TWO),
        "making": sorted(folder.name for folder in (home / "making").iterdir()),
        "cascades": sorted(folder.name for folder in (home / "cascades").iterdir()),
        "comparisons": sorted(folder.name for folder in (home / "comparisons").iterdir()),
    }
