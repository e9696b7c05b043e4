"""From documents to a dataset in the browser: plan with samples, approve, run, review; also after the page was closed."""

from __future__ import annotations

import itertools
import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from studio.app import making, making_web
from studio.core.errors import SpecError
from tests.documents.files import PdfPage, pdf
from tests.making import kit
from tests.remote.loopback import loopback
from tests.ui.conftest import open_again
from tests.ui.test_journeys import box, load_yaml

RUN = 240_000
"""Milliseconds a job may take on a busy machine."""


KEY = "a-key-of-the-loopback"


def ten_pdfs(folder: Path) -> list[Path]:
    """Price sheets, a page each, as the teacher of the kit knows them."""
    folder.mkdir()
    names = [*kit.NAMES, "Calder desk", "Nimbus radio", "Arbor stool"]
    prices = [*kit.PRICES, 230, 88, 67]
    texts = [
        f"The {name} costs {price} dollars. It is sold in the store at Old Quay."
        for name, price in zip(names, prices, strict=True)
    ]
    return [pdf(folder / f"{name}.pdf", [PdfPage().write([text])]) for name, text in zip(names, texts, strict=True)]


def no_held_out_question_was_asked(job: making.MakingJob, prompts: list[str]) -> None:
    """No prompt has a held-out question, and the text of a held-out document is in those alone that make held-out rows."""
    held_out = [row.question for row in job.rows if row.held_out]
    assert held_out
    assert not [question for question in held_out if any(question in prompt for prompt in prompts)]
    assert job.plan is not None
    names = [Path(name).stem for name in job.plan.held_out_documents]
    with_text = [prompt for prompt in prompts if any(name in prompt for name in names)]
    assert len(names) == 2
    assert len(with_text) == 2 * len(names), "one request for questions and one for refusals, of each"
    assert all("<passage" in prompt for prompt in with_text)


def train_to_its_evidence(page: Any) -> None:
    """Two steps on the reviewed rows, whose held-out documents come along, to what their questions say of the model."""
    page.get_by_role("link", name="Train on this dataset").click()
    expect(page.locator("#plan")).to_contain_text("fits", timeout=RUN)
    assert re.search(r"/train\?data=pages/\w+&holdout=pages-held-out/\w+", page.url)
    page.get_by_role("button", name="As YAML").click()
    load_yaml(
        page,
        "name: short\ndata: {train: 'dataset:pages@1', holdout: 'dataset:pages-held-out@1'}\n"
        "training: {max_steps: 2}\nevaluation: {max_rows: 2, general: 'off'}\n",
    )
    expect(box(page, "name")).to_have_value("short")
    page.locator("#start").click()
    page.wait_for_url("**/run?id=short-**")
    expect(page.locator("#head")).to_contain_text("done", timeout=RUN)
    page.get_by_role("link", name="Evidence", exact=True).last.click()
    expect(page.locator("#figures")).to_contain_text("Held-out")
    expect(page.locator("#origin")).to_contain_text("2 whole documents were held out")


@pytest.mark.slow
@pytest.mark.browser
def test_ten_pdfs_and_a_key_become_a_dataset_and_a_run_also_when_the_server_is_killed_meanwhile_and_nothing_is_paid_twice(
    studio: Any, new_page: Any, tmp_path: Path
):
    number, reached, killed = itertools.count(1), threading.Event(), threading.Event()

    def say(body: dict[str, Any]) -> str:
        if next(number) > 5:  # three samples, and two answers of the job
            reached.set()
            killed.wait(RUN / 1000)
        return kit.answer(body)

    def fill(page: Any, **values: str) -> None:
        for field, text in values.items():
            box = page.locator(f"#{field.replace('_', '-')}").locator("input, textarea").first
            box.fill(text)
            box.press("Tab")

    with loopback(say, key=KEY) as api:
        page = new_page()
        page.goto("/documents")
        page.locator("#document-files input[type=file]").set_input_files([str(file) for file in ten_pdfs(tmp_path / "pdfs")])
        fill(page, collection_title="Handbook")
        page.locator("#add-documents").click()
        expect(page.get_by_text("handbook: 10 new")).to_be_visible()
        page.goto("/make")
        page.locator("#make-documents input").first.click()
        page.get_by_role("option", name="Handbook").first.click()
        page.keyboard.press("Escape")
        fill(page, make_name="Pages", make_url=api.url, make_model="canned", make_terms="Fine.")
        fill(page, make_price_in="0.5", make_price_out="1.5")
        expect(page.locator("#make-leaving")).to_contain_text("No key is saved for it")
        page.locator("#make-plan").click()
        expect(page.locator("#make-planning")).to_contain_text("refused with 401", timeout=RUN)
        with page.context.expect_page() as opened:  # beside the page, whose form stays
            page.get_by_role("link", name="Save a key").click()
        settings = opened.value
        expect(settings.locator("#other-keys-host input").first).to_have_value(urlsplit(api.url).netloc)
        fill(settings, other_keys_field=KEY)
        settings.locator("#other-keys-save").click()
        expect(settings.locator("#other-keys-state")).to_contain_text("in memory")
        settings.close()
        page.goto("/make")  # also when it was left
        expect(page.locator("#make-model input, #make-model textarea").first).to_have_value("canned")
        expect(page.locator("#make-leaving")).to_contain_text("Its key is")
        page.locator("#make-plan").click()
        expect(page.locator("#make-result")).to_contain_text("Sample: questions", timeout=RUN)
        expect(page.locator("#make-result")).to_contain_text("dollars")
        assert len(api.bills) == 3
        fill(page, make_ceiling="0.5")
        page.locator("#make-run").click()
        assert reached.wait(RUN / 1000)
        page.close()
        studio.kill()
        killed.set()
        studio.start()
        again = new_page()
        open_again(again, "/make")
        expect(again.locator("#make-state")).to_contain_text("done", timeout=RUN)
        expect(again.locator("#make-result")).to_contain_text("The teacher's terms: Fine.")
        again.get_by_role("link", name="Review the rows").click()
        expect(again.locator("#samples .turn").first).to_be_visible(timeout=RUN)
        expect(again.locator("body")).to_contain_text("Rows were written by canned")
        assert "/dataset?key=pages" in again.url
        train_to_its_evidence(again)
        assert len(api.prompts) == len(set(api.prompts)) + 1, "but for the one without a key nothing was asked twice"
    job = making.find("last", studio.home)
    no_held_out_question_was_asked(job, api.prompts[1:])
    assert job.status.spent == pytest.approx(api.billed(0.5, 1.5))
    assert job.id.startswith("pages-")
    assert job.dataset == "dataset:pages@1"
    assert job.held_out == "dataset:pages-held-out@1"


def test_a_recipe_from_the_browser_names_no_key_and_no_file_outside_the_home(tmp_path: Path):
    recipe = "teacher: {url: 'http://localhost:1/v1', model: m%s}\ndocuments: [a]\nrecipes: [{kind: questions}]\n"
    assert making_web.from_web(recipe % "", tmp_path).documents == ["a"]
    with pytest.raises(SpecError, match="own host only"):
        making_web.from_web(recipe % ", key: WANDB_API_KEY", tmp_path)
    for field in ("questions: /etc/passwd", "against: [/etc/passwd]"):
        with pytest.raises(SpecError, match="own library"):
            making_web.from_web(recipe % "" + field, tmp_path)


def test_what_a_page_is_planning_is_no_job(tmp_path: Path):
    tasks = tmp_path / making_web.TASKS
    tasks.mkdir(parents=True)
    spec = making_web.from_web(
        "teacher: {url: 'http://localhost:1/v1', model: m}\ndocuments: [a]\nrecipes: [{kind: questions}]", tmp_path
    )
    for name in ("recipe.yaml", "planned.yaml"):
        (tasks / name).write_text(making.as_yaml(spec))
    assert making.list_jobs(tmp_path) == []


def test_the_form_and_the_yaml_are_the_same_recipe(tmp_path: Path):
    spec = making_web.from_form(
        ["handbook"],
        "Rows",
        "https://api.example.com/v1",
        "big",
        0.5,
        1.5,
        0.2,
        ["questions", "paraphrases"],
        "none",
        4,
        "Fine.",
    )
    assert making_web.from_web(making.as_yaml(spec), tmp_path) == spec
    values = making_web.form_of(spec)
    assert values is not None
    assert making_web.from_form(*values) == spec
    assert making_web.form_of(making.edit(spec, {"audience": "a colleague"})) is None, "the form has no such field"
