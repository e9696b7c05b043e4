"""In the browser: a cascade is calibrated and tested on files that are dropped there, before a canned large model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import cascades
from tests.remote.loopback import loopback

pytestmark = [pytest.mark.slow, pytest.mark.browser]
WORK = 240_000
"""Milliseconds the small model may take on a busy machine."""
ROWS = [json.loads(line) for line in (Path(__file__).parents[2] / "datasets" / "general.jsonl").read_text().splitlines()[:24]]


def fill(page: Any, field: str, text: str) -> None:
    box = page.locator(f"#cascade-{field} input, #cascade-{field} textarea").first
    box.fill(text)
    box.press("Tab")


def drop(page: Any, folder: Path, name: str, rows: list[Any]) -> None:
    """Questions with answers, and questions that nothing answers."""
    known, unknown = folder / f"{name}.jsonl", folder / f"{name}.txt"
    known.write_text("".join(json.dumps(row) + "\n" for row in rows))
    unknown.write_text("".join(f"What does gadget {name} {number} cost?\n" for number in range(2)))
    for field, file in (("held-out", known), ("out-of-scope", unknown)):
        page.locator(f"#cascade-{field} input[type=file]").set_input_files(str(file))
        expect(page.locator(f"#cascade-{field}")).to_contain_text(file.name[:4])


def test_a_cascade_is_calibrated_and_tested_on_dropped_files(studio: Any, new_page: Any, tmp_path: Path):
    known = {row["question"]: row["answer"] for row in ROWS}
    with loopback(lambda body: known.get(body["messages"][-1]["content"], "I do not know that.")) as api:
        page = new_page()
        page.goto("/cascade")
        page.locator("#cascade-questions").get_by_role("button").first.click()
        page.locator("#cascade-new").get_by_role("button").first.click()
        drop(page, tmp_path, "calibration", ROWS[::2])
        page.locator("#cascade-small input").first.click()
        page.get_by_role("option", name="starter").first.click()
        for field, text in (("url", api.url), ("model", "canned"), ("price-in", "1"), ("price-out", "4"), ("risk", "20")):
            fill(page, field, text)
        before = {item.id for item in cascades.list_cascades(studio.home)}
        page.locator("#cascade-calibrate").click()
        expect(page.locator("#cascade-serve")).to_contain_text("studio cascade serve starter-", timeout=WORK)
        assert api.received == [], "calibration asks the small model only"
        [cascade] = [item for item in cascades.list_cascades(studio.home) if item.id not in before]
        expect(page.locator("#cascade-report")).to_contain_text("Not tested yet")
        page.goto(f"/cascade?id={cascade.id}")
        page.locator("#cascade-questions").get_by_role("button").first.click()
        page.locator("#cascade-test").get_by_role("button").first.click()
        drop(page, tmp_path, "test", ROWS[1::2])
        fill(page, "ceiling", "1")
        page.locator("#cascade-report-start").click()
        expect(page.locator("#cascade-report")).to_contain_text("14 new questions", timeout=WORK)
    folder = cascades.find(cascade.id, studio.home)
    assert len(folder.read_tested()) == len(api.bills) == 14
    expect(page.locator("#cascade-report svg").first).to_be_visible()
