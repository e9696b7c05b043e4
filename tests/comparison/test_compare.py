"""The comparison counts what was answered: every figure from its rows, paired, with passages given and withheld."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from studio.app import answer_comparison, comparison_web, documents, indexes, library, runs
from studio.app.library import samples
from studio.comparison import questions as asking
from studio.comparison.compare import BASE, LARGE, Answerer, Messages, Reply, compare
from studio.comparison.page import columns, render, table
from studio.comparison.record import AnswerRow, ComparisonRecord
from studio.comparison.settings import Comparison
from studio.core.errors import DataError, SpecError
from studio.core.files import read_json_lines
from studio.remote.ceiling import CeilingReached
from studio.remote.endpoint import Endpoint, Price
from studio.retrieval.grounding import Grounding, prompt
from studio.spec import RunSpec
from studio.tracking.reporter import Silent
from tests.remote.loopback import loopback

FACTS = {
    f"tool {word}": f"{number} euros" for number, word in enumerate(("axe", "bolt", "clamp", "drill", "edger", "file"), 11)
}


@pytest.fixture
def grounding(home: Path, tmp_path: Path) -> Grounding:
    file = tmp_path / "prices.md"
    file.write_text("\n".join(f"# {tool}\n\nThe {tool} costs {price}.\n" for tool, price in FACTS.items()))
    documents.add_documents("prices", file, home=home)
    return Grounding(indexes.build_index("prices", "prices", home=home), most=2)


@pytest.fixture
def questions(tmp_path: Path, grounding: Grounding) -> asking.Questions:
    rows: list[dict[str, Any]] = [
        {"question": f"What does the {tool} cost?", "answer": price, "quote": f"The {tool} costs {price}."}
        for tool, price in FACTS.items()
    ]
    rows.append({"question": "What does the tool xylophone cost?", "answer": "", "answerable": False})
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return asking.read(rows, str(file), 100, grounding.index)


def guesses(messages: Messages) -> Reply:
    """Knows nothing and says something."""
    return Reply("99 euros", 20, 2, 0.5)


def reads(messages: Messages) -> Reply:
    """Answers from the passages before it alone, as a good reader would."""
    content = str(messages[-1]["content"])
    tool = content.rpartition("What does the ")[2].partition(" cost?")[0]
    price = FACTS[tool] if f"The {tool} costs" in content else ""
    return Reply(price or "The documents do not say.", len(content), 4, 1.0)


def paid(messages: Messages) -> Reply:
    return Reply(reads(messages).text, 100, 10, 2.0, cost=0.002)


def compared(questions: asking.Questions, grounding: Grounding) -> tuple[ComparisonRecord, list[AnswerRow]]:
    rows: list[AnswerRow] = []
    spec = Comparison(questions="q.jsonl", volume=50_000, server=60)
    local = [Answerer(BASE, guesses), Answerer("tuned", reads)]
    large = Answerer(LARGE, paid, metered=True)
    return compare(spec, questions, local, large, grounding, Silent(), rows.append), rows


def test_each_way_is_asked_every_question_and_counted_from_its_rows(questions: asking.Questions, grounding: Grounding) -> None:
    record, rows = compared(questions, grounding)
    ways = {way.name: way for way in record.ways}
    assert list(ways) == [
        "base", "tuned", "retrieval", "tuned + retrieval", "tuned + right passage", "tuned + wrong passages", "large model",
        "large model + retrieval",
    ]  # fmt: skip
    assert len(rows) == 6 * 7 + 2 * 6, "right and wrong passages are for questions whose passage is known"
    for name, way in ways.items():
        mine = [row.quality for row in rows if row.way == name]
        assert way.quality.value == pytest.approx(sum(mine) / len(mine))
    assert ways["tuned + retrieval"].quality.value == 1.0  # six prices and one refusal
    assert ways["tuned"].quality.value == pytest.approx(1 / 7)  # the refusal alone is right
    assert (record.questions, record.unanswerable) == (7, 1)
    assert record.found_by_retrieval is not None
    assert (record.found_by_retrieval.value, record.found_by_retrieval.rows) == (1.0, 6)


def test_refusals_right_and_wrong_are_told_apart(questions: asking.Questions, grounding: Grounding) -> None:
    ways = {way.name: way for way in compared(questions, grounding)[0].ways}

    def refusals(name: str) -> tuple[float, float]:
        right, wrong = ways[name].refused_rightly, ways[name].refused_wrongly
        assert right is not None and wrong is not None  # noqa: PT018
        return right.value, wrong.value

    assert refusals("base") == (0.0, 0.0)
    assert refusals("tuned") == (1.0, 1.0)
    assert refusals("tuned + retrieval") == (1.0, 0.0)


def test_reading_and_retrieval_are_told_apart(questions: asking.Questions, grounding: Grounding) -> None:
    ways = {way.name: way for way in compared(questions, grounding)[0].ways}
    right, wrong = ways["tuned + right passage"], ways["tuned + wrong passages"]
    assert right.answered is not None
    assert wrong.answered is not None
    assert (right.answered.value, wrong.answered.value) == (1.0, 0.0)
    assert (right.quality.rows, ways["tuned"].quality.rows) == (6, 7)
    assert right.change is not None
    assert right.change.value == 1.0, "against base on the same six questions"
    assert ways["retrieval"].grounded is not None
    assert ways["retrieval"].grounded.value == 0.0  # 99 euros stand nowhere
    assert ways["base"].grounded is None


def test_costs_are_those_of_the_volume_with_the_volume_where_a_machine_of_ones_own_is_cheaper(
    questions: asking.Questions, grounding: Grounding
) -> None:
    ways = {way.name: way for way in compared(questions, grounding)[0].ways}
    assert ways[LARGE].per_thousand == pytest.approx(2.0)
    assert ways[LARGE].per_month == pytest.approx(100.0)
    assert ways[LARGE].break_even == pytest.approx(30_000)
    assert (ways["tuned"].per_month, ways["tuned"].break_even) == (60, None)
    assert (ways["tuned"].p50, ways[LARGE].p95) == (1.0, 2.0)


def test_changes_are_paired_question_by_question(questions: asking.Questions, grounding: Grounding) -> None:
    ways = {way.name: way for way in compared(questions, grounding)[0].ways}
    assert ways["base"].change is None
    change = ways["tuned + retrieval"].change
    assert change is not None
    assert change.value == pytest.approx(ways["tuned + retrieval"].quality.value - ways["base"].quality.value)
    assert change.low is not None
    assert change.low > 0


def test_an_answer_that_failed_counts_as_wrong_but_a_ceiling_ends_it(questions: asking.Questions, grounding: Grounding) -> None:
    def fails(messages: Messages) -> Reply:
        raise SpecError("no server", hint="")

    def too_dear(messages: Messages) -> Reply:
        raise CeilingReached("reached", hint="")

    spec = Comparison(questions="q.jsonl")
    record = compare(spec, questions, [Answerer(BASE, fails)], None, None, Silent(), lambda row: None)
    assert (record.ways[0].errors, record.ways[0].quality.value) == (7, 0.0)
    with pytest.raises(CeilingReached):
        compare(spec, questions, [], Answerer(LARGE, too_dear, metered=True), None, Silent(), lambda row: None)


def test_the_page_and_the_record_hold_the_figures(questions: asking.Questions, grounding: Grounding, tmp_path: Path) -> None:
    record, rows = compared(questions, grounding)
    assert ComparisonRecord.read(record.write(tmp_path / "report.json")) == record
    html = render(record, [*rows, rows[0].model_copy(update={"answer": "<script>alert(1)</script>"})])
    assert "<svg" in html
    assert "break-even" in html
    assert "<script>" not in html
    assert len(table(record)) == 8


def test_every_figure_is_counted_from_the_rows_that_the_page_leads_to(
    questions: asking.Questions, grounding: Grounding, tmp_path: Path
) -> None:
    record, _ = compared(questions, grounding)
    written = tmp_path / "answers.jsonl"
    for row in compared(questions, grounding)[1]:
        row.append(written)
    rows = answer_comparison.answers(tmp_path)
    html = render(record, rows)
    for at, way in enumerate(record.ways):
        own = [row for row in rows if row.way == way.name]
        wrongly = [row.refused for row in own if row.answerable]
        rightly = [row.refused for row in own if not row.answerable]
        grounded = [row.grounded for row in own if row.grounded is not None]
        billed = sum(row.cost for row in own) / len(own)
        counted = {
            "quality": fmean(row.quality for row in own),
            "refused_rightly": fmean(rightly) if rightly else None,
            "known": fmean(row.quality for row in own if row.gold),
            "refused_wrongly": fmean(wrongly),
            "answered": fmean(row.quality for row in own if row.answerable),
            "grounded": fmean(grounded) if grounded else None,
        }
        for name, value in counted.items():
            figure = getattr(way, name)
            assert (figure.value if figure else None) == (None if value is None else pytest.approx(value)), name
        assert way.p95 == pytest.approx(float(np.percentile([row.seconds for row in own], 95)))
        assert (way.prompt_tokens, way.answer_tokens) == (
            pytest.approx(fmean(row.prompt_tokens for row in own)),
            pytest.approx(fmean(row.answer_tokens for row in own)),
        )
        if way.name.startswith(LARGE):
            assert way.per_thousand == pytest.approx(1_000 * billed)
            assert way.break_even == pytest.approx(record.server / billed)
        assert html.count(f'href="#rows-{at}"') == len(columns())
        shown = html.partition(f'id="rows-{at}"')[2].partition("</table>")[0]
        assert shown.count("<tr>") == len(own) + 1  # its head, and below it the line that adds them up
        last = shown.partition('<tr class="first">')[2]
        assert f"<td>{100 * way.quality.value:.0f} %</td>" in last
        assert f"answerable: {100 * counted['answered']:.0f} %</td>" in last
        assert f"<td>p50 {way.p50:.2f}, p95 {way.p95:.2f}</td>" in last
        if way.name.startswith(LARGE):
            assert f"in all, {way.per_thousand:.2f} per 1,000</td>" in last
    known = [row for row in rows if row.way == "tuned + retrieval" and row.gold]
    assert record.found_by_retrieval is not None
    assert record.found_by_retrieval.value == fmean(bool(set(row.gold) & set(row.passages)) for row in known)


def test_the_page_says_what_to_take_home(questions: asking.Questions, grounding: Grounding) -> None:
    record, rows = compared(questions, grounding)
    html = render(record, rows, "run: last")
    assert "Highest quality: tuned + retrieval, 100 %" in html
    assert "cheaper than large model from 30,000 questions a month on" in html
    assert "With the right passage, tuned answers 100 %" in html
    assert "refuses 100 %" in html
    assert "run: last" in html


def run_with(home: Path, trained: str, held_out: str) -> str:
    """A run whose data lies where training puts it; its id."""
    run = runs.create(RunSpec.model_validate({"name": "r", "data": {"train": str(samples()[0])}}), home)
    run.folder.data.mkdir()
    for name, question in (("train", trained), ("held-out", held_out)):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "It is 5."}]
        line = json.dumps({"messages": [{"role": "system", "content": "Be brief."}, *turns]})
        (run.folder.data / f"{name}.jsonl").write_text(f"{line}\n{line}\n")
    return run.id


def test_questions_are_the_runs_own_held_out_rows_unless_named_and_never_trained_on(home: Path, tmp_path: Path) -> None:
    run = run_with(home, "How heavy is it?", "How high is it?")
    own = answer_comparison.questions_of(Comparison(run=run), home, None).usable
    assert [question.text for question in own] == ["How high is it?"] * 2
    assert own[0].before == ({"role": "system", "content": "Be brief."},)
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "how heavy is it", "answer": "5"}\n{"question": "Else?", "answer": "6"}\n')
    with pytest.raises(DataError, match="1 of 2 questions are among the rows that the run was trained on"):
        answer_comparison.questions_of(Comparison(run=run, questions=str(file)), home, None)
    library.add(home, "Mine", [("q.jsonl", file)])
    named = answer_comparison.questions_of(Comparison(run="starter", questions="dataset:mine"), home, None).usable
    assert [question.text for question in named] == ["how heavy is it", "Else?"]
    with pytest.raises(DataError, match="no questions to compare on"):
        answer_comparison.questions_of(Comparison(run="starter"), home, None)


def test_a_question_with_passages_around_it_is_the_question_and_marks_of_sources_are_no_answer() -> None:
    row = {"messages": [{"role": "user", "content": prompt("How high?", [])}, {"role": "assistant", "content": "Nine m. [1]"}]}
    (question, _) = asking.read([row, row], "x", 2, None).usable
    assert (question.text, question.reference) == ("How high?", "Nine m.")
    ways = [Answerer(BASE, lambda messages: Reply("nine m. [2]", 1, 1, 0.1))]
    record = compare(Comparison(), asking.Questions([question, question]), ways, None, None, Silent(), lambda row: None)
    assert (record.metric, record.ways[0].quality.value) == ("contains_reference", 1.0)


def test_a_volume_beyond_one_machine_is_remarked(questions: asking.Questions) -> None:
    spec = Comparison(volume=10_000_000)
    record = compare(spec, questions, [Answerer(BASE, guesses)], None, None, Silent(), lambda row: None)
    assert any("answers 5,184,000 questions a month" in remark for remark in record.remarks)


def test_a_page_begins_no_comparison_with_a_file_or_a_key_of_somebodys(home: Path) -> None:
    for text, message in (
        ("run: starter\nquestions: /etc/passwd", "only files in its own library"),
        ("run: starter\nlarge: {url: 'http://localhost:1/v1', model: m, key: HF_TOKEN}", "a key to its own host only"),
        ("run: /etc", "choose a run or a model"),
    ):
        with pytest.raises(SpecError, match=message):
            comparison_web.from_web(text, home)
    spec = comparison_web.from_form("starter", "", "dataset:mine@1", 20, 2, "", "", None, None, None, 10_000, 60)
    assert comparison_web.from_web(spec.as_yaml(), home) == spec
    assert (spec.most_questions, spec.passages, spec.server) == (20, 2, 60)


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        ("The documents do not say.", True), ("I don't know.", True), ("", True),
        ("This is not mentioned in the handbook.", True),
        ("Thirty days.", False), ("Do not use it wet.", False), ("You cannot return it after thirty days.", False),
    ],
)  # fmt: skip
def test_a_refusal_is_known(answer: str, refused: bool) -> None:
    assert asking.refuses(answer) is refused


def test_rows_that_are_no_question_are_counted_in_a_remark_and_a_broken_line_is_refused_with_its_number(
    home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "A?", "answer": "1"}\n{"question": "B?"}\n\n{"question": "C?", "answer": "3"}\n')
    found = answer_comparison.questions_of(Comparison(run="starter", questions=str(file)), home, None)
    assert ([question.text for question in found.usable], found.left_out) == (["A?", "C?"], 1)
    record = compare(Comparison(), found, [Answerer(BASE, guesses)], None, None, Silent(), lambda row: None)
    assert record.remarks[0].startswith("1 row of the questions was left out: without a question, or with neither an answer")
    for broken, says in (
        ('{"question": "D?", \n', "q.jsonl:5: not valid JSON"),
        ("[1]\n", "q.jsonl:5: expected a JSON object"),
    ):
        text = file.read_text()
        file.write_text(text + broken)
        with pytest.raises(DataError, match=says):
            answer_comparison.questions_of(Comparison(run="starter", questions=str(file)), home, None)
        file.write_text(text)


def test_a_file_without_questions_and_a_wrong_spec_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "x", "answer": "y"}\n{"text": "z"}\n')
    with pytest.raises(DataError, match="1 usable questions"):
        asking.read(read_json_lines(file), str(file), 10, None)
    spec = tmp_path / "c.yaml"
    spec.write_text("questions: q.jsonl\nvolum: 3\n")
    with pytest.raises(SpecError, match="volum"):
        answer_comparison.load(spec)


def test_a_large_model_is_asked_by_its_api_billed_once_and_kept_under_the_ceiling(
    home: Path, grounding: Grounding, questions: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_comparison, "_local", lambda spec, home, opened: ([Answerer(BASE, guesses)], 8_192))
    with loopback(lambda body: reads(body["messages"]).text) as api:
        endpoint = Endpoint(url=api.url, model="large", price=Price(input=1.0, output=4.0))
        spec = Comparison(
            index="prices", questions=str(tmp_path / "questions.jsonl"), large=endpoint, ceiling=1.0, server=50, passages=2
        )
        first, _ = answer_comparison.compare_answers(spec, home)
        billed = len(api.bills)
        again, _ = answer_comparison.compare_answers(spec, home)
        assert len(api.bills) == billed == 14  # seven questions, with and without passages; the second time from the cache
        bare, read = (way for way in first.ways if way.name.startswith(LARGE))
        assert (bare.quality.value, read.quality.value) == (pytest.approx(1 / 7), 1.0)
        assert 7 * (bare.per_thousand + read.per_thousand) / 1_000 == pytest.approx(
            sum(prompt + 4 * answer for prompt, answer in api.bills) / 1e6
        )
        assert read.break_even == pytest.approx(50_000 / read.per_thousand)
        assert [way.per_thousand for way in again.ways] == [way.per_thousand for way in first.ways]
        with pytest.raises(CeilingReached):
            answer_comparison.compare_answers(
                Comparison(questions=spec.questions, large=endpoint, ceiling=1e-5, max_tokens=201), home
            )


@pytest.mark.torch
@pytest.mark.slow
def test_from_a_yaml_to_a_page_with_a_real_model(home: Path, grounding: Grounding, questions: Any, tmp_path: Path) -> None:
    spec = tmp_path / "c.yaml"
    spec.write_text(
        f"run: starter\nindex: prices\nquestions: {tmp_path / 'questions.jsonl'}\nmax_tokens: 8\nmost_questions: 3\n"
    )
    record, folder = answer_comparison.compare_answers(answer_comparison.load(spec), home)
    assert [way.name for way in record.ways] == ["base", "base + retrieval", "base + right passage", "base + wrong passages"]
    assert all(way.prompt_tokens > 0 and way.p50 > 0 for way in record.ways)
    assert len(answer_comparison.answers(folder)) == 12
    assert (folder / "report.html").exists()
    assert answer_comparison.comparisons(home) == [folder]
