"""Kinds of answers: the references show what they are, and each kind is scored by figures that fit it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from studio.core.errors import SpecError
from studio.evaluation.answering import text_scores
from studio.evaluation.interval import Draws, Estimate, change, estimate, rows_to_decide
from studio.evaluation.metrics import METRICS
from studio.evaluation.tasks import code, labels, lists, numbers, objects, own, toolcalls
from studio.evaluation.tasks.choose import TASKS, choose

CALL = '<tool_call>\n{"name": "price", "arguments": {"of": "lamp", "in": "euro"}}\n</tool_call>'
REFERENCES = {
    "tools": [CALL, CALL, "I cannot look that up."],
    "json": ['{"name": "Anna", "age": 31}', '```json\n{"name": "Bo", "age": 4}\n```'],
    "code": ["```python\ndef f(x):\n    return x\n```", "print(total(3))"],
    "labels": ["billing", "shipping", "Billing."] * 10,
    "numbers": ["42", "$1,250.50", "15 %", "First 3 + 4 is 7.\n#### 7"],
    "lists": ["- soap\n- towels", "apple, cherry, pear"],
    "text": ["The lamp costs 20 euro, and it is made of brass.", "24 months"],
}


@pytest.mark.parametrize("kind", REFERENCES)
def test_references_show_what_the_answers_are(kind: str):
    assert choose(REFERENCES[kind]).kind == kind


def test_every_kind_that_can_be_set_is_recognised_somewhere_here():
    assert set(REFERENCES) == set(TASKS)


def test_a_kind_that_is_set_is_taken_whatever_the_references_look_like():
    assert choose(REFERENCES["text"], "labels").kind == "labels"


@pytest.mark.parametrize(
    ("references", "why"),
    [
        (["yes", "no"] * 4, "eight rows do not show that a set of labels is closed"),
        ([f"answer {index}" for index in range(40)], "each answer is another"),
        (["24 months", "35 euro"], "words beside the number may be wrong too"),
        (["Yes, of course.", "No, never."], "a sentence with a comma is no list"),
        (["hello", "lamp", "brass"], "a bare word is a Python expression and yet no code"),
        (["Price: 20", "Colour: blue"], "a word with a colon is a Python annotation and yet no code"),
        (['"quoted"', '"words"'], "a quoted word is JSON and yet no object"),
    ],
)
def test_what_only_looks_like_a_kind_is_text(references: list[str], why: str):
    assert choose(references).kind == "text", why


def test_the_shipped_sets_keep_the_figures_they_had():
    root = Path(__file__).parents[2] / "datasets"
    for name in ("support-heldout.jsonl", "support-fresh.jsonl"):
        answers = [json.loads(line)["answer"] for line in (root / name).read_text().splitlines()]
        assert choose(answers).kind == "text", name


def test_a_label_counts_when_it_stands_alone_or_is_the_only_one_named():
    reader = labels.Reader(["billing", "shipping", "late shipping"])
    assert reader.label("Billing.") == "billing"
    assert reader.label("This is about shipping, I think.") == "shipping"
    assert reader.label("a case of late shipping") == "late shipping"
    assert reader.label("billing or shipping") == ""
    assert reader.label("rebilling") == ""


def test_macro_f1_counts_rare_labels_like_common_ones():
    references = ["a"] * 90 + ["b"] * 10
    found = labels.MacroF1(references, ["a"] * 100)
    assert found.value == pytest.approx((2 * 90 / (2 * 90 + 10) + 0) / 2)  # accuracy is 0.9
    assert labels.MacroF1(references, references).value == 1
    interval = estimate(found, Draws(100, 500, 0))
    assert interval.low is not None
    assert interval.high is not None
    assert 0.4 < interval.low < found.value < interval.high < 0.6


def test_macro_f1_is_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    wanted, answered = (random.choice(["x", "y", "z"], 200, p=[0.7, 0.2, 0.1]).tolist() for _ in range(2))
    assert labels.MacroF1(wanted, answered).value == pytest.approx(metrics.f1_score(wanted, answered, average="macro"))


def test_the_confusion_matrix_counts_every_row_and_adds_up_what_is_rare():
    wanted = [f"label {index}" for index in range(20) for _ in range(20 - index)]
    found = labels.confusion(wanted, wanted, ["?"] * len(wanted))
    assert len(found.labels) == labels.SHOWN + 1
    assert found.labels[-2:] == [labels.REST, labels.OTHER]
    assert np.trace(np.array(found.base)) == np.array(found.base).sum() == len(wanted)
    assert sum(row[-1] for row in found.tuned) == len(wanted)


@pytest.mark.parametrize(
    ("answer", "fields", "valid", "schema"),
    [
        ('{"age": 31, "name": "anna", "tags": ["b", "a"]}', 1, 1, 1),
        ('{"name": "Anna", "age": 32, "tags": ["a", "b"]}', 0.75, 1, 1),
        ('{"name": "Anna"}', 2 / 5, 1, 0),
        ('{"name": "Anna", "age": "31", "tags": ["a", "b"]}', 0.75, 1, 0),
        ('{"name": "Anna", "age": 31, "tags": ["a", "b"], "more": 1}', 8 / 9, 1, 0),
        ('Here it is: {"name": "Anna"}', 0, 0, 0),
        ('{"name": "Anna", "age": NaN}', 0, 0, 0),
        ("[" * 100_000, 0, 0, 0),
    ],
)
def test_json_is_valid_of_its_schema_and_right_field_by_field(answer: str, fields: float, valid: float, schema: float):
    reference = '{"name": "Anna", "age": 31.0, "tags": ["a", "b"]}'
    score = objects.scorer([reference, '{"name": "Bo", "age": 4, "tags": []}'])
    assert score(reference, answer) == {
        "json_fields": pytest.approx(fields), "json_valid": valid, "json_schema": schema,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "match", "name", "arguments"),
    [
        ('[TOOL_CALLS] [{"name": "price", "arguments": {"in": "euro", "of": "lamp"}}]', 1, 1, 1),
        ('{"function": {"name": "price", "arguments": "{\\"of\\": \\"lamp\\", \\"in\\": \\"euro\\"}"}}', 1, 1, 1),
        ('{"name": "price", "parameters": {"of": "lamp"}}', 0, 1, 2 / 3),
        ('{"name": "stock", "arguments": {"of": "lamp", "in": "euro"}}', 0, 0, 0),
        ("It costs 20 euro.", 0, 0, 0),
    ],
)
def test_a_tool_call_is_right_by_name_and_arguments_however_it_is_marked(
    answer: str, match: float, name: float, arguments: float
):
    score = toolcalls.scorer([CALL])(CALL, answer)
    assert score == {"call_match": match, "call_name": name, "call_arguments": pytest.approx(arguments)}


def test_where_no_function_should_be_called_a_call_is_wrong():
    score = toolcalls.scorer([CALL, "Hello."])
    assert score("Hello.", "Good morning.") == {"call_match": 1, "call_name": 1, "call_arguments": 1}
    assert score("Hello.", CALL)["call_match"] == 0


@pytest.mark.parametrize(
    ("reference", "answer", "match", "near"),
    [
        ("1250.5", "It is $1,250.50.", 1, 1),
        ("7", "3 + 4 makes 7, not 8.\n#### 7", 1, 1),
        ("-5", "5", 0, 0),
        ("1200", "Das kostet 1.200,00 €.", 1, 1),
        ("3,5 %", "3.5 percent", 1, 1),
        ("1234567.8", "1 234 567,8", 1, 1),
        ("100", "about 103", 0, 1),
        ("100", "many", 0, 0),
        ("42", "<think>40? 41?</think>42", 1, 1),
    ],
)
def test_a_number_is_read_however_it_is_written(reference: str, answer: str, match: float, near: float):
    assert numbers.scorer([])(reference, answer) == {"number_match": match, "number_near": near}


def test_a_list_is_scored_item_by_item():
    score = lists.scorer([])
    assert score("apple, cherry, pear", "1. Cherry\n2. Apple\n3. Pear") == {"list_f1": 1, "list_match": 0}
    assert score("apple, cherry, pear", "apple, cherry and pear.") == {"list_f1": 1, "list_match": 1}
    assert score("apple, cherry, pear", "apple") == {"list_f1": 0.5, "list_match": 0}


def test_code_is_compared_by_its_syntax_and_never_run():
    reference = "```python\ndef f(x):\n    return x + 1\n```"
    score = code.scorer([reference])
    same = score(reference, "def f( x ):  # adds\n    return (x + 1)")
    assert (same["code_match"], same["code_parses"]) == (1, 1)
    assert 0.8 < same["code_likeness"] < 1, "two brackets more"
    assert score(reference, "def f(x) return x + 1")["code_parses"] == 0
    assert score(reference, "raise SystemExit")["code_match"] == 0


def test_every_figure_of_a_task_is_a_known_metric_and_is_scored():
    for kind, references in REFERENCES.items():
        task = choose(references)
        scores = task.scorer(references)(references[0], references[0])
        assert set(scores) | {"macro_f1"} >= set(task.names), kind
        assert all(METRICS[name].unit == "share" for name in task.names)
        assert all(value == 1 for value in scores.values()), "the reference itself is right"


def test_a_change_of_macro_f1_is_paired():
    references = ["a", "b"] * 50
    right = labels.MacroF1(references, references)
    wrong = labels.MacroF1(references, ["a"] * 100)
    found = change(wrong, right, Draws(100, 200, 0))
    assert found.value == pytest.approx(1 - 1 / 3)
    assert found.low is not None
    assert found.low > 0.5


def test_how_many_rows_would_decide_grows_as_the_change_shrinks():
    assert rows_to_decide(Estimate(0.1, -0.1, 0.3, 50)) == 409  # half-width 0.2 at 50 rows: 50 (2 x 2.8 / 1.96)^2
    assert rows_to_decide(Estimate(0.0, -0.1, 0.1, 50)) is None
    smaller = rows_to_decide(Estimate(0.05, -0.15, 0.25, 50))
    assert smaller is not None
    assert smaller > 4 * 400


def test_an_own_metric_is_read_from_the_file_that_is_named(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text("def cites(answer, reference):\n    return 'page' in answer\n\ndef alone(answer):\n    return 1\n")
    found = own.load(f"{file}:cites")
    assert (found.name, found.function("see page 3", "")) == ("cites", True)
    assert METRICS["own:cites"].label == "cites"
    for named in (f"{file}:missing", f"{file}:alone", f"{tmp_path}/none.py:cites", "cites"):
        with pytest.raises(SpecError):
            own.load(named)
    file.write_text("1 / 0")
    with pytest.raises(SpecError, match="ZeroDivisionError"):
        own.load(f"{file}:cites")


def test_an_unknown_figure_is_still_a_key_error():
    with pytest.raises(KeyError):
        METRICS["no_such_metric"]


def test_flat_values_of_json_forget_the_order_of_lists():
    assert sorted(objects.flat(json.loads('{"a": [1, 2]}'))) == sorted(objects.flat(json.loads('{"a": [2, 1]}')))


def test_a_choice_that_is_a_letter_is_no_article_and_no_empty_answer():
    letters = ["A", "B", "C", "D"] * 6
    assert choose(letters).kind == "labels"
    reader = labels.Reader(letters)
    given = {"A": "a", "b.": "b", "The answer is A.": "a", "It is a lamp, so B": "b", "a lamp": "", "": ""}
    assert {answer: reader.label(answer) for answer in given} == given
    assert text_scores("A", "")["normalised_match"] == 0
    assert text_scores("A", "")["token_f1"] == 0


def test_a_label_of_a_writing_without_spaces_is_found_in_a_sentence():
    assert labels.Reader(["北京", "上海"] * 12).label("答案是北京。") == labels.normalise("北京")


def test_a_typographic_minus_and_narrow_spaces_belong_to_the_number():
    assert numbers.number("It fell by \N{MINUS SIGN}5") == -5
    assert numbers.number("about 1\N{NARROW NO-BREAK SPACE}234 euro") == 1234
