"""`studio bench`: what it tells of somebody else's API, and how it meets one that refuses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from studio.app import benchmark_results, benchmarks
from studio.app.benchmarks import BenchmarkRequest
from studio.benchmark import client, figures, loadgen, page, plot, pricing, prompts
from studio.benchmark.answer_stream import Answer
from studio.benchmark.client import Api, Client
from studio.benchmark.pricing import Hardware, Tariff
from studio.benchmark.prompts import Row
from studio.benchmark.result import Item, Level, MeasuredOn, Result, Spread
from studio.cli.main import run
from studio.core.errors import JobError, StudioError
from studio.core.records import ErrorRecord
from studio.evaluation.interval import Estimate
from studio.processes import tasks
from studio.processes.identity import ProcessId
from studio.remote.refusals import Refused
from tests.benchmark.records import CONDITIONS, MACHINE
from tests.serving.other_api import KEY, WORDS, OtherApi, other_api

TEXT = "".join(WORDS)
ROWS = [Row(({"role": "user", "content": f"What is the price of lamp {place}?"},), TEXT) for place in range(6)]


@pytest.fixture(scope="module")
def service() -> Iterator[OtherApi]:
    with other_api() as running:
        yield running


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(f"{json.dumps({'question': f'Price of lamp {n}?', 'answer': TEXT})}\n" for n in range(6)))
    return file


def asked(service: OtherApi, model: str, key: str = "") -> tuple[Answer, list[str]]:
    async def ask() -> tuple[Answer, list[str]]:
        async with Client(Api(service.url, model, key, "LOOPBACK_KEY")) as client:
            return await client.ask(ROWS[0].messages, 16), client.notes

    return asyncio.run(ask())


def test_an_answer_is_timed_and_its_tokens_are_those_the_service_tells(service: OtherApi):
    answer, _ = asked(service, "good")
    assert answer.text == TEXT
    assert (answer.tokens, answer.prompt_tokens, answer.counted) == (7, 12, True)
    assert 0 < answer.first <= answer.total
    assert answer.stream_speed
    sent = service.bodies[-1]
    assert (sent["temperature"], sent["max_tokens"], sent["stream"]) == (0, 16, True)


def test_without_usage_a_token_is_counted_for_each_piece_and_that_is_told(service: OtherApi):
    answer, _ = asked(service, "no-usage")
    assert (answer.tokens, answer.counted) == (len(WORDS), False)


def test_what_an_api_does_not_take_is_left_out_or_renamed(service: OtherApi):
    assert asked(service, "strict")[0].text == TEXT
    assert "stream_options" not in service.bodies[-1]
    assert asked(service, "newer")[0].text == TEXT
    assert service.bodies[-1]["max_completion_tokens"] == 16


def test_thoughts_are_the_first_token_and_no_part_of_the_answer(service: OtherApi):
    assert asked(service, "thinking")[0].text == TEXT


def test_a_rate_limit_that_names_a_short_time_is_waited_out(service: OtherApi):
    assert asked(service, "busy-once")[0].text == TEXT
    assert service.asked["busy-once"] == 2


@pytest.mark.parametrize(
    ("model", "status", "says", "hint"),
    [
        ("busy", 429, "Rate limit reached", "--concurrency 1"),
        ("faulty", 500, "Internal error", "later"),
        ("broken", 502, "Provider returned error", "later"),
        ("overloaded", 0, "Overloaded", ""),
        ("cut", 0, "", ""),
        ("wordy", 400, "[hid", ""),
    ],
)
def test_a_refusal_says_what_it_was_and_what_to_do(service: OtherApi, model: str, status: int, says: str, hint: str):
    with pytest.raises(Refused) as problem:
        asked(service, model, KEY)
    assert problem.value.status == status
    assert says in problem.value.message
    assert hint in problem.value.hint
    assert KEY[:6] not in str(problem.value)


def test_a_wrong_key_an_unknown_model_and_a_dead_address_are_told_before_anything_is_measured(
    service: OtherApi, home: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LOOPBACK_KEY", "wrong")

    def error(url: str, model: str, key: str = "") -> ErrorRecord:
        request = BenchmarkRequest(apis=(client.api(url, model, key),), questions=str(questions))
        [item] = benchmarks.measure(request, home).items
        assert item.error
        assert not item.levels
        return item.error

    assert "401" in error(service.url, "good", "LOOPBACK_KEY").message
    assert "LOOPBACK_KEY" in error(service.url, "good", "LOOPBACK_KEY").hint
    assert error(service.url, "god").hint == "Did you mean good?"
    assert "does not respond" in error("http://127.0.0.1:9/v1", "good").message


def test_a_key_that_is_not_there_and_an_address_that_is_none_are_wrong_input(capsys: pytest.CaptureFixture[str], home: Path):
    for words in (
        ["--url", "http://127.0.0.1/v1", "--model", "x", "--key-env", "NOT_SET_ANYWHERE"],
        ["--url", "ftp://x", "--model", "x"],
        ["--url", "http://127.0.0.1/v1"],
        ["http://127.0.0.1/v1"],
        [],
        ["starter", "--concurrency", "1,zwei"],
        ["starter", "--price-in", "1"],
        ["nothing-of-that-name"],
    ):
        assert run(["bench", *words]) == 2, words
        assert capsys.readouterr().err.strip().splitlines()[-1].startswith("→ ")
    assert not (home / "bench").exists()


def test_a_key_goes_to_its_own_host_only_and_into_no_file(
    service: OtherApi, home: Path, questions: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    assert client.api("https://api.groq.com/openai/v1", "x").key == KEY
    assert client.api(service.url, "x").key == ""
    assert KEY not in repr(client.api("https://api.groq.com/openai/v1", "x"))
    monkeypatch.setenv("LOOPBACK_KEY", KEY)
    request = BenchmarkRequest(
        apis=(client.api(service.url, "crowded", "LOOPBACK_KEY"),), levels=(1, 8), questions=str(questions)
    )
    benchmarks.measure(request, home)
    written = [file.read_text() for file in (home / "bench").iterdir()]
    assert len(written) == 2
    assert not any(KEY in text for text in written)


def test_a_key_is_not_sent_unencrypted_to_another_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAR_KEY", KEY)
    with pytest.raises(StudioError, match="unencrypted") as refused:
        client.api("http://gpu-box.example:8000/v1", "x", "FAR_KEY")
    assert "ssh -L 9000:localhost:8000 gpu-box.example" in refused.value.hint
    assert client.api("http://gpu-box.example:8000/v1", "x").key == ""
    assert client.api("https://gpu-box.example/v1", "x", "FAR_KEY").key == KEY
    assert client.api("http://[::1]:8000/v1", "x", "FAR_KEY").key == KEY


def test_levels_keep_as_many_streams_busy_and_their_figures_agree(
    service: OtherApi, home: Path, questions: Path, capsys: pytest.CaptureFixture[str]
):
    service.most = 0
    words = [
        "bench",
        f"{service.url}#good",
        "--prompts",
        str(questions),
        "--concurrency",
        "1,4",
        "--max-tokens",
        "16",
        "--json",
    ]
    assert run(words) == 0
    told = json.loads(capsys.readouterr().out)
    found = Result.from_json(told)
    assert benchmark_results.result("last", home) == found
    assert found.state == "done"
    assert service.most == 4
    [item] = found.items
    one, four = item.levels
    assert (one.concurrency, one.requests, four.concurrency, four.requests) == (1, 6, 4, 36)
    for level in item.levels:
        assert level.failed == 0
        assert (level.tokens, level.prompt_tokens) == (7 * level.requests, 12 * level.requests)
        assert 0 < level.first_p50 <= level.latency_p50 <= level.latency_p95
        assert level.first_p50 <= level.first_p95
        assert level.tokens_per_second.low <= level.tokens_per_second.median <= level.tokens_per_second.high
        assert level.tokens_per_second.median == pytest.approx(7 * level.requests_per_second.median)
        assert level.joules_per_token is None
        assert level.cost == pytest.approx((12 * 0.1 + 7 * 0.4) / 7)  # as the service's list of models tells its prices
    assert item.quality["exact_match"].value == 1.0
    assert item.answer_tokens == 7
    assert item.memory is None


def test_a_rate_limit_at_a_higher_level_ends_the_rise_and_keeps_what_was_measured(
    service: OtherApi, home: Path, questions: Path
):
    [item] = benchmarks.measure(BenchmarkRequest((f"{service.url}#crowded",), questions=str(questions)), home).items
    assert [level.concurrency for level in item.levels][:2] == [1, 2]
    assert item.levels[-1].concurrency <= 4
    assert item.error is None
    assert item.levels[-1].failed == 0 or "429" in item.notes[-1]


def test_one_that_refuses_does_not_keep_the_others_from_being_measured(service: OtherApi, home: Path, questions: Path):
    given = (f"{service.url}#busy", f"{service.url}#good")
    first, second = benchmarks.measure(BenchmarkRequest(given, levels=(1,), questions=str(questions)), home).items
    assert first.error
    assert "--concurrency 1" in first.error.hint
    assert second.levels


def test_a_fault_of_the_studio_in_one_is_told_and_the_others_go_on(
    service: OtherApi, home: Path, questions: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def told_by_api(model: str, *_: Any) -> None:
        if model == "strict":
            raise ZeroDivisionError("no tokens at all")

    monkeypatch.setattr(pricing, "told_by_api", told_by_api)
    given = (f"{service.url}#strict", f"{service.url}#good")
    found = benchmarks.measure(BenchmarkRequest(given, levels=(1,), questions=str(questions)), home)
    first, second = found.items
    assert first.error
    assert "ZeroDivisionError: no tokens at all" in first.error.message
    assert first.error.hint
    assert second.levels
    assert found.state == "done"
    assert "Traceback" in caplog.text


@pytest.mark.slow
def test_ctrl_c_keeps_every_whole_level(service: OtherApi, home: Path, questions: Path):
    command = [sys.executable, "-m", "studio", "bench", f"{service.url}#good", "--prompts", str(questions)]
    levels = ["--concurrency", "1,2", "--repeats", "100"]
    service.crowd = 2  # the second level takes minutes, however busy the machine is that interrupts it
    child = subprocess.Popen(
        [*command, *levels], env={**os.environ, "STUDIO_HOME": str(home)}, stdout=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 300
    while time.monotonic() < until:
        kept = benchmark_results.results(home)
        if kept and kept[0].items and kept[0].items[0].levels:
            break
        time.sleep(0.1)
    assert benchmark_results.results(home)[0].state == "running"
    child.send_signal(signal.SIGINT)
    told, _ = child.communicate(timeout=300)
    assert child.returncode == 130
    found = benchmark_results.result("last", home)
    assert found.state == "interrupted"
    assert [level.concurrency for level in found.items[0].levels] == [1]
    assert "good" in told
    assert "Interrupted" in benchmark_results.page_file(found, home).read_text()


def test_a_measurement_whose_process_was_killed_is_interrupted(home: Path):
    found = Result(
        id="20260101-000000-aaaa", begun=0.0, state="running", settings=CONDITIONS, machine=MACHINE,
        process=ProcessId(2**22 + 1, 1, "an earlier boot"),
    )  # fmt: skip
    (home / "bench").mkdir(parents=True)
    found.write(home / "bench" / f"{found.id}.json")
    (home / "bench" / "broken.json").write_text("{")
    assert [one.state for one in benchmark_results.results(home)] == ["interrupted"]
    page = benchmark_results.written_page(benchmark_results.results(home)[0].id, home)
    assert page is not None  # it was killed before it could write one
    assert "Interrupted: what was measured until then." in page.read_text()
    assert benchmark_results.written_page("../secret", home) is None


@pytest.mark.slow
def test_two_clicks_at_once_begin_one_piece_of_work(tmp_path: Path):
    def click(_: int) -> bool:
        try:
            tasks.begin(tmp_path, "bench", "page", ["bench"], tmp_path)
        except JobError:
            return False
        return True

    with ThreadPoolExecutor(4) as clicks:
        assert sorted(clicks.map(click, range(4))) == [False, False, False, True]
    until = time.monotonic() + 60
    while (work := tasks.tasks(tmp_path)[0]).state == "running" and time.monotonic() < until:
        time.sleep(0.1)
    assert work.state == "failed"  # there was nothing to measure


def test_everything_is_asked_the_same_rows_evenly_spread_and_those_with_tools_are_counted():
    from studio.data.rows import Conversation

    rows = [Conversation(({"role": "user", "content": str(n)}, {"role": "assistant", "content": "x"})) for n in range(10)]
    rows.append(Conversation(rows[0].messages, tools=({"type": "function", "function": {"name": "f"}},)))
    rows.append(Conversation(text="plain"))
    found = prompts.chosen(rows, "here", 5)
    assert [row.messages[0]["content"] for row in found.rows] == ["0", "2", "4", "6", "8"]
    assert found.left_out.startswith("2 rows")
    plan = loadgen.Plan(found.rows, 8, repeats=2)
    assert sorted(id(row) for again in range(2) for row in plan.rows_of_round(1, again)) == sorted(map(id, found.rows))
    assert len(plan.rows_of_round(4, 0)) == 12


def test_a_million_tokens_cost_the_hours_they_take_or_what_the_api_asks():
    level = make_level(tokens=1000, prompts=500, speed=100.0)
    assert pricing.of_hardware(Hardware(per_hour=0.36), level) == (pytest.approx(1.0), "0.36 an hour")
    bought = pricing.of_hardware(Hardware(price=876.0, watts=500, electricity=0.4), level)
    assert bought
    assert bought[0] == pytest.approx((876 / 8760 + 0.5 * 0.4) / 0.36)
    assert pricing.of_hardware(Hardware(), level) is None
    measured = pricing.of_hardware(Hardware(), make_level(watts=300.0, speed=100.0))
    assert measured
    assert "measured" in measured[1]
    assert pricing.of_api(Tariff(0.2, 0.6, ""), level) == pytest.approx(0.7)
    together = [{"id": "m", "pricing": {"input": 0.18, "output": 0.2}}]
    assert pricing.told_by_api("m", together, "h") == Tariff(0.18, 0.2, "h's list of models, in US dollars")
    assert pricing.told_by_api("m", [{"id": "m", "pricing": {"prompt": "?"}}, {"id": "x"}], "h") is None


def test_the_page_draws_every_item_runs_nothing_and_says_what_is_not_measured():
    evil = "<script>alert(1)</script>"
    items = [make_item(evil, cost=0.5), make_item("no cost", cost=None), Item("refused", "api", "x", error=told_error())]
    found = Result(id="x", begun=0.0, state="done", settings=CONDITIONS, machine=MeasuredOn(name=evil, cores=2), items=items)
    html = page.render(found)
    assert "<script" not in html
    assert "not measured" in html
    assert "not known" in html
    assert "The API said no" in html
    assert html.count("<svg") == 3
    assert plot.picture(Result(id="x", begun=0.0, state="done", settings=CONDITIONS, machine=MACHINE, items=[items[2]])) == ""
    assert [row[0] for row in figures.rows(found)] == [evil, "no cost", "refused"]


def make_level(streams: int = 1, tokens: int = 100, prompts: int = 50, speed: float = 50.0, **values: Any) -> Level:
    rate = Spread(speed, speed, speed)
    return Level(streams, 5, 0, 2.0, prompts, tokens, rate, rate, 40.0, 0.01, 0.02, 0.1, 0.2, **values)


def make_item(name: str, cost: float | None) -> Item:
    levels = [make_level(1, cost=cost), make_level(2, speed=80.0, cost=cost)]
    return Item(
        name, "run", "transformers", levels=levels, quality={"exact_match": Estimate(0.9, 0.8, 1.0, 20)}, memory=1 << 30
    )


def told_error() -> ErrorRecord:
    return ErrorRecord(kind="StudioError", message="The API said no", hint="Ask again.")
