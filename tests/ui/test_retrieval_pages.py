"""In the browser: from documents to an index that is searched, and from a run to a comparison whose figures lead to rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import answer_comparison, documents, index_web, indexes, library
from studio.core.errors import SpecError
from tests.remote.loopback import loopback

pytestmark = [pytest.mark.slow, pytest.mark.browser]
WORK = 240_000
"""Milliseconds a process may take on a busy machine."""


def tools(home: Path, folder: Path) -> Path:
    """Prices of tools as documents, and questions about them as a dataset."""
    prices = {"axe": 11, "bolt": 12, "clamp": 13}
    page = folder / "tools.md"
    page.write_text("\n".join(f"# Tool {name}\n\nThe tool {name} costs {price} euros.\n" for name, price in prices.items()))
    documents.add_documents("Tools", page, home=home)
    rows = [
        {"question": f"What does the tool {name} cost?", "answer": f"{price} euros", "document": "tools.md"}
        for name, price in prices.items()
    ]
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_an_index_is_built_searched_compared_with_and_removed(studio: Any, new_page: Any, tmp_path: Path):
    library.add(studio.home, "Tool questions", [("questions.jsonl", tools(studio.home, tmp_path))])
    page = new_page()
    page.goto("/documents?name=tools")
    page.get_by_role("link", name="Build an index").click()
    expect(page.locator("#index-name input, #index-name textarea").first).to_have_value("tools")
    page.locator("#build-index").click()
    expect(page.locator("#indexes table")).to_contain_text("tools", timeout=WORK)
    page.locator("#index-question input, #index-question textarea").first.fill("What does the clamp cost?")
    page.locator("#search-index").click()
    expect(page.locator("#hits .sample").first).to_contain_text("The tool clamp costs 13 euros.")
    compare(studio, page)
    page.goto("/indexes?name=tools")
    page.locator("#delete-index-ask").click()
    page.locator("#delete-index").click()
    expect(page.locator("#indexes")).not_to_contain_text("tools")
    assert "tools" not in {item.record.name for item in indexes.indexes(studio.home)}


def compare(studio: Any, page: Any) -> None:
    with loopback(lambda body: "13 euros") as api:
        page.goto("/comparison")
        for field, label in (("run", "starter"), ("index", "tools"), ("questions", "Tool questions")):
            page.locator(f"#compare-{field} input").first.click()
            page.get_by_role("option", name=label).first.click()
        for field, text in (
            ("url", api.url), ("model", "canned"), ("price-in", "1"), ("price-out", "4"), ("ceiling", "1"), ("server", "30"),
            ("passages", "1"),
        ):  # fmt: skip
            page.locator(f"#compare-{field} input, #compare-{field} textarea").first.fill(text)
            page.locator(f"#compare-{field} input, #compare-{field} textarea").first.press("Tab")
        page.locator("#compare-start").click()
        expect(page.locator("#comparison-page")).to_contain_text("large model canned", timeout=WORK)
    folder = answer_comparison.comparisons(studio.home)[0]
    assert len(answer_comparison.answers(folder)) == 6 * 3
    link = page.locator("#comparison-page a[href='#rows-4']").nth(1)
    expect(link).to_have_text("33 % [0, 100]")
    expect(page.locator("#rows-4")).to_be_hidden()
    link.click()
    expect(page.locator("#rows-4")).to_be_visible()
    expect(page.locator("#rows-4 tbody tr")).to_have_count(4)
    expect(page.locator("#rows-4 tr.first")).to_contain_text("33 %")
    saved = page.request.get(page.get_by_role("link", name="Answers as JSON lines").get_attribute("href"))
    assert saved.text() == (folder / "answers.jsonl").read_text()


def test_a_page_embeds_with_models_of_the_library_only(tmp_path: Path):
    tools(tmp_path, tmp_path)
    for embedder in ("/etc", "..", str(tmp_path)):
        with pytest.raises(SpecError, match="only models in its own library"):
            index_web.begin(tmp_path, "x", ["tools"], embedder)
    with pytest.raises(SpecError, match="no documents were selected"):
        index_web.begin(tmp_path, "x", [], "")
