"""A judge that the spec names: refused early where it cannot be asked, asked once after the evaluation, shown everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from studio.app import judging as use_case
from studio.app.fragments import rate
from studio.cli.main import app
from studio.core import events
from studio.core.errors import SpecError
from studio.data.prepare import inspect
from studio.data.settings import Data
from studio.evaluation.judge.settings import Judge
from studio.export.artifacts.card import _judged
from studio.export.merging.run_info import collect_run_info
from studio.runs import judging, report_page
from studio.runs.mirror import Mirror
from studio.spec import RunSpec, edit, parse, with_full_paths
from studio.tracking.reporter import Silent
from tests.app.test_judging import by_truth, rate_all
from tests.app.test_judging import run as run
from tests.evaluation.test_judge import honest
from tests.remote.loopback import loopback
from tests.test_planner import plan, some_rows

MINI = "https://openrouter.ai/api/v1#openai/gpt-4o-mini"

pytestmark = pytest.mark.torch


class Heard(Silent):
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def event(self, event: Any) -> None:
        self.events.append(event)


def spec_with(model: str, **judge: Any) -> RunSpec:
    return parse({"name": "bot", "data": {"train": "rows.jsonl"}, "evaluation": {"judge": {"model": model, **judge}}})


def asked(run: Any, spec: RunSpec) -> tuple[bool, list[Any]]:
    heard = Heard()
    return judging.ask(run.folder, spec, run.folder.path.parents[1], heard), heard.events


def test_one_word_names_the_judge_and_its_files_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "rubric.md").write_text("Shorter is better.")
    assert parse({"data": {"train": "a"}, "evaluation": {"judge": "model"}}).evaluation.judge == Judge(model="model")
    full = with_full_paths(spec_with("model", rubric="rubric.md")).evaluation.judge
    assert (full.model, full.rubric) == (str(tmp_path / "model"), str(tmp_path / "rubric.md"))
    assert with_full_paths(spec_with("last:merged")).evaluation.judge.model == "last:merged"


@pytest.mark.parametrize(
    ("changes", "message", "where"),
    [
        ({"evaluation.judge": {"model": MINI}}, "there is no ceiling", "evaluation.judge.ceiling"),
        ({"evaluation.judge": {"model": "https://a.example/v1#m", "ceiling": 1}}, "price of m", "evaluation.judge.price_in"),
        ({"evaluation.judge": {"model": "https://a.example/v1"}}, "a model behind an API", "https://a.example/v1"),
        ({"evaluation.judge": {"model": "no-such-run"}}, "neither a run, an export nor a model", "evaluation.judge.model"),
        ({"evaluation.judge": {"model": "starter"}}, "cannot judge its own", "evaluation.judge.model"),
        ({"evaluation.judge": {"model": MINI, "rubric": "none.md"}}, "cannot be read", "evaluation.judge.rubric: none.md"),
        ({"evaluation.judge": {"model": MINI, "ceiling": 1}, "data.holdout": 0}, "no held-out rows", "evaluation.judge"),
    ],
)
def test_a_judge_that_cannot_be_asked_is_refused_before_the_run(
    changes: dict[str, Any], message: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-" + "0" * 20)
    spec = edit(parse({"model": {"name": "starter"}, "data": {"train": "rows.jsonl"}}), changes)
    with pytest.raises(SpecError, match=message) as caught:
        judging.refuse(spec, tmp_path)
    assert where in caught.value.where


def test_a_key_in_place_of_its_name_is_refused_without_being_shown():
    secret = "sk-or-v1-" + "a1" * 20
    with pytest.raises(SpecError) as caught:
        spec_with(MINI, key=secret)
    assert secret not in f"{caught.value}{caught.value.hint}{caught.value.where}"


def test_the_plan_names_judge_requests_and_cost():
    judge = {"model": MINI, "ceiling": 2.5, "most": 60}
    [line] = [line for line in plan(evaluation={"judge": judge}).summary if line.startswith("judge")]
    assert "60 pairs of answers, each in both orders (120 requests)" in line
    assert "USD at most, under the ceiling of 2.50 USD" in line
    [local] = [line for line in plan(evaluation={"judge": "last:merged"}).summary if line.startswith("judge")]
    assert "(200 requests), on this machine" in local
    few = plan(rows=some_rows(held_out=7), evaluation={"judge": {"model": MINI, "ceiling": 1}})
    assert any("at most 7 pairs" in line for line in few.summary)
    assert not any(line.startswith("judge") for line in plan().summary)


def test_a_named_judge_is_asked_once_and_is_on_report_card_and_trackers(run: Any):
    with loopback(lambda body: honest(body["messages"][-1]["content"])) as api:
        spec = spec_with(f"{api.url}#judge", ceiling=1)
        done, said = asked(run, spec)
        assert done
        assert any(isinstance(event, events.Note) and "Tuned is preferred" in event.message for event in said)
        requests = len(api.received)
        assert requests == 54, "both orders of 27 pairs"
        assert asked(run, spec)[0]
        assert len(api.received) == requests, "a resumed run does not ask again"
    page = run.folder.report_page.read_text("utf-8")
    assert "Language model as judge" in page
    assert "These figures are not reliable and decide nothing" in page
    about = collect_run_info({}, run.folder.data / "report.json", run.folder.report)
    card = "\n".join(_judged(about.judged))
    assert "Tuned is preferred" in card
    assert "decide nothing" in card
    sent: dict[str, Any] = {}

    class Sink:
        def summary(self, figures: dict[str, Any]) -> None:
            sent.update(figures)

        def page(self, name: str, html: str) -> None:
            sent[name] = html

    mirror = Mirror(run.folder, [Sink()], Silent())  # pyright: ignore[reportArgumentType]
    mirror._hide = lambda text: text
    mirror.judged()
    assert sent["judge/win_rate"] > 0.9
    assert sent["judge/decides"] is False
    assert "Language model as judge" in sent["report"]


def test_a_person_who_agrees_takes_the_grey_off(run: Any):
    with loopback(lambda body: honest(body["messages"][-1]["content"])) as api:
        asked(run, spec_with(f"{api.url}#judge"))
    rate_all(run, by_truth)
    rows = run.report.sets[0].answers
    found = use_case.opinion(run)
    assert len(rows) == 30
    assert f"{found.rated} pairs rated by a person" in run.folder.report_page.read_text("utf-8")
    grey = rate.opinion(replace(found, decides=False), run.id)
    assert "judged soft" in str(grey)
    assert "judged soft" not in str(rate.opinion(replace(found, decides=True), run.id))


def test_a_judge_that_is_down_or_beyond_its_ceiling_costs_no_run(run: Any):
    with loopback('{"better": "A"}') as api:
        gone = f"{api.url}#judge"
        dear = spec_with(gone, ceiling=1e-6, price_in=1.0, price_out=1.0)
        done, said = asked(run, dear)
        assert not done
        assert "the ceiling of" in said[-1].message
        assert f"studio judge {run.id} --by {gone}" in said[-1].message
    assert isinstance(said[-1], events.Warning)
    assert not run.folder.judge.exists()


def test_replies_without_a_verdict_are_an_error_with_the_first_of_them(run: Any):
    with loopback("I like both of them.") as api:
        command = ["judge", run.id, "--by", f"{api.url}#judge", "--home", str(run.folder.path.parents[1])]
        result = CliRunner().invoke(app, command)
    assert result.exit_code != 0
    assert "contained a verdict" in str(result.exception or result.output)
    assert not run.folder.judge.exists()


def test_a_price_that_is_not_known_is_asked_for_by_the_commands_options(run: Any):
    command = ["judge", run.id, "--by", "https://llm.example.com/v1#our-own", "--home", str(run.folder.path.parents[1])]
    result = CliRunner().invoke(app, [*command, "--ceiling", "1"])
    assert isinstance(result.exception, SpecError)
    assert "--price-in 0.15 --price-out 0.60" in result.exception.hint


def test_what_became_of_the_rows_when_they_were_read_stands_in_the_evidence(run: Any, tmp_path: Path):
    file = tmp_path / "faq.csv"
    file.write_text(
        "question,answer,remark\n" + "".join(f"How much is lamp {n}?,It is {n} euro.,On sale now\n" for n in range(9))
    )
    run.folder.data.mkdir(exist_ok=True)
    inspect(Data(train=str(file))).write(run.folder.data / "report.json")
    report_page.write(run.folder, run.report)
    page = run.folder.report_page.read_text("utf-8")
    assert "9 of 9 rows usable" in page
    assert "Column `remark` is not used and holds text: 9 rows" in page


def test_what_the_plan_warned_of_stands_in_the_evidence_which_stands_without_a_damaged_plan(run: Any):
    said = "chat template: it writes the date of the run"
    plan().record().model_copy(update={"warnings": (said,)}).write(run.folder.plan)
    report_page.write(run.folder, run.report)
    assert said in run.folder.report_page.read_text("utf-8")
    run.folder.plan.write_text("{")
    report_page.write(run.folder, run.report)
    assert "The plan warned" not in run.folder.report_page.read_text("utf-8")
