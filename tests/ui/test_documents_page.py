"""From a dropped file to passages in the browser: see the page beside them, leave a page out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import documents
from tests.documents.files import PdfPage, pdf

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_a_dropped_pdf_is_seen_page_by_page_and_a_page_left_out(studio: Any, new_page: Any, tmp_path: Path):
    file = pdf(
        tmp_path / "office_rules.pdf", [PdfPage().write([f"The {word} rule of the office."]) for word in ("first", "next")]
    )
    page = new_page()
    page.goto("/documents")
    page.locator("#document-files input[type=file]").set_input_files(str(file))
    page.locator("#collection-title input, #collection-title textarea").first.fill("Office")
    page.locator("#add-documents").click()
    expect(page.get_by_text("office: 1 new, 0 changed, 0 unchanged; 2 new passages")).to_be_visible()
    page.locator("#collections a", has_text="Office").click()
    page.locator("#documents a", has_text="office_rules.pdf").click()
    expect(page.locator("#page-view .sample")).to_contain_text("The first rule")
    expect(page.locator("#page-view img")).to_be_visible()
    assert page.evaluate("document.querySelector('#page-view img').decode().then(() => true)")
    page.locator("#page-number input").fill("2")
    page.locator("#page-number input").press("Enter")
    expect(page.locator("#page-view .sample")).to_contain_text("The next rule")
    page.locator("#left-out input, #left-out textarea").first.fill("2")
    page.locator("#save-left-out").click()
    expect(page.locator("#page-view")).to_contain_text("This page is left out.")
    collection = documents.find("office", studio.home)
    assert [passage.text for passage in collection.passages()] == ["The first rule of the office."]
