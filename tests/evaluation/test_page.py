"""The HTML report: one file that asks for nothing, runs nothing, and shows every text as text."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from studio.core.charts import Series, line_chart
from studio.core.html import Fragments
from studio.data.desk_report import DeskReport
from studio.data.findings import Example, Finding
from studio.evaluation.page import marked, render_html
from studio.evaluation.page_curves import series
from studio.evaluation.report import Report, Verdict

METRICS = [
    *({"step": step, "loss": 3 / step, "lr": 1e-3, "tokens": 100 * step, "memory": 2**30} for step in range(1, 61)),
    {"step": 60, "eval_loss": 0.2},
    {"step": 60, "loss": float("nan")},
]
EVIL = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>\"'"


class Balanced(HTMLParser):
    """Fails on tags that do not close in order; keeps tags and attributes."""

    VOID = ("meta", "br", "path", "img", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def evil(report: Report) -> Report:
    """The report with hostile text wherever a dataset or a model may put text."""
    held_out = report.sets[0]
    given = dataclasses.replace(held_out.answers[0].tuned, text=EVIL)
    row = dataclasses.replace(held_out.answers[0], question=EVIL, reference=EVIL + " blue", base=given, tuned=given, file=EVIL)
    first = dataclasses.replace(held_out, name=EVIL, answers=[row] * len(held_out.answers), left_out=[EVIL])
    verdict = Verdict("better", EVIL, EVIL, [EVIL])
    return report.model_copy(update={"sets": [first, *report.sets[1:]], "verdict": verdict, "device": EVIL})


@pytest.mark.torch
def test_hostile_text_is_shown_as_text(evil: Report):
    page = Balanced(render_html(evil, METRICS, EVIL, EVIL, warnings=(EVIL,)))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "iframe", "link", "object", "form", "base"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name in ("src", "href")]


@pytest.mark.torch
def test_the_page_asks_for_nothing_outside_itself(report: Report):
    page = render_html(report, METRICS, "name: bot", "bot")
    assert not re.search(r"https?://|url\(|@import|@font-face|//[a-z]", page)
    assert "default-src 'none'" in page


@pytest.mark.torch
def test_the_page_shows_verdict_figures_curves_samples_and_spec(report: Report):
    page = render_html(report, METRICS, "name: my-bot", "my-bot", warnings=("chat template: it writes the date",))
    Balanced(page)
    shown = ("Exact match", "Token accuracy", "it is made of glass", "name: my-bot", "6,000 tokens", "1.0 GiB at the peak")
    for text in (*shown, "chat template: it writes the date"):
        assert text in page, text
    assert page.count("<svg") == 2
    assert page.count('class="sample"') == sum(len(item.best) + len(item.worst) + len(item.changed) for item in report.sets)


@pytest.mark.torch
def test_light_dark_phone_and_keyboard_are_provided_for(report: Report):
    page = render_html(report, METRICS, "", "bot")
    for need in ("prefers-color-scheme: dark", 'name="viewport"', "max-width: 720px", ":focus-visible", 'lang="en"', "<main>"):
        assert need in page, need
    parsed = Balanced(page)
    assert all("aria-label" in attributes for tag, attributes in parsed.tags if tag == "svg")
    assert all("scope" in attributes for tag, attributes in parsed.tags if tag == "th")


@pytest.mark.torch
def test_a_run_without_metrics_still_has_a_page(report: Report):
    page = render_html(report, [], "", "bot")
    Balanced(page)
    assert "<svg" not in page


def shown(reference: str, answer: str) -> str:
    return Fragments("studio.evaluation", "evidence.html")("marked", list(marked(reference, answer)))


def test_differences_are_marked_word_by_word():
    assert shown("made of red oak.", "made of blue oak.") == "made of <del>red</del> <ins>blue</ins> oak."
    assert shown("12 months", "12 months") == "12 months"
    assert shown("12 months", "") == "<del>12 months</del>"
    assert shown("a < b", "a > b") == "a <del>&lt;</del> <ins>&gt;</ins> b"


def test_a_very_long_answer_is_shown_unmarked():
    text = "word " * 3000
    assert list(marked("other " * 3000, text)) == [("", text)]


def test_values_that_are_not_numbers_are_not_drawn():
    points = series([{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 1.0}, {"step": 3}, {"loss": 2.0}], "loss")
    assert points == [(2.0, 1.0)]
    assert "loss 1 at step 2" in line_chart("Loss", [Series("loss", points)])
    assert line_chart("Loss", [Series("loss", [])]) == ""


@pytest.mark.torch
def test_the_page_says_what_the_checks_found_in_the_training_rows(report: Report) -> None:
    found = Finding(
        check="html", severity="warning", message="texts hold <HTML>", count=3, share=0.25, not_covered="Markdown",
        examples=(Example(file="faq.csv", line=7, text="<b>"),),
    )  # fmt: skip
    page = render_html(report, [], "", "bot", DeskReport(rows=12, findings=(found,)))
    assert "12 training rows checked." in page
    assert "<b>html</b> (warning): texts hold &lt;HTML&gt;: 3 rows, 25.0%, first in faq.csv, line 7." in page
    assert "Not looked for: Markdown." in page
    assert "no check found anything" in render_html(report, [], "", "bot", DeskReport(rows=12, findings=()))
