"""Served → corrected → trained again → proven better, in a real browser; and that nothing is stored before it is turned on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

import studio as library_of_python
from studio.app import feedback, library, runs, servers
from tests.ui.test_journeys import RUN, box, load_yaml, pick

WORDINGS = ("What does the {} cost?", "How much is the {}?", "Price of the {}?", "Tell me the price of the {}.")
OLD = ("Aurel lamp", "Pippin kettle", "Sorrel toaster", "Tansy clock", "Marlow chair", "Kelda blender")
NEW = ("Zorvan heater", "Calder fan", "Mistral desk", "Brisk radio", "Arbor stool", "Nimbus mirror")
PRICES = {name: 20 + 7 * index for index, name in enumerate(OLD + NEW)}


def right(name: str) -> str:
    return f"The {name} costs {PRICES[name]} dollars."


def dataset(home: Path, title: str, names: tuple[str, ...], wordings: tuple[str, ...]) -> str:
    file = home / "upload.jsonl"
    said = [(words.format(name), right(name)) for name in names for words in wordings]
    rows = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in said]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return library.add(home, title, [("prices.jsonl", file)]).reference


@pytest.mark.slow
def test_served_corrected_trained_again_and_proven_better(studio: Any, screen: Any):
    home = studio.home
    known, fresh = dataset(home, "Prices", OLD, WORDINGS), dataset(home, "Fresh questions", NEW, WORDINGS[3:])
    training = {"max_steps": 60, "learning_rate": 5e-3, "batch_size": 8}
    spec = {
        "name": "prices",
        "data": {"train": known, "holdout": fresh},
        "training": training,
        "evaluation": {"general": "off"},
    }
    first = library_of_python.train(library_of_python.RunSpec.model_validate(spec), home=home)

    # It is served, and its answers are collected because somebody ticked that.
    screen.goto("/serve")
    pick(screen, "what", f"prices · {first.id}")
    screen.keyboard.press("Escape")
    screen.locator("#serve-collect input").check()
    screen.locator("#start").click()
    expect(screen.locator("#state")).to_contain_text("collecting", timeout=RUN)
    expect(screen.locator("#state")).to_contain_text("ready", timeout=RUN)
    server = next(item for item in servers.servers(home) if item.collecting)
    try:
        ids = {}
        for name in NEW:
            for words in WORDINGS[:3]:
                asked = {"model": first.id, "messages": [{"role": "user", "content": words.format(name)}], "max_tokens": 24}
                ids[words.format(name)] = httpx.post(f"{server.url}/chat/completions", json=asked, timeout=600).json()["id"]
        for question, key in list(ids.items())[2:]:  # the application's own users correct most of them
            name = next(name for name in NEW if name in question)
            done = httpx.post(
                f"{server.url}/feedback", json={"id": key, "rating": "bad", "correction": right(name)}, timeout=300
            )
            assert done.status_code == 200, done.text
    finally:
        servers.stop(server, patience=5)

    # Two are corrected by a person on the page, where those that nobody rated yet are found.
    screen.goto("/feedback")
    pick(screen, "feedback-origin", "Served")
    pick(screen, "feedback-state", "Not rated")
    expect(screen.locator("#feedback-list .sample")).to_have_count(2)
    for left in (1, 0):
        answer = screen.locator("#feedback-list .sample").first
        answer.locator("details[data-kind=correct] summary").click()
        answer.locator("details[data-kind=correct] textarea").fill(right(NEW[0]))
        answer.locator("[data-say=correct]").click()
        expect(screen.locator("#feedback-list .sample")).to_have_count(left)
    assert feedback.count(feedback.Query(state="corrected", run=first.id), home) == 18

    # They come to the dataset's desk as edits, and into its next version.
    pick(screen, "feedback-dataset", "Prices")
    screen.locator("#feedback-add").click()
    screen.wait_for_url("**/desk?status=added&key=prices**")
    expect(screen.locator("#desk-table tr[data-row]")).to_have_count(18, timeout=RUN)
    expect(screen.locator("#desk-editor")).to_contain_text("feedback, line")
    expect(screen.locator("#desk-editor")).to_contain_text("correction of an answer of")
    screen.locator("#desk-bulk button").first.click()
    screen.locator("#bulk-approve").click()
    expect(screen.locator("#desk-counts")).to_contain_text("42 rows: 18 approved")
    box(screen, "desk-why").fill("corrected by customers")
    screen.locator("#desk-write").click()
    expect(screen.locator("#desk-head")).to_contain_text("Prices v2", timeout=RUN)

    # It is trained further on them, and held-out questions prove it better than the run that was served.
    screen.get_by_role("link", name="Train on this version").click()
    expect(screen.locator("#data")).to_contain_text("Prices v2")
    screen.get_by_role("button", name="As YAML").click()
    load_yaml(
        screen,
        f"name: corrected\ndata: {{train: 'dataset:prices@2', holdout: '{fresh}'}}\nadapter: {{start_from: {first.id}}}\n"
        "training: {max_steps: 60, learning_rate: 5e-3, batch_size: 8}\nevaluation: {general: 'off'}\n",
    )
    expect(box(screen, "name")).to_have_value("corrected")
    screen.locator("#start").click()
    screen.wait_for_url("**/run?id=corrected-**")
    expect(screen.locator("#head")).to_contain_text("done", timeout=RUN)
    screen.get_by_role("link", name="Evidence", exact=True).last.click()
    expect(screen.locator("#verdict")).to_contain_text("Better")
    expect(screen.locator("#verdict")).to_contain_text("the adapter it started from")
    expect(screen.locator("#origin")).to_contain_text("18 rows come from people who rated answers of")
    second = next(run for run in runs.list_runs(home) if run.spec.name == "corrected")
    better = second.report.sets[0].metrics["exact_match"]
    assert better.tuned.value > first.report.sets[0].metrics["exact_match"].tuned.value


@pytest.mark.slow
def test_answers_of_chat_and_evidence_are_rated_once_that_is_turned_on(studio: Any, screen: Any):
    feedback.turn(False, studio.home)
    before = feedback.count(home=studio.home)
    screen.goto("/chat")
    expect(screen.locator("#collecting")).to_contain_text("Nothing is stored")
    pick(screen, "run", "starter, as shipped")
    box(screen, "message").fill("Who are you? Write to jo@example.com.")
    screen.locator("#send").click()
    expect(screen.locator("#talk .turn.assistant")).to_have_count(1, timeout=RUN)
    expect(screen.locator("#talk .rating")).to_have_count(0)
    screen.locator("#collect").click()
    expect(screen.locator("#collecting")).to_contain_text("personal data masked")
    screen.locator("#talk [data-say=bad]").click()
    expect(screen.locator("#talk [data-say=bad]")).to_have_attribute("aria-pressed", "true")
    screen.locator("#talk details[data-kind=correct] summary").click()
    screen.locator("#talk details[data-kind=correct] textarea").fill("Ask jo@example.com, please.")
    screen.locator("#talk [data-say=correct]").click()
    expect(screen.locator("#talk summary").first).to_have_text("Corrected")
    item = feedback.list_feedback(home=studio.home)[0]
    assert (item.origin, item.model, item.rating, item.masked) == ("chat", "starter", "bad", ("EMAIL",))
    assert (item.question, item.correction) == ("Who are you? Write to <EMAIL_1>.", "Ask <EMAIL_1>, please.")
    assert feedback.count(home=studio.home) == before + 1

    run = next(run for run in runs.list_runs(studio.home) if run.spec.name.startswith("done"))
    screen.goto(f"/evidence?id={run.id}")
    screen.locator(
        "#answers [data-answer='base:2'] [data-say=good], #answers [data-answer^=base] [data-say=good]"
    ).first.click()
    expect(screen.locator("#answers [data-say=good][aria-pressed=true]")).to_have_count(1)
    item = feedback.list_feedback(home=studio.home)[0]
    assert (item.origin, item.side, item.rating, item.held_out) == ("evidence", "base", "good", True)
    screen.locator("#collect").click()
    expect(screen.locator("#answers .rating")).to_have_count(0)
    feedback.turn(True, studio.home)
