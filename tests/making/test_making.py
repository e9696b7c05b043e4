"""Rows made by a teacher on this machine: what is held out, filtered, paid, resumed, and kept with its provenance."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from studio.app import origins
from studio.core.errors import DataError, SpecError
from studio.data import prepare
from studio.data.curation import store
from studio.data.split import normal
from studio.making import dataset, jobs
from studio.making.folder import JobFolder, find, parse
from studio.making.quotes import find_quote, unsupported_numbers
from studio.making.sources import gather
from studio.planner.lock import made_rows
from studio.spec import RunSpec
from tests.making.kit import NAMES, REFUSAL, answer, passage, passages_of, ran, spec
from tests.remote.loopback import Faults, loopback

QUESTIONS = {"kind": "questions", "per_passage": 2}
REFUSALS = {"kind": "unanswerable", "answer": REFUSAL}


def reasons(job: JobFolder) -> Counter[str]:
    return Counter(row.filter for row in job.dropped())


def test_rows_come_from_passages_with_quote_and_provenance(tmp_path: Path) -> None:
    with loopback(answer, served_model="canned-2026") as api:
        job = ran(tmp_path, spec(api, QUESTIONS, REFUSALS))
    rows, report = list(job.rows()), job.report
    assert report
    assert report.complete
    assert not report.cautions[1:]
    assert len(rows) == 21
    row = next(row for row in rows if "cost" in row.question and not row.held_out)
    used = row.provenance.passages[0]
    text = next(item.text for item in passages_of(tmp_path, "handbook") if item.id == used.id)
    assert text[used.quote_start : used.quote_end].startswith("costs")
    assert row.messages[0]["content"] == f"{text}\n\n{row.question}"
    assert (row.provenance.served, row.provenance.prompt, row.provenance.recipe) == ("canned-2026", "questions/1", "questions")
    assert [row.answer for row in rows if row.refuses] == [REFUSAL] * 7


def test_held_out_documents_are_in_no_prompt_for_training_rows_and_their_questions_in_none_at_all(tmp_path: Path) -> None:
    recipes = [QUESTIONS, REFUSALS, {"kind": "paraphrases", "registers": ["formal", "short"]}, {"kind": "harder"},
               {"kind": "conversations", "turns": 1}]  # fmt: skip
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, *recipes, holdout=0.3, filters={"judge": 3, "similar": 1}))
    rows, report = list(job.rows()), job.report
    assert report
    held_out_names = report.summary.held_out_documents
    assert len(held_out_names) == 2
    held_out = [row for row in rows if row.held_out]
    assert {row.provenance.passages[0].document for row in held_out} == set(held_out_names)
    training = [row for row in rows if not row.held_out]
    assert not {use.document for row in training for use in row.provenance.passages} & set(held_out_names)
    for row in held_out:
        assert not any(row.question in prompt for prompt in api.prompts), "the teacher was never told a held-out question"
    texts = [item.text for item in passages_of(tmp_path, "handbook") if item.document in held_out_names]
    assert sum(text in prompt for prompt in api.prompts for text in texts) == 2 * len(held_out_names), "one a recipe"
    assert not {normal(row.question) for row in held_out} & {normal(row.question) for row in training}


def test_held_out_documents_do_not_depend_on_order_and_can_be_named(tmp_path: Path) -> None:
    with loopback(answer) as api:
        one = gather(spec(api), tmp_path, passages_of)
        other = gather(spec(api), tmp_path, lambda home, name: list(reversed(passages_of(home, name))))
        named = gather(spec(api, holdout=["tansy.md"]), tmp_path, passages_of)
        with pytest.raises(DataError, match="no document `tansi") as caught:
            gather(spec(api, holdout=["tansi.md"]), tmp_path, passages_of)
        with pytest.raises(DataError, match="cannot be split into training and held-out"):
            gather(spec(api), tmp_path, lambda home, name: [passage(0)])
    assert one.held_out_documents == other.held_out_documents
    assert named.held_out_documents == ("tansy.md",)
    assert "tansy.md" in caught.value.hint


def test_a_passage_that_also_stands_in_a_held_out_document_makes_no_training_row(tmp_path: Path) -> None:
    with loopback(answer) as api:
        again = [*passages_of(tmp_path, "handbook"), passage(3).model_copy(update={"document": "copy.md", "id": "copy"})]
        found = gather(spec(api, holdout=["tansy.md"]), tmp_path, lambda home, name: again)
    assert "copy" not in {item.id for item in found.material.passages}
    assert "word for word" in found.cautions[0]


def faulty(**rows: Any) -> Any:
    """A teacher whose first training passage gets the given row."""

    def say(body: dict[str, Any]) -> str:
        good = json.loads(answer(body))
        if "Marlow" in body["messages"][-1]["content"] and "rows" in good:
            good["rows"] = [{**good["rows"][0], **rows}]
        return json.dumps(good)

    return say


@pytest.mark.parametrize(
    ("row", "filter", "reason"),
    [
        ({"quote": "costs one million"}, "quote", "not in the passage"),
        ({"answer": "It costs 999 dollars."}, "numbers", "999"),
        ({"question": "Price?"}, "length", "6 characters"),
        ({"question": "Wie viel kostet denn der schöne neue Stuhl von Marlow im Laden?", "answer": "Er kostet 185 Dollar."},
         "language", "`de`"),
        ({"answer": ""}, "parse", "no question or no answer"),
        ({"question": "How much does the Aurel lamp cost?"}, "", ""),
    ],
)  # fmt: skip
def test_each_filter_drops_what_it_is_for_and_says_why(tmp_path: Path, row: dict[str, str], filter: str, reason: str) -> None:
    with loopback(faulty(**row)) as api:
        job = ran(tmp_path, spec(api, QUESTIONS, holdout=["tansy.md"]))
    dropped = [item for item in job.dropped() if item.filter != "near-duplicate"]
    if not filter:
        assert not dropped, "the same question of another passage is another row"
        return
    assert [item.filter for item in dropped] == [filter]
    assert reason in dropped[0].reason
    assert dropped[0].source == "marlow.md, Marlow chair"


def test_repeats_and_near_repeats_are_dropped_with_their_likeness(tmp_path: Path) -> None:
    def say(body: dict[str, Any]) -> str:
        good = json.loads(answer(body))
        first = good["rows"][0]
        if "quote" in first:
            good["rows"] += [first, {**first, "question": first["question"].replace("How much", "And how much")}]
        return json.dumps(good)

    with loopback(say) as api:
        job = ran(tmp_path, spec(api, {**QUESTIONS, "context": "none"}, holdout=0))
    counts = reasons(job)
    assert counts["repeat"] == 7
    assert counts["near-duplicate"] == 7
    report = job.report
    assert report
    figures = next(item for item in report.filters if item.name == "near-duplicate")
    assert (figures.threshold, figures.dropped) == (0.7, 7)
    assert figures.below[0].score >= 0.7


def test_what_is_held_out_elsewhere_is_not_made_again(tmp_path: Path) -> None:
    held_out = tmp_path / "held-out.jsonl"
    held_out.write_text(
        json.dumps({"question": "how much does the AUREL lamp cost", "answer": "The Aurel lamp costs 49 dollars."})
    )
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, QUESTIONS, holdout=["tansy.md"], against=[str(held_out)]))
    leaks = [row for row in job.dropped() if row.filter == "leak"]
    assert [row.question for row in leaks] == ["How much does the Aurel lamp cost?"]


def test_the_judge_drops_what_it_scores_low_and_shows_both_sides(tmp_path: Path) -> None:
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, QUESTIONS, filters={"judge": 3}))
    report = job.report
    assert report
    figures = next(item for item in report.filters if item.name == "judge")
    assert figures.dropped == 6
    assert (figures.below[0].score, figures.above[0].score) == (2.0, 5.0)
    assert all(row.provenance.scores == {"judge": 5.0} for row in job.rows() if not row.held_out)


def test_variants_keep_the_passage_and_say_what_they_are_variants_of(tmp_path: Path) -> None:
    recipes = [QUESTIONS, {"kind": "paraphrases", "registers": ["formal", "short"]}, {"kind": "harder"},
               {"kind": "conversations", "turns": 1}]  # fmt: skip
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, *recipes, filters={"similar": 1}))
    rows = list(job.rows())
    ids = {row.id for row in rows}
    for kind in ("paraphrases", "harder", "conversations"):
        made = [row for row in rows if row.provenance.recipe == kind]
        assert made
        assert all(row.provenance.parent in ids and not row.held_out for row in made)
        assert all("dollars. It is sold" in row.messages[0]["content"] for row in made), "the passage stays in the prompt"
    talk = next(row for row in rows if row.provenance.recipe == "conversations")
    assert [turn["role"] for turn in talk.messages] == ["user", "assistant", "user", "assistant"]


@pytest.mark.parametrize(
    ("recipes", "says"),
    [
        ([QUESTIONS], "Add `unanswerable`"),
        ([QUESTIONS, REFUSALS], "why those of `unanswerable` were not kept"),
        ([REFUSALS], ""),
    ],
)
def test_advice_on_refusals_suits_the_recipe(tmp_path: Path, recipes: list[dict[str, Any]], says: str) -> None:
    def say(body: dict[str, Any]) -> str:
        return "I cannot." if "and that it does not answer" in body["messages"][-1]["content"] else answer(body)

    with loopback(say) as api:
        report = ran(tmp_path, spec(api, *recipes)).report
    assert report
    cautions = [caution for caution in report.cautions if "refusal" in caution]
    assert len(cautions) == bool(says), "a job without rows has other troubles"
    assert all(says in caution for caution in cautions)


def test_own_questions_are_answered_from_the_nearest_passages_or_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("What is the price of the Aurel lamp?\nWho is the mayor of Paris?\n\n")
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, {"kind": "answers", "passages": 1}, questions=str(tmp_path / "mine.txt"), holdout=0))
    rows = list(job.rows())
    assert [(row.refuses, row.answer) for row in rows] == [(False, "It costs 49 dollars."), (True, "I do not know.")]
    assert rows[0].messages[0]["content"] == "What is the price of the Aurel lamp?"


def test_preference_pairs_put_the_teacher_before_the_students_own_answer(tmp_path: Path) -> None:
    with loopback(answer) as api, loopback("I think it is free of charge.") as student:
        wanted = spec(api, QUESTIONS, {"kind": "preferences"}, student={"url": student.url, "model": "mine"})
        job = ran(tmp_path, wanted)
        status = dataset.write(job)
    pairs = [row for row in job.rows() if row.kind == "pairs"]
    assert pairs
    assert {row.rejected for row in pairs} == {"I think it is free of charge."}
    assert all(row.provenance.teacher == "mine" for row in pairs)
    read = list(prepare.usable(store.named(tmp_path, status.pairs_dataset).data, needs="pairs"))
    assert len(read) == len(pairs)
    assert read[0].rejected


def test_calls_of_tools_match_their_schema(tmp_path: Path) -> None:
    tool = {"name": "find_order", "description": "Find an order.", "parameters": {
        "type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}}  # fmt: skip
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, {"kind": "tool_calls", "tools": [tool], "per_tool": 16}, documents=[]))
        status = dataset.write(job)
    rows = list(job.rows())
    assert len(rows) == 16
    read = list(prepare.usable(store.named(tmp_path, status.dataset).data))
    assert len(read) == 16
    assert read[0].tools[0]["function"]["name"] == "find_order"
    bad = {**tool, "parameters": {"type": "object", "properties": {"order": {"type": "integer"}}}}
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, {"kind": "tool_calls", "tools": [bad], "per_tool": 8}, documents=[]))
    assert not list(job.rows())
    assert "find_order" in next(job.dropped()).reason


def test_labels_are_balanced(tmp_path: Path) -> None:
    labels = {"kind": "labels", "labels": {"refund": "money back", "delivery": "where is it"}, "per_label": 8}
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, labels, documents=[], filters={"similar": 1}))
    report = job.report
    assert report
    assert report.targets == {"refund": 5, "delivery": 5}
    assert reasons(job)["balance"] == 3


def test_a_job_is_paid_once_stays_under_its_ceiling_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    faults = Faults(seed=4, rate_limit=0.1, unavailable=0.1, without_usage=0.2, fenced=0.3, retry_after=0.01)
    with loopback(answer, faults) as api:
        wanted = spec(api, QUESTIONS, REFUSALS, price=10.0, concurrency=2)
        with pytest.raises(SpecError, match="no ceiling"):
            ran(tmp_path, wanted)
        job = find(tmp_path, "last")
        status = jobs.run(job, passages_of, ceiling=0.03)
        assert status.state == "ceiling"
        assert status.error
        assert "Raise the ceiling" in status.error.hint
        assert 0 < api.billed(10, 10) <= status.spent <= 0.03
        first = job.report
        assert first
        assert not first.complete
        said: list[str] = []
        status = jobs.run(job, passages_of, ceiling=1.0, on_status=lambda status: said.append(status.waiting))
        assert status.state == "done"
        assert len(api.bills) == 14, "nothing is asked twice"
        assert any("refused with 429" in words and "tried again" in words for words in said), "a wait says why"
        assert status.waiting == ""
        assert api.billed(10, 10) <= status.spent <= 1.0
        report = job.report
        assert report
        assert report.cost_per_row
        again = jobs.run(job, passages_of)
        assert len(api.bills) == 14
        assert again.spent == status.spent


def test_a_paused_job_has_what_was_answered_and_goes_on(tmp_path: Path) -> None:
    with loopback(answer) as api:
        job = jobs.folders.create(tmp_path, spec(api, QUESTIONS, concurrency=1))
        status = jobs.run(job, passages_of, stop=lambda: len(api.bills) >= 3)
        assert status.state == "paused"
        assert 0 < len(list(job.rows())) < 14
        assert jobs.run(job, passages_of).state == "done"
        assert len(list(job.rows())) == 14
        assert len(api.bills) == 7


def test_two_runs_of_a_job_make_the_same_rows(tmp_path: Path) -> None:
    faults = Faults(seed=2, rate_limit=0.2, retry_after=0.005)
    made = []
    for home in ("one", "two"):
        with loopback(answer, faults) as api:
            job = ran(tmp_path / home, spec(api, QUESTIONS, REFUSALS, concurrency=8))
        made.append([row.values for row in job.rows()])
    assert made[0] == made[1]


def test_a_plan_shows_real_samples_and_a_cost_that_the_run_keeps(tmp_path: Path) -> None:
    with loopback(answer) as api:
        wanted = spec(api, QUESTIONS, REFUSALS, price=10.0)
        job = jobs.plan(tmp_path, wanted, passages_of)
        plan = job.plan
        assert plan
        assert len(api.bills) == 3 == len(plan.samples)
        assert plan.samples[0].rows[0].question.startswith("How much")
        assert plan.calls == 14
        assert plan.held_out_documents
        assert not any(
            name.removesuffix(".md").capitalize() in prompt for name in plan.held_out_documents for prompt in api.prompts
        )
        status = jobs.run(job, passages_of, ceiling=1.0)
        assert len(api.bills) == 14, "samples are not paid again"
        assert plan.cost_low <= status.spent <= plan.cost_high * 1.5
        assert jobs.plan(tmp_path, wanted, passages_of).id != job.id, "a job that has run is not planned over"


def test_a_plan_counts_what_is_answered_already_and_prices_the_rest(tmp_path: Path) -> None:
    recipes = [QUESTIONS, REFUSALS, {"kind": "paraphrases", "registers": ["formal", "short"]}]

    def changed(home: Path, name: str) -> list[Any]:
        passages = passages_of(home, name)
        return [passage(0, " It is new."), *passages[1:]]

    with loopback(answer) as api:
        wanted = spec(api, *recipes, price=10.0, holdout=["tansy.md"], filters={"judge": 3})
        first = jobs.plan(tmp_path, wanted, passages_of, samples=0).plan
        assert first
        assert first.answered == 0
        assert first.answered_sentence == ""
        sampled = jobs.plan(tmp_path, wanted, passages_of).plan
        assert sampled
        assert sampled.answered == 0, "samples are paid by this very job"
        ran(tmp_path, wanted, ceiling=1.0)
        paid = len(api.bills)
        same = jobs.plan(tmp_path, wanted, passages_of, samples=0).plan
        assert same
        assert same.calls == same.answered == paid, "variants and scores are known from the answers that they depend on"
        assert same.cost_high == 0
        job = jobs.plan(tmp_path, wanted, changed, samples=0)
        rest = job.plan
        assert rest
        assert len(api.bills) == paid, "nothing is asked for it"
        assert 0 < rest.cost_high < first.cost_high / 3
        assert [item.calls - item.answered for item in rest.recipes[:2]] == [1, 1]
        assert f"{rest.answered} of {rest.calls} requests are answered already" in rest.answered_sentence
        spent = jobs.run(job, changed, ceiling=1.0).spent
        assert len(api.bills) - paid <= rest.calls - rest.answered
        assert 0 < spent <= rest.cost_high * 1.5


def test_rows_become_datasets_whose_versions_keep_where_they_come_from(tmp_path: Path) -> None:
    with loopback(answer) as api:
        job = ran(tmp_path, spec(api, QUESTIONS, REFUSALS, terms="May be trained on."))
        status = dataset.write(job)
        assert dataset.write(job) == status, "the same rows are the same version"
    item = store.named(tmp_path, status.dataset)
    assert status.dataset == "dataset:handbook-rows@1"
    assert status.held_out_dataset == "dataset:handbook-rows-held-out@1"
    made = item.record.made
    assert made
    assert made.teacher.terms == "May be trained on."
    assert made.passages == len({p.id for row in job.rows() if not row.held_out for p in row.provenance.passages})
    assert "quote" in made.filters
    assert "leak 0.7" in made.filters
    assert f"from {made.passages} passages of 6 documents" in made.sentence
    assert "Filters passed: " in made.terms_sentence
    assert sum(made.recipes.values()) == item.record.rows, "held-out rows are counted in their own dataset"
    apart = store.named(tmp_path, status.held_out_dataset).record
    assert apart.made
    assert origins.training_page(item) == f"/train?data={item.key}&holdout={store.named(tmp_path, status.held_out_dataset).key}"
    counts = Counter(made.recipes) + Counter(apart.made.recipes)
    assert counts == {"questions": 14, "unanswerable": 7}
    assert made_rows(RunSpec(data={"train": "dataset:handbook-rows"}), tmp_path) == {"dataset:handbook-rows": made}
    read = list(prepare.usable(item.data))
    assert len(read) == item.record.rows
    found = dataset.provenance(item, Path(item.files[0]).name, read[0].line)
    assert found
    origin, quote = found
    assert quote
    assert origin.passages[0].document.removesuffix(".md").capitalize() in read[0].messages[0]["content"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"recipes": [{"kind": "paraphrases"}]}, "cannot be first"),
        ({"documents": []}, "no documents are set"),
        ({"recipes": [{"kind": "answers"}]}, "requires your own questions"),
        ({"recipes": [{"kind": "questions"}, {"kind": "preferences"}]}, "your own model"),
        ({"context": "{question}"}, "{passage}"),
        ({"holdout": 1.5}, "1.5"),
        ({"recipes": [{"kind": "question"}]}, "question"),
        ({"techer": {}}, "techer"),
    ],
)
def test_a_wrong_recipe_is_refused_by_field(values: dict[str, Any], says: str) -> None:
    whole = {
        "teacher": {"url": "http://localhost:1/v1", "model": "m"}, "documents": ["handbook"],
        "recipes": [{"kind": "questions"}], **values,
    }  # fmt: skip
    with pytest.raises(SpecError) as caught:
        parse(whole, "r.yaml")
    assert says in str(caught.value)


def test_quotes_are_found_whatever_their_spacing_case_and_quotation_marks() -> None:
    text = "He said: “It  costs\n49 dollars” – no more."
    found = find_quote(text, '"it costs 49 DOLLARS" - no more')
    assert found
    assert text[found[0] : found[1]] == "It  costs\n49 dollars” – no more"
    assert find_quote(text, "it costs 50 dollars") is None
    assert find_quote(text, " … ") is None


def test_numbers_of_an_answer_stand_in_the_passage_in_digits_or_words() -> None:
    passage = "It takes twenty-five days and costs 1,200 dollars."
    assert unsupported_numbers("It costs 1200 dollars and takes 25 days.", passage) == []
    assert unsupported_numbers("It costs 1300 dollars.", passage) == ["1300"]


def test_every_name_of_the_kit_is_a_document_of_its_own() -> None:
    assert len({item.document for item in passages_of(Path(), "handbook")}) == len(NAMES)
