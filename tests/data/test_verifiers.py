"""Verifiers score answers as a careful person would, from 0 to 1, and say which rows they cannot score."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from studio import spec
from studio.core.errors import SpecError
from studio.data.settings import Data
from studio.data.verifiers import VERIFIERS
from studio.data.verifiers.python import FLAG
from studio.data.verifiers.suggest import suggest


def made(verifier: Any) -> Any:
    return Data.model_validate({"train": "a.csv", "verifier": verifier}).verifier


def text(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def call(name: str, arguments: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}


@pytest.mark.parametrize("kind", [kind for kind in VERIFIERS if kind not in ("python", "choice")])
def test_the_example_of_each_verifier_scores_what_it_says(kind: str):
    example = VERIFIERS[kind].example
    assert made(kind).score(example.answer, example.expected) == pytest.approx(example.score)
    assert VERIFIERS[kind].summary


CASES: list[tuple[Any, str, dict[str, Any], float]] = [
    ("exact", "  made of OAK. ", text("Made of oak"), 1.0),
    ("exact", "made of oak and glass", text("Made of oak"), 0.0),
    ({"kind": "exact", "strict": True}, "made of oak", text("Made of oak"), 0.0),
    ("number", "First 3, then 4, so 1,234.50 dollars.", text("1234.5"), 1.0),
    ("number", "minus −7", text("-7"), 1.0),
    ("number", "about 7", text("-7"), 0.0),
    ("number", "MC-15", text("15"), 0.0),
    ("number", "I do not know", text("15"), 0.0),
    ("number", "0.1 + 0.2 = 0.30000000000000004", text("0.3"), 1.0),
    ({"kind": "number", "tolerance": 0.05}, "104", text("100"), 1.0),
    ({"kind": "number", "tolerance": 0.05}, "106", text("100"), 0.0),
    ({"kind": "number", "which": "first"}, "7 of 12", text("7"), 1.0),
    ({"kind": "choice", "choices": ["yes", "no"]}, "No.", text("no"), 1.0),
    ({"kind": "choice", "choices": ["yes", "no"]}, "yes or no", text("no"), 0.0),
    ({"kind": "choice", "choices": ["yes", "no"]}, "nothing", text("no"), 0.0),
    ({"kind": "choice", "choices": ["good", "very good"]}, "It is very good", text("very good"), 1.0),
    ({"kind": "regex", "pattern": r"\d{4}"}, "in 2026", text(""), 1.0),
    ({"kind": "regex", "pattern": r"\d{4}", "whole": True}, "in 2026", text(""), 0.0),
    ({"kind": "json_schema", "definition": {"type": "object", "required": ["a"]}}, '```json\n{"a": 1}\n```', text(""), 1.0),
    ({"kind": "json_schema", "definition": {"type": "object", "required": ["a"]}}, '{"b": 1}', text(""), 0.0),
    ("json_schema", 'Here: {"a": 1}', text(""), 0.0),
    ("json_fields", '{"a": 1.0, "b": "X "}', text('{"b": "x", "a": 1}'), 1.0),
    ("json_fields", '{"a": 1, "b": 2, "c": 3, "d": 4}', text('{"a": 1}'), 0.4),
    ("json_fields", '{"tags": ["a", "b"]}', text('{"tags": ["b", "a"]}'), 1.0),
    ("json_fields", "{", text('{"a": 1}'), 0.0),
    ({"kind": "contains", "present": ["oak", "glass"]}, "oak only", text(""), 0.5),
    ({"kind": "contains", "absent": ["I think"]}, "i think it is oak", text(""), 0.0),
    ({"kind": "contains", "absent": ["I think"]}, "It is oak", text(""), 1.0),
    ({"kind": "contains", "absent": ["I think"]}, "", text(""), 0.0),
    ("contains", "The lamp is made of oak, sir.", text("made of oak"), 1.0),
    ({"kind": "length", "least": 4, "most": 8}, "one two", text(""), 0.5),
    ({"kind": "length", "least": 4, "most": 8}, "w " * 12, text(""), 0.5),
    ({"kind": "length", "least": 4, "most": 8}, "w " * 40, text(""), 0.0),
    ({"kind": "length", "least": 0}, "", text(""), 0.0),
    ("tool_call", '{"name": "price", "arguments": {"item": "lamp"}}', call("price", '{"item": "Lamp"}'), 1.0),
    ("tool_call", '{"name": "price", "arguments": {"item": "fan"}}', call("price", {"item": "lamp"}), 0.5),
    ("tool_call", '{"name": "stock", "parameters": {"item": "lamp"}}', call("price", {"item": "lamp"}), 0.0),
    ("tool_call", '[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]', call("a", {}), 0.5),
    ("tool_call", "It costs 12.", call("price", {}), 0.0),
    ("tool_call", "It costs 12.", text("It costs 12."), 1.0),
    ("likeness", "glass", text("made of oak"), 0.0),
    (
        {"kind": "weighted", "parts": [{"weight": 3, "verifier": "number"}, {"verifier": {"kind": "length", "most": 4}}]},
        "It is 12 of the very nice ones",
        text("12"),
        0.75,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("verifier", "answer", "expected", "score"), CASES)
def test_an_answer_is_scored(verifier: Any, answer: str, expected: dict[str, Any], score: float):
    assert made(verifier).score(answer, expected) == pytest.approx(score)


@pytest.mark.parametrize("kind", [kind for kind in VERIFIERS if kind != "python"])
@pytest.mark.parametrize("answer", ["", "\0", "{" * 3000, "[" * 100_000, "9" * 5000, "ﬁ\ud800", "a" * 50_000])
def test_no_answer_however_odd_breaks_a_verifier(kind: str, answer: str):
    for expected in (text(""), text('{"a": 1} 12'), call("a", "no JSON"), {}):
        assert 0 <= made(kind).score(answer, expected) <= 1


@pytest.mark.parametrize(
    ("kind", "row"),
    [("number", "none"), ("json_fields", "no JSON"), ("exact", ""), ({"kind": "choice", "choices": ["a", "b"]}, "c")],
)
def test_a_row_whose_own_answer_cannot_be_scored_is_named(kind: Any, row: str):
    assert made(kind).problem(text(row))
    assert made("weighted").problem(text("x")) is None


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        ({"kind": "regex", "pattern": "("}, "regular expression"),
        ({"kind": "json_schema", "definition": {"type": "no such"}}, "JSON schema"),
        ({"kind": "json_schema", "definition": {"$ref": "https://example.org/x"}}, "another address"),
        ({"kind": "length", "least": 9, "most": 3}, "more than `most`"),
        ({"kind": "weighted", "parts": []}, "list"),
        ("exakt", "unknown kind"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_the_spec(verifier: Any, message: str):
    with pytest.raises(SpecError, match=message):
        spec.parse({"data": {"train": "a.csv", "verifier": verifier}})


def test_a_verifier_survives_being_written_and_read():
    asked = spec.parse({"data": {"train": "a.csv", "verifier": {"kind": "weighted"}, "control": "number"}})
    assert spec.parse_text(spec.dump(asked)) == asked
    assert spec.parse({"data": {"train": "a.csv"}}).data.verifier is None


def test_a_function_of_ones_own_runs_only_where_the_machine_allows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "rule.py"
    file.write_text(
        "def score(answer, expected):\n    return answer == expected or 0.25\ndef bad(answer, expected):\n    return 7\n"
    )
    rule, bad, absent = (made({"kind": "python", "function": f"{file}:{name}"}) for name in ("score", "bad", "absent"))
    monkeypatch.delenv(FLAG, raising=False)
    with pytest.raises(SpecError, match="not run unless you allow it"):
        rule.score("a", text("a"))
    monkeypatch.setenv(FLAG, "1")
    assert [rule.score("a", text("a")), rule.score("b", text("a"))] == [1.0, 0.25]
    with pytest.raises(SpecError, match="from 0 to 1"):
        bad.score("a", text("a"))
    with pytest.raises(SpecError, match="cannot be loaded"):
        absent.score("a", text("a"))
    assert "rule" not in sys.modules


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (["12", "7", "1,000"], "number"),
        (["delivery", "repair"] * 10, "choice"),
        (['{"a": 1}', '{"a": 2}'], "json_fields"),
        (["The lamp costs 12 dollars.", "It is made of oak."], "exact"),
        (["word " * 40] * 3, None),
        ([], None),
    ],
)
def test_the_verifier_that_suits_is_found_from_the_answers(answers: list[str], kind: str | None):
    suggested = suggest([text(answer) for answer in answers])
    assert (suggested[0].kind if suggested else None) == kind


def test_tool_calls_are_found_in_the_answers():
    suggested = suggest([call("price", {})] * 3)
    assert suggested is not None
    assert suggested[0].kind == "tool_call"
