"""From documents to a dataset in the browser: plan with samples, approve, run, review; also after the page was closed."""

from __future__ import annotations

import itertools
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import documents, making, making_web
from studio.core.errors import SpecError
from tests.making import kit
from tests.remote.loopback import loopback
from tests.ui.conftest import open_again

RUN = 240_000
"""Milliseconds a job may take on a busy machine."""


def handbook(home: Path, folder: Path) -> None:
    folder.mkdir()
    for passage in kit.passages_of(folder, "handbook"):
        (folder / passage.document).write_text(f"# {passage.heading_path[0]}\n\n{passage.text}\n")
    documents.add_documents("Handbook", folder, home=home)


@pytest.mark.slow
@pytest.mark.browser
def test_documents_become_a_dataset_also_when_the_server_is_killed_meanwhile_and_nothing_is_paid_twice(
    studio: Any, new_page: Any, tmp_path: Path
):
    handbook(studio.home, tmp_path / "pages")
    number, reached, killed = itertools.count(1), threading.Event(), threading.Event()

    def say(body: dict[str, Any]) -> str:
        if next(number) > 5:  # three samples, and two answers of the job
            reached.set()
            killed.wait(RUN / 1000)
        return kit.answer(body)

    with loopback(say) as api:
        page = new_page()
        page.goto("/make")
        page.locator("#make-documents input").first.click()
        page.get_by_role("option", name="Handbook").first.click()
        page.keyboard.press("Escape")
        for field, text in (("make-name", "Pages"), ("make-url", api.url), ("make-model", "canned"), ("make-terms", "Fine.")):
            page.locator(f"#{field} input, #{field} textarea").first.fill(text)
            page.locator(f"#{field} input, #{field} textarea").first.press("Tab")
        expect(page.locator("#make-leaving")).to_contain_text("on this machine")
        page.locator("#make-plan").click()
        expect(page.locator("#make-result")).to_contain_text("Sample: questions", timeout=RUN)
        expect(page.locator("#make-result")).to_contain_text("dollars")
        assert len(api.received) == 3
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
        to_train = again.get_by_role("link", name="Train on the rows")
        expect(to_train).to_have_attribute("href", re.compile(r"/train\?data=pages%2F\w+&holdout=pages-held-out%2F\w+"))
        again.get_by_role("link", name="Review the rows").click()
        expect(again.locator("#samples .turn").first).to_be_visible(timeout=RUN)
        assert "/dataset?key=pages" in again.url
        assert len(set(api.prompts)) == len(api.prompts), "nothing was asked, and so paid, twice"
    job = making.find("last", studio.home)
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
