"""`studio make` from the shipped example to a dataset, and what it refuses."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.app import documents, making, making_web
from studio.app.fragments import making as fragments
from studio.cli import main
from studio.core.errors import StudioError
from studio.data import prepare
from studio.data.curation import store
from tests.making import kit
from tests.remote.loopback import Faults, loopback

RECIPES = making.recipes()


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `studio make …` on a home of its own and gives what it printed, as JSON where that was asked."""

    def run(*arguments: str, code: int = 0) -> Any:
        assert main.run(["make", *arguments, "--home", str(tmp_path / "home")]) == code, capsys.readouterr()
        out = capsys.readouterr()
        return json.loads(out.out) if "--json" in arguments else out.out + out.err

    return run


@pytest.fixture
def handbook(tmp_path: Path) -> None:
    """The kit's documents as a collection of the home."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for passage in kit.passages_of(tmp_path, "handbook"):
        (folder / passage.document).write_text(f"# {passage.heading_path[0]}\n\n{passage.text}\n")
    documents.add_documents("handbook", folder, home=tmp_path / "home")


@pytest.mark.slow
def test_the_example_makes_rows_and_held_out_rows_without_a_key(command: Any, tmp_path: Path) -> None:
    made = command("example", "--json")
    assert made["status"]["state"] == "done"
    assert made["report"]["rows"] > 600
    assert made["report"]["refusals"] > 150
    assert len(made["report"]["summary"]["held_out_documents"]) == 10
    home = tmp_path / "home"
    rows, held_out = (
        list(prepare.usable(store.named(home, made["status"][name]).data)) for name in ("dataset", "held_out_dataset")
    )
    assert len(held_out) > 50
    assert not {row.messages[0]["content"] for row in rows} & {row.messages[0]["content"] for row in held_out}
    said = command("report", "last")
    assert "dataset:handbook@1" in said
    assert "Dropped: leak" in said


@pytest.mark.slow
def test_plan_run_and_report_tell_one_story(command: Any, handbook: None, tmp_path: Path) -> None:
    with loopback(kit.answer) as api:
        recipe = tmp_path / "r.yaml"
        recipe.write_text(
            "name: Rows\ndocuments: [handbook]\n"
            f"teacher: {{url: '{api.url}', model: canned, price: {{input: 10, output: 10}}}}\n"
            "recipes:\n  - {kind: questions, per_passage: 2}\n  - {kind: unanswerable}\n"
        )
        planned = command("plan", str(recipe))
        assert "Sample: questions of" in planned
        assert "--ceiling" in planned
        assert "terms" in planned
        refused = command("run", str(recipe), code=2)
        assert "there is no ceiling" in refused
        assert command("run", str(recipe), "--ceiling", "0.02", "--json", code=1)["status"]["state"] == "ceiling"
        job = making.find("last", tmp_path / "home")
        done = command("resume", job.id, "--ceiling", "1", "--json")
        assert done["status"]["state"] == "done"
        assert len(api.bills) == 14
        assert done["report"]["spent"] < 1
        assert command("run", str(recipe), "--ceiling", "1", "--json")["id"] == job.id, "the same recipe is the same job"
        assert len(api.bills) == 14
    assert len(command("list", "--json")) == 1
    assert command("dataset", job.id, "--name", "Other", "--json")["dataset"] == "dataset:other@1"


@pytest.mark.slow
def test_a_killed_job_goes_on_without_paying_a_received_answer_again(command: Any, handbook: None, tmp_path: Path) -> None:
    home, killed, waiting, number = tmp_path / "home", threading.Event(), list[str](), itertools.count(1)

    def say(body: dict[str, Any]) -> str:
        if next(number) > 5 and not killed.is_set():  # five answers are received, and two requests are in flight
            waiting.append("in flight")
            killed.wait(120)
        return kit.answer(body)

    with loopback(say) as api:
        recipe = {"name": "Rows", "documents": ["handbook"], "concurrency": 2,
                  "teacher": {"url": api.url, "model": "canned", "price": {"input": 1, "output": 1}},
                  "recipes": [{"kind": "questions", "per_passage": 2}, {"kind": "unanswerable"}]}  # fmt: skip
        file = tmp_path / "r.yaml"
        file.write_text(json.dumps(recipe))
        make = [sys.executable, "-m", "studio", "make", "run", str(file), "--ceiling", "1", "--home", str(home)]
        child = subprocess.Popen(make, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 100
            while len(waiting) < 2 and child.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            assert "already running" in command("run", "last", "--ceiling", "1", code=2)
        finally:
            child.kill()
            child.wait()
            killed.set()
        (job,) = command("list", "--json")
        assert job["status"]["state"] == "interrupted"
        assert "not paid again" in job["status"]["error"]["hint"]
        done = command("run", job["id"], "--json")
        assert (done["status"]["state"], done["status"]["ceiling"]) == ("done", 1.0)
        assert sum(recipe["cached"] for recipe in done["report"]["recipes"]) == 5
        assert len(api.received) == 14 + 2, "only what was in flight is requested again"
        assert done["status"]["spent"] >= api.billed(1, 1), "and what was in flight counts as paid"
        rows = [row.values for row in making.find(job["id"], home).rows]
        command("run", str(file), "--ceiling", "1")
        assert len(api.received) == 16
    with loopback(kit.answer) as api:
        whole = kit.spec(api, *recipe["recipes"])
        never_killed = making.make_rows(whole, home=home)
    assert rows == [row.values for row in never_killed.rows]


def test_a_report_shows_rows_on_both_sides_of_a_threshold(command: Any, tmp_path: Path) -> None:
    with loopback(kit.answer) as api:
        job = kit.ran(tmp_path / "home", kit.spec(api, {"kind": "questions"}, filters={"judge": 3}))
    said = command("report", job.id)
    assert "Around the threshold of judge (3)" in said
    assert "just dropped, 2: Where can I buy the" in said
    assert "just kept, 5: How much does the" in said


def test_what_is_wrong_with_a_recipe_is_said_with_its_line(command: Any, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    teacher = "teacher: {url: 'http://localhost:1/v1', model: m}"
    recipe.write_text(f"name: Rows\n{teacher}\nrecipes:\n  - {{kind: labels, label: {{}}}}\n")
    said = command("plan", str(recipe), code=2)
    assert "line 4" in said
    assert "there is no job `x`" in command("report", "x", code=2)
    assert "there is no such file" in command("run", "nothing.yaml", code=2)


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_shipped_recipe_is_read_and_says_what_it_is(name: str) -> None:
    assert making.load(name).recipes
    assert RECIPES[name].read_text().splitlines()[1].startswith("# ")


@pytest.mark.parametrize("name", list(RECIPES))
def test_editors_check_a_recipe_by_the_schema_that_it_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from jsonschema import Draft202012Validator

    assert main.run(["make", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    named = RECIPES[name].read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert json.loads((RECIPES[name].parent / named).read_text()) == schema
    recipe = yaml.safe_load(RECIPES[name].read_text())
    Draft202012Validator.check_schema(schema)
    assert not list(Draft202012Validator(schema).iter_errors(recipe))
    wrong = {**recipe, "recipes": [{**recipe["recipes"][0], "per_pasage": 2}]}
    assert list(Draft202012Validator(schema).iter_errors(wrong)), "a misspelt field is marked"


def test_python_makes_rows_as_the_command_does(handbook: None, tmp_path: Path) -> None:
    with loopback(kit.answer) as api:
        recipe = {"name": "Rows", "documents": ["handbook"], "teacher": {"url": api.url, "model": "canned"},
                  "recipes": [{"kind": "questions"}]}  # fmt: skip
        planned = making.plan_rows(recipe, home=tmp_path / "home")
        assert planned.plan
        job = making.make_rows(planned, home=tmp_path / "home")
    assert job.dataset == "dataset:rows@1"
    assert len(job.rows) == 14
    assert "done" in repr(job)


@pytest.mark.slow
def test_a_signal_pauses_a_job_that_a_page_began_and_it_goes_on(handbook: None, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with loopback(kit.answer, Faults(seconds=0.2)) as api:
        recipe = {"name": "Rows", "documents": ["handbook"], "teacher": {"url": api.url, "model": "canned"},
                  "recipes": [{"kind": "questions"}], "concurrency": 1}  # fmt: skip
        job = making.plan_rows(recipe, home=home, samples=0)
        making_web.begin(job, home, None)
        until = time.monotonic() + 60
        while len(api.bills) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        making_web.pause(job)
        while job.status.state == "running" and time.monotonic() < until:
            time.sleep(0.02)
        assert job.status.state == "paused"
        assert 2 <= len(api.bills) < 7
        assert job.report
        assert not job.report.complete
        assert making.make_rows(job, home=home).status.state == "done"
        assert len(api.bills) == 7


def _recipe(tmp_path: Path, **teacher: Any) -> str:
    file = tmp_path / "recipe.yaml"
    spec = {"documents": ["handbook"], "teacher": {"model": "canned", **teacher}, "recipes": [{"kind": "questions"}]}
    file.write_text(json.dumps(spec))
    return str(file)


@pytest.mark.usefixtures("handbook")
@pytest.mark.parametrize("verb", ["plan", "run"])
@pytest.mark.parametrize("ceiling", ["0", "-1", "nan"])
def test_a_ceiling_that_is_no_amount_buys_nothing_and_stays_with_no_job(
    command: Any, tmp_path: Path, verb: str, ceiling: str
) -> None:
    with loopback(kit.answer) as api:
        recipe = _recipe(tmp_path, url=api.url, price={"input": 1, "output": 1})
        refused = command(verb, recipe, "--ceiling", ceiling, "--json", code=2)
        assert refused["error"]["where"] == "ceiling"
        assert not api.received
    assert all(job["status"]["ceiling"] is None for job in command("list", "--json"))


@pytest.mark.usefixtures("handbook")
@pytest.mark.parametrize("key", ["gsk_0123456789abcdef0123", "sk-or-v1-0123456789abcdef"])
def test_a_key_in_place_of_its_name_is_refused_and_neither_shown_nor_written(command: Any, tmp_path: Path, key: str) -> None:
    recipe = _recipe(tmp_path, url="http://127.0.0.1:9/v1", key=key)
    refused = command("plan", recipe, "--json", code=2)
    assert refused["error"]["where"].endswith("teacher.key")
    assert "name" in refused["error"]["hint"]
    assert key not in json.dumps(refused)
    assert not any(key in file.read_text() for file in (tmp_path / "home").rglob("*.yaml"))


@pytest.mark.usefixtures("handbook")
def test_the_key_of_a_known_host_is_missed_before_anything_is_sent(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    recipe = _recipe(tmp_path, url="https://api.groq.com/openai/v1", price={"input": 1, "output": 1})
    refused = command("plan", recipe, "--json", code=2)
    assert "GROQ_API_KEY" in refused["error"]["message"]


@pytest.mark.usefixtures("handbook")
def test_a_plan_does_not_wait_minutes_for_a_teacher_that_is_down(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.making.jobs.SAMPLES_PATIENCE", 0.1)
    refused = command("plan", _recipe(tmp_path, url="http://127.0.0.1:9/v1"), "--json", code=1)
    assert "does not respond" in refused["error"]["message"]


@pytest.mark.usefixtures("handbook")
def test_a_plan_that_failed_leaves_no_planned_job(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.making.jobs.SAMPLES_PATIENCE", 0.1)
    recipe = _recipe(tmp_path, url="http://127.0.0.1:9/v1")
    command("plan", recipe, "--json", code=1)
    assert command("list", "--json") == [], "nothing was paid, so nothing stays"
    command("plan", recipe, "--samples", "0", "--json")
    command("plan", recipe, "--json", code=1)
    (job,) = command("list", "--json")
    assert job["status"]["state"] == "planned", "the plan it had is still good"
    assert job["plan"]


def test_a_plan_that_failed_after_it_paid_is_a_failed_job_that_can_be_planned_again(handbook: None, tmp_path: Path) -> None:
    home = tmp_path / "home"

    def say(body: dict[str, Any]) -> str:
        api.faults = Faults(status=401)  # from the second request on
        return kit.answer(body)

    with loopback(say) as api:
        recipe = {"name": "Rows", "documents": ["handbook"], "recipes": [{"kind": "questions"}],
                  "teacher": {"url": api.url, "model": "canned", "price": {"input": 10, "output": 10}}}  # fmt: skip
        with pytest.raises(StudioError):
            making.plan_rows(recipe, home=home)
        (failed,) = making.list_jobs(home)
        assert failed.status.state == "failed"
        assert failed.status.spent > 0
        assert failed.status.error
        api.faults = Faults()
        planned = making.plan_rows(recipe, samples=1, home=home)
    assert (planned.id, planned.status.state) == (failed.id, "planned")


def test_a_job_without_a_plan_shows_how_many_requests_there_will_be(handbook: None, tmp_path: Path) -> None:
    home, said, pages = tmp_path / "home", list[making.JobStatus](), list[str]()

    def told(status: making.JobStatus) -> None:
        said.append(status)
        pages.append(str(fragments.status(making.find("last", home))))

    with loopback(kit.answer) as api:
        recipe = {"name": "Rows", "documents": ["handbook"], "teacher": {"url": api.url, "model": "canned"},
                  "recipes": [{"kind": "questions"}]}  # fmt: skip
        making.make_rows(recipe, home=home, report=told)
    assert {status.total for status in said if status.done} == {7}
    assert [status.total for status in said][:2] == [0, 7]
    assert "reading sources" in pages[0]
    assert "requests" not in pages[0], "nobody knows yet how many"
    assert "of 7 requests" in pages[1]


@pytest.mark.usefixtures("handbook")
def test_a_job_whose_answers_were_all_dropped_has_failed(command: Any, tmp_path: Path) -> None:
    with loopback("Sure! I cannot help with that.") as api:
        said = command("run", _recipe(tmp_path, url=api.url), code=1)
    assert "no row was made" in said
    assert "studio make report" in said
