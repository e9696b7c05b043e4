"""Every page in a real browser: at both widths, in both colours, without a serious barrier, and with hostile words as text."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import library, runs
from tests.ui.conftest import open_again

PAGES = {
    "/": "#steps li",
    "/data": "#library table",
    "/dataset": "#samples .turn",
    "/desk": "#desk-table tr[data-row]",
    "/documents": "#page-view .sample",
    "/make": "#make-result table",
    "/indexes": "#indexes table",
    "/train": "#name",
    "/runs": "#runs table",
    "/run": "#stages li",
    "/compare": "#results table",
    "/evidence": "#answers .sample",
    "/rate": "#pair .sample",
    "/comparison": "#comparison-page svg.chart",
    "/cascade": "#cascade-report table",
    "/chat": "#message",
    "/feedback": "#feedback-list .sample",
    "/export": "#made .sample",
    "/settings": "#HF_TOKEN-state .badge",
    "/disk": "#disk-use .note",
    "/admin": "#account-name",
}
"""Each page with what is there once it has loaded."""


def address(page: str, studio: Any) -> str:
    hostile = next(item for item in library.versions(studio.home) if item.title.startswith("Hostile"))
    ids = {run.spec.name.split()[0]: run.id for run in runs.list_runs(studio.home)}
    query = {
        "/dataset": f"?key={hostile.key}",
        "/desk": f"?key={hostile.key}",
        "/documents": "?name=papers&document=paper.pdf",
        "/train": f"?again={ids['done']}",
        "/run": f"?id={ids['done']}",
        "/compare": f"?runs={ids['done']},{ids['failed']}",
        "/evidence": f"?id={ids['done']}",
        "/rate": f"?id={ids['done']}",
        "/export": f"?id={ids['done']}",
    }
    return page + query.get(page, "")


def opened(page: Any, name: str, studio: Any) -> None:
    page.goto(address(name, studio))
    expect(page.locator(PAGES[name]).first).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")], ids=["desk", "phone"])
def test_every_page_fits_is_reachable_and_runs_nothing_hostile(studio: Any, new_page: Any, width: int, scheme: str):
    from axe_playwright_python.sync_playwright import Axe

    page = new_page(width, scheme)
    found: dict[str, Any] = {}
    for name in PAGES:
        opened(page, name, studio)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than {width}"
        assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")
        assert page.evaluate("window.hacked === undefined"), f"a hostile word ran on {name}"
        expect(page.locator("h1")).to_have_count(1)
        outside = page.evaluate(
            "performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith(location.origin) && !n.startsWith('data:'))"
        )
        assert outside == [], f"{name} asks others"
        answer = Axe().run(page, options={"resultTypes": ["violations"]}).response
        serious = [item for item in answer["violations"] if item["impact"] in ("serious", "critical")]
        for item in serious:
            found.setdefault(name, []).append((item["id"], [node["html"][:160] for node in item["nodes"][:3]]))
    assert not found


def test_without_a_session_a_browser_sees_only_the_way_in(studio: Any, new_page: Any):
    page = new_page(signed_in=False)
    page.goto("/runs")
    assert page.url.endswith("/sign-in")
    page.goto(studio.link())
    expect(page.locator("#steps li").first).to_be_visible()
    cookie = next(item for item in page.context.cookies() if item["name"] == "studio_session")
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"


def test_the_navigation_works_by_keyboard_and_the_colours_stay_as_chosen(studio: Any, screen: Any):
    opened(screen, "/", studio)
    screen.keyboard.press("Tab")
    expect(screen.locator(".skip")).to_be_focused()
    for _ in range(3):
        screen.keyboard.press("Tab")
    expect(screen.get_by_role("link", name="Data", exact=True)).to_be_focused()
    screen.get_by_role("button", name="Switch between light and dark").click()
    screen.goto("/settings")
    expect(screen.locator("body.dark")).to_have_count(1)


def test_a_key_is_kept_and_never_shown_again(studio: Any, screen: Any):
    secret = "hf_browserBROWSERbrowser123456"
    opened(screen, "/settings", studio)
    screen.locator("#HF_TOKEN-field input").fill(secret)
    screen.locator("#HF_TOKEN-save").click()
    expect(screen.locator("#HF_TOKEN-state")).to_contain_text("stored in")
    expect(screen.locator("#HF_TOKEN-field input")).to_have_value("")
    screen.reload()
    expect(screen.locator("#HF_TOKEN-state")).to_contain_text("stored in")
    assert secret not in screen.content()
    assert secret not in screen.evaluate("JSON.stringify(localStorage)")
    screen.locator("#HF_TOKEN-remove").click()
    expect(screen.locator("#HF_TOKEN-state")).to_contain_text("not set")
    for file in studio.home.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


def test_the_log_of_a_run_hides_what_looks_like_a_key(studio: Any, screen: Any):
    opened(screen, "/run", studio)
    expect(screen.locator("#log")).to_contain_text("[hidden]")
    assert "0123456789abcdef" not in screen.content()


def test_a_failed_run_says_why_and_what_to_do(studio: Any, screen: Any):
    failed = next(run.id for run in runs.list_runs(studio.home) if run.spec.name == "failed")
    screen.goto(f"/run?id={failed}")
    expect(screen.locator("#error")).to_contain_text("The loss is not a number")
    expect(screen.locator("#error")).to_contain_text("Lower it")
    expect(screen.locator("#resume")).to_be_visible()


@pytest.mark.parametrize(
    "place",
    [
        "/run?id=../../etc",
        "/run?id=nothing",
        "/dataset?key=../../x",
        "/compare?runs=a,b",
        "/evidence?id=<script>window.hacked=1</script>",
        "/train?again=/etc/passwd",
        "/export?id=x",
    ],
)
def test_an_address_that_names_nothing_is_answered_in_words(studio: Any, screen: Any, place: str):
    screen.goto(place)
    expect(screen.locator("h1")).to_be_visible()
    screen.wait_for_timeout(500)
    assert screen.evaluate("window.hacked === undefined")
    assert "root:" not in screen.content()


def test_a_run_that_is_not_there_has_nothing_to_press(studio: Any, screen: Any):
    screen.goto("/run?id=nothing")
    expect(screen.locator("#missing")).to_contain_text("No such run")
    expect(screen.locator("#run-body")).to_be_hidden()
    screen.goto("/dataset?key=nothing")
    expect(screen.locator("#missing")).to_contain_text("No such dataset")
    expect(screen.locator("#dataset-body")).to_be_hidden()
    screen.goto("/chat?id=nothing")
    expect(screen.get_by_text("No run of this id has a trained adapter")).to_be_visible()
    screen.goto("/evidence?id=nothing")
    expect(screen.get_by_text("No run of this id has evidence")).to_be_visible()


def test_a_page_that_does_not_exist_says_so_and_leads_back(studio: Any, screen: Any):
    answer = screen.goto("/nosuchpage")
    assert answer.status == 404
    screen.get_by_role("link", name="Home").click()
    expect(screen.locator("#steps li").first).to_be_visible()


def test_a_page_left_open_goes_on_after_the_server_is_killed(studio: Any, screen: Any):
    opened(screen, "/runs", studio)
    studio.kill()
    studio.start()
    open_again(screen, "/runs")
    expect(screen.locator("#runs table")).to_be_visible()
    screen.locator("#filter input, #filter textarea").first.fill("failed")
    expect(screen.locator("#runs tbody tr")).to_have_count(1)
