"""Whole ways through the studio in a real browser, with real runs of the starter model."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from playwright.sync_api import expect

from studio.app import library, runs
from tests.ui.conftest import open_again

RUN = 240_000
"""Milliseconds a small real run may take on a busy machine."""


def table(columns: tuple[str, str], rows: int = 40, bad: int = 0) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    kinds = ("lamp", "kettle", "clock", "chair")
    names = ("Aria", "Bodo", "Celia", "Dora", "Enzo", "Fritz", "Gerda", "Hugo", "Ida", "Jan")
    for place in range(rows):
        name = f"{names[place % 10]} {kinds[place // 10 % 4]}"
        writer.writerow([f"What does the {name} cost?", f"The {name} costs {20 + place} dollars."])
    for _ in range(bad):
        writer.writerow(["", "an answer without a question"])
    return out.getvalue().encode()


def upload(page: Any, name: str, content: bytes, title: str = "") -> None:
    page.goto("/data")
    expect(page.locator("#library table, #library .empty").first).to_be_visible()
    page.locator("#upload input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    expect(page.locator("#upload a").first).to_be_visible()
    if title:
        page.locator("#title input, #title textarea").first.fill(title)
    page.locator("#add").click()


def pick(page: Any, field: str, option: str) -> None:
    page.locator(f"#{field} input").first.click()
    page.get_by_role("option", name=option).first.click()


def box(page: Any, field: str) -> Any:
    return page.locator(f"#{field} input, #{field} textarea").first


def load_yaml(page: Any, text: str) -> None:
    page.locator("#load-yaml").locator("xpath=..").locator("input[type=file]").first.set_input_files(
        {"name": "run.yaml", "mimeType": "application/yaml", "buffer": text.encode()}
    )


def test_a_messy_file_is_shown_with_what_was_found_in_it(studio: Any, screen: Any):
    rows = ["Frage;Antwort", *(f"Was kostet Größe {size}?;Sie kostet {size} Euro." for size in range(30))]
    rows += ["Was kostet Größe 3?;Sie kostet nun 99 Euro.", "Was kostet Größe 4?;Sie kostet 4 Euro.", ";ohne Frage"]
    upload(screen, "hilfe.csv", "\n".join(rows).encode("cp1252"), "Hilfe")
    screen.wait_for_url("**/dataset?key=hilfe**")
    expect(screen.locator("#report-head")).to_contain_text("Training can start")
    expect(screen.locator("#found")).to_contain_text("cp1252")
    expect(screen.locator("#findings .notice").first).to_be_visible()
    expect(screen.locator("#findings")).to_contain_text("Another answer is in hilfe.csv")
    expect(screen.get_by_role("link", name="Train on this dataset")).to_be_visible()


def test_a_late_plan_never_replaces_the_error_of_a_newer_form(studio: Any, screen: Any):
    data = library.versions(studio.home)[0].key
    screen.goto(f"/train?data={data}")
    expect(screen.locator("#plan")).to_contain_text("fits", timeout=RUN)
    screen.get_by_role("button", name="More").first.click()
    for leaf in ("data-max_length", "adapter-rank"):
        if not box(screen, leaf).is_visible():
            for more in screen.locator("button", has_text="More").all():
                more.click()
    box(screen, "data-max_length").fill("300")
    box(screen, "data-max_length").blur()
    expect(screen.locator("#plan")).to_contain_text("Planning")
    box(screen, "adapter-rank").fill("abc")
    box(screen, "adapter-rank").blur()
    expect(screen.locator("#plan")).to_contain_text("abc")
    screen.wait_for_timeout(15_000)
    expect(screen.locator("#plan")).to_contain_text("abc")


def test_from_a_spreadsheet_to_a_downloaded_model(studio: Any, screen: Any):
    upload(screen, "preise.csv", table(("Spalte A", "Spalte B"), bad=1), "Prices")
    screen.wait_for_url("**/dataset?key=prices**")

    # It cannot be told which column is which: it says so, and a person confirms.
    expect(screen.locator("#report-head")).to_contain_text("not clear what to train on")
    expect(screen.locator("#raw")).to_contain_text("Spalte A")
    pick(screen, "layout", "Question and answer")
    expect(screen.locator("#role-0")).to_contain_text("Question")
    pick(screen, "role-0", "Spalte A")
    pick(screen, "role-1", "Spalte B")
    screen.locator("#confirm").click()
    expect(screen.locator("#report-head")).to_contain_text("Training can start")
    expect(screen.locator("#findings")).to_contain_text("42")
    expect(screen.locator("#samples")).to_contain_text("costs")
    screen.locator("#show-tokens").click()
    expect(screen.locator("#tokens .learned").first).to_be_visible()

    # The plan comes by itself, and follows the fields.
    screen.get_by_role("link", name="Train on this dataset").click()
    expect(screen.locator("#plan")).to_contain_text("fits", timeout=RUN)
    pick(screen, "training-packing", "No")
    item = next(item for item in library.versions(studio.home) if item.title == "Prices")
    screen.get_by_role("button", name="As YAML").click()
    expect(screen.locator("#yaml")).to_contain_text("packing: false")
    load_yaml(
        screen,
        f"name: journey\ndata: {{train: {item.files[0]}, format: question_answer, columns: {{question: Spalte A, answer: Spalte B}}}}\n"
        "training: {max_steps: 6, learning_rate: 5e-3}\nevaluation: {max_rows: 4, general: 'off'}\n",
    )
    screen.locator("#more-training button").first.click()
    expect(box(screen, "training-max_steps")).to_have_value("6")
    expect(screen.locator("#data")).to_contain_text("Prices")
    expect(screen.locator("#plan")).to_contain_text("6", timeout=RUN)
    screen.locator("#start").click()
    screen.wait_for_url("**/run?id=journey-**")

    # It is watched, to its evidence.
    expect(screen.locator("#head")).to_contain_text("done", timeout=RUN)
    expect(screen.locator("#curves svg.chart").first).to_be_visible()
    screen.get_by_role("link", name="Evidence", exact=True).last.click()
    expect(screen.locator("#figures")).to_contain_text("Held-out")
    expect(screen.locator("#answers .sample").first).to_be_visible()

    # It is exported, checked, and downloaded.
    run = next(run for run in runs.list_runs(studio.home) if run.spec.name == "journey")
    screen.goto(f"/export?id={run.id}")
    screen.locator("#make-gguf").click()
    expect(screen.locator("#made")).to_contain_text("verified", timeout=RUN)
    with screen.expect_download() as download:
        screen.get_by_role("link", name="Download").first.click()
    assert download.value.path().read_bytes()[:4] == b"GGUF"

    # It is talked to.
    screen.goto(f"/chat?id={run.id}")
    expect(screen.locator("#run input")).to_have_value(f"journey · {run.id}")
    box(screen, "message").fill("What does the Aria lamp cost?")
    screen.locator("#send").click()
    expect(screen.locator("#talk .turn.assistant")).to_have_count(2, timeout=RUN)
    expect(screen.locator("#talk")).to_contain_text("Tuned")


def test_a_run_goes_on_while_the_server_is_killed_and_is_stopped_resumed_and_seen_in_two_tabs(studio: Any, new_page: Any):
    support = next(item for item in library.versions(studio.home) if item.title == "Support")
    first, second = new_page(), new_page(390, "dark")
    first.goto(f"/train?data={support.key}")
    expect(first.locator("#data")).to_contain_text("Support")
    box(first, "name").fill("long")
    first.locator("#more-training button").first.click()
    box(first, "training-epochs").fill("200")  # it must not end before it is stopped, however slow the pages are
    box(first, "training-max_steps").fill("4000")
    box(first, "training-save_every").fill("5")
    first.locator("#start").click()
    first.wait_for_url("**/run?id=long-**")
    place = first.url
    expect(first.locator("#kpis")).to_contain_text("step", timeout=RUN)

    studio.kill()
    run = runs.find("long", studio.home)
    assert run.status.active
    studio.start()
    assert runs.find("long", studio.home).status.active

    second.goto(place)
    expect(second.locator("#stages")).to_contain_text("in progress")
    open_again(first, place)
    first.locator("#stop").click()
    expect(first.locator("#head")).to_contain_text("stopped", timeout=RUN)
    expect(second.locator("#head")).to_contain_text("stopped", timeout=RUN)
    stopped_at = run.summary().step
    assert stopped_at > 0

    second.locator("#resume").click()
    expect(first.locator("#resume")).to_be_visible()
    first.reload()
    expect(first.locator("#stop")).to_be_visible()
    expect(first.locator("#stages")).to_contain_text("in progress")
    first.locator("#stop").click()
    expect(first.locator("#head")).to_contain_text("stopped", timeout=RUN)
    first.locator("#delete-ask").click()
    first.locator("#delete").click()
    first.wait_for_url("**/runs")
    expect(first.locator("#runs")).not_to_contain_text("long-")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("model.pkl", b"cos\nsystem\n(S'touch /tmp/hacked'\ntR.", "pkl"),
        ("empty.csv", b"", "empty"),
        ("page.csv", b"<!doctype html><html><body>no</body></html>", "web page"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(studio: Any, screen: Any, name: str, content: bytes, says: str):
    screen.goto("/data")
    expect(screen.locator("#library table, #library .empty").first).to_be_visible()
    screen.locator("#upload input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    if name.endswith(".pkl"):
        expect(screen.get_by_text("Invalid file type").first).to_be_visible()
        return
    expect(screen.locator("#upload a").first).to_be_visible()
    screen.locator("#add").click()
    screen.wait_for_url("**/dataset?key=**")
    expect(screen.locator("#report-head")).to_contain_text(says)


def test_start_says_what_is_missing_or_wrong_and_in_which_field(studio: Any, screen: Any):
    screen.goto("/train")
    expect(box(screen, "training-epochs")).to_have_value("3")
    expect(screen.locator("#plan")).to_contain_text("Choose a dataset, or upload one")  # what the page plans when it opens
    screen.locator("#start").click()
    expect(screen.locator("#plan")).to_contain_text("No training data is chosen")
    support = next(item for item in library.versions(studio.home) if item.title == "Support")
    screen.goto(f"/train?data={support.key}")
    expect(screen.locator("#data")).to_contain_text("Support")
    expect(screen.locator("#plan")).to_contain_text("fits", timeout=RUN)
    for field, label, wrong in (
        ("training-epochs", "Epochs", "-1"),
        ("training-learning_rate", "Learning rate", "fast"),
        ("adapter-rank", "Rank", "0.5"),
    ):
        before = box(screen, field).input_value()
        box(screen, field).fill(wrong)
        screen.locator("#start").click()
        expect(screen.locator("#plan .notice.bad")).to_contain_text(label)
        expect(screen.locator(f"#{field} .field-wrong")).to_contain_text(wrong)
        expect(screen.get_by_test_id("toast-body").first).to_contain_text("got")
        box(screen, field).fill(before)
        box(screen, field).blur()
        expect(screen.locator("#plan")).to_contain_text("fits", timeout=RUN)
        expect(screen.locator(".field-wrong")).to_have_count(0)
    assert "/train" in screen.url


def test_a_dataset_is_renamed_and_deleted_only_on_second_thought(studio: Any, screen: Any):
    upload(screen, "faq.csv", table(("question", "answer"), rows=12), "To go")
    screen.wait_for_url("**/dataset?key=to-go**")
    expect(screen.locator("#report-head")).to_contain_text("Training can start")
    box(screen, "new-title").fill("Renamed")
    screen.locator("#rename").click()
    expect(screen.locator("#name")).to_contain_text("Renamed")
    screen.locator("#delete-ask").click()
    screen.locator("#delete-back").click()
    expect(screen.locator("#delete-ask")).to_be_visible()
    screen.locator("#delete-ask").click()
    screen.locator("#delete").click()
    screen.wait_for_url("**/data")
    expect(screen.locator("#library")).not_to_contain_text("Renamed")


def test_runs_are_filtered_and_compared(studio: Any, screen: Any):
    screen.goto("/runs")
    expect(screen.locator("#runs tbody tr").first).to_be_visible()
    box(screen, "filter").fill("no such thing")
    expect(screen.locator("#runs")).to_contain_text("No run matches")
    box(screen, "filter").fill("")
    screen.locator("#compare").click()
    expect(screen.get_by_test_id("toast-body")).to_contain_text("choose two")
    for name in ("failed ·", "done <"):
        pick(screen, "chosen", name)
    screen.keyboard.press("Escape")
    screen.locator("#compare").click()
    screen.wait_for_url("**/compare?runs=**")
    expect(screen.locator("#results")).to_contain_text("Held-out loss")
