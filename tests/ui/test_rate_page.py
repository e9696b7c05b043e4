"""Rating blind in a real browser: the keyboard alone, and nothing says whose answer is whose."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from studio.app import judging, runs
from tests.remote.loopback import loopback


def test_pairs_are_rated_with_the_keyboard_without_saying_whose_answer_is_whose(studio: Any, new_page: Any):
    run = next(run for run in runs.list_runs(studio.home) if run.spec.name.startswith("done"))
    run.folder.ratings.unlink(missing_ok=True)
    pairs, rated = judging.pairs_to_rate(run)
    left = [item for item in pairs if item.index not in rated]
    page = new_page(390, "dark")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/queue/join" in request.url else None)
    page.goto(f"/rate?id={run.id}")
    expect(page.locator("#pair .sample")).to_be_visible()
    names = [text.lower() for text in page.locator("#pair h3").all_inner_texts()]
    assert names[:2] == ["a", "b"]
    assert not {"base", "tuned"} & set(names)
    sent.clear()
    page.keyboard.press("b")
    page.keyboard.press("t")  # before the next pair is there: a rating of no pair, and not sent, for it could arrive first
    expect(page.locator("#opinion")).to_contain_text("No judge has been used yet")
    expect(page.locator("#opinion")).not_to_contain_text("0 pairs rated by a person")
    assert judging.pairs_to_rate(run)[1][left[0].index] == left[0].winner("B")
    assert len(sent) == 1
    with loopback('{"better": "A"}') as api:
        judging.judge(run, f"{api.url}#judge", studio.home, ceiling=1)
    page.goto(f"/evidence?id={run.id}")
    expect(page.locator("#figures .judged")).to_contain_text("rated by a person")
    unreliable, note = page.locator("#figures .judged > p").first, page.locator("#figures .judged > p.note")
    expect(unreliable).to_contain_text("No verdict: the order of the answers decided 100 %")
    grey = "element => getComputedStyle(element).color"
    assert unreliable.evaluate(grey) == note.evaluate(grey), "figures that decide nothing are as grey as a note"
    run.folder.ratings.unlink()
    run.folder.judge.unlink()
