"""The Serve and Bench pages in a real browser, with a real server of a real engine."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import benchmark_results, servers, serving
from studio.app.fragments import bench, serve
from studio.benchmark import page as pages
from studio.benchmark.result import Conditions, Item, Level, MeasuredOn, Progress, Result, Spread
from studio.core.errors import JobError, StudioError
from studio.core.records import ErrorRecord
from studio.evaluation.interval import Estimate
from studio.processes.identity import ProcessId
from tests.ui.conftest import open_again
from tests.ui.hostile import EVIL

RATE = Spread(50.0, 40.0, 60.0)


@pytest.fixture(autouse=True)
def _none_left(request: pytest.FixtureRequest):
    """A test that fails half-way leaves no server to the next one, nor to its own second try."""
    yield
    if "studio" in request.fixturenames:
        for server in servers.servers(request.getfixturevalue("studio").home):
            servers.stop(server, patience=20)


def kept(home: Path, name: str = "20260101-120000-abcd", state: Any = "done") -> Result:
    """A measurement as it lies on disk, every word of it hostile."""
    level = Level(1, 5, 1, 2.0, 50, 100, RATE, RATE, 40.0, 0.01, 0.02, 0.1, 0.2, cost=0.5, errors=[EVIL])
    quality = {"token_f1": Estimate(0.9, 0.8, 1.0, 20)}
    error = ErrorRecord(kind="StudioError", message=EVIL, hint=EVIL, where=EVIL)
    items = [
        Item(EVIL, "run", EVIL, EVIL, [level], quality, quality, notes=[EVIL], cost_how=EVIL, error=error),
        Item("second", "api", "h", "m", [level], quality),
    ]
    asked = Conditions(source=EVIL, rows=5, repeats=3, max_tokens=9, warm_up=2, metric="token_f1")
    found = Result(id=name, begun=time.time(), state=state, settings=asked, machine=MeasuredOn(name=EVIL, cores=2), items=items)
    found.write(home / "bench" / f"{name}.json")
    (home / "bench" / f"{name}.html").write_text(pages.render(found), encoding="utf-8")
    return found


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")], ids=["desk", "phone"])
def test_both_pages_fit_are_reachable_and_run_nothing_hostile(studio: Any, new_page: Any, width: int, scheme: str):
    from axe_playwright_python.sync_playwright import Axe

    kept(studio.home)
    page = new_page(width, scheme)
    for place, there in (("/serve", "#none h2"), ("/bench", "#result svg")):
        page.goto(place)
        expect(page.locator(there).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{place} is wider than {width}"
        assert page.evaluate("window.hacked === undefined")
        answer = Axe().run(page, options={"resultTypes": ["violations"]}).response
        serious = [item for item in answer["violations"] if item["impact"] in ("serious", "critical")]
        assert [(item["id"], [node["html"][:160] for node in item["nodes"][:3]]) for item in serious] == []


def test_a_server_is_started_seen_from_another_page_after_the_studio_was_killed_and_stopped(studio: Any, screen: Any):
    screen.goto("/serve")
    expect(screen.locator("#none")).to_be_visible()
    expect(screen.locator("#none")).to_contain_text("No server is running")
    screen.locator("#what input").click()
    screen.get_by_role("option", name="starter, as shipped").click()
    screen.keyboard.press("Escape")
    screen.locator("#start").click()
    expect(screen.locator("#state")).to_contain_text("ready")
    expect(screen.locator("#asking")).to_contain_text("curl http://127.0.0.1:")
    expect(screen.locator("#log")).to_contain_text("serving 1 model")
    studio.kill()
    studio.start()
    open_again(screen, "/serve")
    expect(screen.locator("#state")).to_contain_text("ready")
    expect(screen.locator("#state")).to_contain_text("transformers")
    [server] = servers.servers(studio.home)
    screen.locator("#stop-ask").click()
    screen.locator("#stop").click()
    expect(screen.locator("#none")).to_contain_text("No server is running")
    assert not server.process.alive()
    assert serving.running(studio.home) == []


def test_things_are_measured_from_the_page_stopped_and_seen_again(studio: Any, screen: Any):
    screen.goto("/bench")
    screen.locator("#measure").click()
    expect(screen.get_by_text("choose what to measure")).to_be_visible()
    screen.locator("#what input").click()
    screen.get_by_role("option", name="starter, as shipped").click()
    screen.keyboard.press("Escape")
    screen.locator("#rows input").fill("3")
    screen.locator("#measure").click()
    expect(screen.locator("#working progress")).to_be_visible()
    screen.reload()
    expect(screen.locator("#stop")).to_be_visible()
    expect(screen.locator("#result table").first).to_contain_text("starter")
    screen.locator("#stop").click()
    expect(screen.locator("#stop")).to_be_hidden()
    found = benchmark_results.results(studio.home)[0]
    assert found.state in ("interrupted", "done")
    assert found.items[0].levels
    with screen.expect_download() as got:
        screen.locator("#result a[download]").click()
    assert "<svg" in Path(got.value.path()).read_text()
    assert serving.running(studio.home) == []


def test_a_page_of_no_measurement_is_not_found(studio: Any, screen: Any):
    answer = screen.request.get("/download/bench/..%2F..%2Fetc%2Fpasswd")
    assert answer.status == 404


def test_what_came_from_outside_stays_text(tmp_path: Path):
    found = kept(tmp_path)
    problem = StudioError(EVIL, hint=EVIL, where=EVIL)
    server = servers.Server(ProcessId(1, 1, "boot"), "failed", EVIL, (EVIL,), 1.0, (EVIL,), error=problem)
    stats = servers.ServerStats(engines={EVIL: EVIL})
    ready = servers.Server(ProcessId(1, 1, "boot"), "ready", "http://x/v1", (EVIL, EVIL), 1.0)
    running = found.model_copy(update={"state": "running", "progress": Progress(item=0, of=1, name=EVIL, what=EVIL)})
    for html in (
        bench.shown(found),
        bench.working(running, None),
        bench.working(None, Some(state="failed", error=problem)),
        bench.sent(EVIL, 3),
        serve.state(server, stats),
        serve.state(ready, stats),
        serve.asking(ready),
        serve.log(EVIL),
        pages.render(found),
    ):
        assert "<script" not in html
        assert "<img" not in html


def test_one_measurement_runs_at_a_time(tmp_path: Path):
    found = kept(tmp_path)
    file = tmp_path / "bench" / f"{found.id}.json"
    found.model_copy(update={"state": "running", "process": ProcessId.current()}).write(file)
    with pytest.raises(JobError, match="already"):
        benchmark_results.begin(["starter"], tmp_path)
    found.write(file)
    with pytest.raises(JobError, match="nothing is being measured"):
        benchmark_results.stop(tmp_path)
