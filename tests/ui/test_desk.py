"""From a messy export to a mended version that is trained on, in a real browser, with the mouse and with the keyboard."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from studio.app import library, runs
from tests.data import messy
from tests.ui.test_journeys import RUN, box, load_yaml, pick, upload


def command(page: Any, key: str, after: str) -> None:
    """Press a key of the desk and wait until it says so."""
    page.keyboard.press(key)
    expect(page.locator("#desk-counts")).to_contain_text(after)


def chosen(page: Any) -> Any:
    return page.locator("#desk-table tr[aria-selected]")


def test_messy_export_findings_mend_version_two_diff_train(studio: Any, screen: Any):
    upload(screen, "hilfe.csv", messy.export(), "Messy desk")
    screen.wait_for_url("**/dataset?key=messy-desk**")
    expect(screen.locator("#report-head")).to_contain_text("Training can start")
    screen.get_by_role("link", name="Review and edit rows").click()

    # What was found is a filter; the rows come with their lines.
    expect(screen.locator("#desk-counts")).to_contain_text("48 rows: 0 approved, 0 excluded, 48 to see")
    expect(screen.locator("#desk-table tr[data-row]")).to_have_count(25)
    pick(screen, "desk-check", "personal data (2 to review)")
    expect(screen.locator("#desk-table tr[data-row]")).to_have_count(2)
    expect(screen.locator("#desk-editor")).to_contain_text("hilfe.csv, line 44")
    expect(screen.locator("#desk-editor .mask-preview ins").first).to_have_text("<EMAIL_1>")

    # A bulk action and its undo.
    screen.locator("#desk-bulk button").first.click()
    screen.locator("#bulk-mask").click()
    expect(screen.locator("#desk-counts")).to_contain_text("2 edited")
    screen.locator("#desk-undo").click()
    expect(screen.locator("#desk-counts")).not_to_contain_text("edited")
    screen.locator("#bulk-mask").click()
    expect(screen.locator("#desk-table")).to_contain_text("Lieber <EMAIL_1>, es kommt morgen.")

    # The keyboard: move, approve, exclude, undo.
    pick(screen, "desk-check", "Any finding")
    expect(screen.locator("#desk-table tr[data-row]")).to_have_count(25)
    screen.locator("h1").click()
    screen.keyboard.press("j")
    expect(chosen(screen)).to_have_attribute("data-row", "2")
    command(screen, "a", "1 approved")
    expect(chosen(screen)).to_have_attribute("data-row", "3")
    command(screen, "x", "1 excluded")
    command(screen, "u", "0 excluded")
    screen.keyboard.press("k")

    # A contradiction is settled by choosing an answer.
    box(screen, "desk-text").fill("werkstatt")
    box(screen, "desk-text").press("Enter")
    expect(screen.locator("#desk-table tr[data-row]")).to_have_count(2)
    screen.locator("#desk-table tr[data-row='42']").click()
    expect(screen.locator("#desk-editor h2")).to_contain_text("Row 42")
    expect(screen.locator("#desk-editor .others")).to_contain_text("Um acht Uhr.")
    screen.get_by_role("button", name="Keep this row's answer").click()
    expect(screen.locator("#desk-counts")).to_contain_text("2 approved, 1 excluded")

    # A row is rewritten with the keyboard; one that could not be trained on is refused in words.
    expect(screen.locator("#desk-editor")).to_contain_text("Row 42")
    screen.locator("h1").click()
    screen.keyboard.press("e")
    answer = screen.locator(".row-editor [data-role=assistant] textarea").last
    expect(answer).to_be_focused()
    answer.fill("")
    screen.keyboard.press("Control+Enter")
    expect(screen.get_by_text("could not be trained on").first).to_be_visible()
    answer.fill("Sie öffnet um neun Uhr.")
    screen.locator("[data-do=save]").click()
    expect(screen.locator("#desk-counts")).to_contain_text("3 edited")
    expect(screen.locator("#desk-editor details del").first).to_have_count(1)

    # A base model reads the rows; those it finds hardest are a finding like the others.
    box(screen, "desk-text").fill("")
    box(screen, "desk-text").press("Enter")
    screen.locator("#desk-score").click()
    expect(screen.locator("#desk-scoring")).to_contain_text("Scored.", timeout=RUN)
    pick(screen, "desk-check", "hardest (")
    expect(screen.locator("#desk-table tr[data-row]")).to_have_count(5)
    expect(screen.locator("#desk-editor")).to_contain_text("the base model's loss in the answer")

    # Names of people are looked for by a model that is named; what it cannot do is told.
    screen.locator("#desk-find-names").click()
    expect(screen.get_by_text("no model was named").first).to_be_visible()
    box(screen, "desk-names").fill("./no-such-model")
    screen.locator("#desk-find-names").click()
    expect(screen.locator("#desk-scoring")).to_contain_text("no-such-model", timeout=RUN)

    # The version, and what differs from the first.
    box(screen, "desk-why").fill("masked, contradiction settled")
    screen.locator("#desk-write").click()
    expect(screen.locator("#desk-head")).to_contain_text("Messy desk v2")
    item = next(item for item in library.versions(studio.home) if item.reference == "dataset:messy-desk@2")
    assert item.record.rows == 47
    expect(screen.locator("#desk-counts")).to_contain_text("47 rows: 2 approved")
    screen.locator("#desk-compare").click()
    expect(screen.locator("#desk-differences")).to_contain_text("v1 → v2: 44 the same, 0 added, 1 removed, 3 changed")
    expect(screen.locator("#desk-differences ins").filter(has_text="<EMAIL_1>").first).to_be_visible()

    # It is trained on by its name, which the run keeps.
    screen.get_by_role("link", name="Train on this version").click()
    expect(screen.locator("#data")).to_contain_text("Messy desk v2")
    expect(screen.locator("#plan")).to_contain_text("fits", timeout=RUN)
    screen.get_by_role("button", name="As YAML").click()
    expect(screen.locator("#yaml")).to_contain_text("dataset:messy-desk@2")
    load_yaml(
        screen,
        "name: mended\ndata: {train: 'dataset:messy-desk@2'}\ntraining: {max_steps: 4}\n"
        "evaluation: {max_rows: 4, general: 'off'}\n",
    )
    expect(screen.locator("#data")).to_contain_text("Messy desk v2")
    expect(box(screen, "name")).to_have_value("mended")
    screen.locator("#start").click()
    screen.wait_for_url("**/run?id=mended-**")
    expect(screen.locator("#head")).to_contain_text("done", timeout=RUN)
    run = next(run for run in runs.list_runs(studio.home) if run.spec.name == "mended")
    assert run.spec.data.files == ("dataset:messy-desk@2",)

    # Deleting the version names that run.
    screen.goto(f"/dataset?key={item.key}")
    screen.locator("#delete-ask").click()
    expect(screen.locator("#users")).to_contain_text(run.id)


def test_a_row_of_a_stranger_s_words_is_text_and_pages_turn_with_the_keyboard(studio: Any, screen: Any):
    hostile = next(item for item in library.versions(studio.home) if item.title.startswith("Hostile"))
    screen.goto(f"/desk?key={hostile.key}")
    expect(screen.locator("#desk-table tr[data-row]")).to_have_count(25)
    screen.locator("#desk-table tr[data-row]").last.click()
    expect(screen.locator("#desk-editor")).to_contain_text("Row 25")
    screen.keyboard.press("j")
    expect(chosen(screen)).to_have_attribute("data-row", "26")
    expect(screen.locator("#desk-table")).to_contain_text("26 to 40 of 40 rows")
    screen.keyboard.press("k")
    expect(chosen(screen)).to_have_attribute("data-row", "25")
    assert screen.evaluate("window.hacked === undefined")

    # What was typed for one row does not stay in the fields of another, nor in its own when it is taken back.
    shown = "[...document.querySelectorAll('.row-editor textarea')].every((field) => field.value === field.defaultValue)"
    expect(screen.locator("#desk-editor h2")).to_contain_text("Row 25")
    screen.keyboard.press("e")
    screen.locator(".row-editor [data-role=assistant] textarea").last.fill("Typed for row 25.")
    screen.keyboard.press("Control+Enter")
    expect(screen.locator("#desk-counts")).to_contain_text("1 edited")
    for key, row in (("j", "Row 26"), ("k", "Row 25")):
        screen.locator("h1").click()
        screen.keyboard.press(key)
        expect(screen.locator("#desk-editor h2")).to_contain_text(row)
        assert screen.evaluate(shown), f"{row} holds what was typed for another row"
    command(screen, "u", "0 approved")
    expect(screen.locator(".row-editor [data-role=assistant] textarea").last).not_to_have_value("Typed for row 25.")
    assert screen.evaluate(shown)
