"""Nothing that carries meaning is dropped in silence: it is used, masked, left out with a count, or asked about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.data.prepare import inspect, usable
from studio.data.report import DataReport
from studio.data.rows import Conversation
from studio.data.settings import Data
from tests.data.files import json_lines, pairs, refusal, write

U, A = {"role": "user", "content": "Is it in stock?"}, {"role": "assistant", "content": "Yes, twelve."}


def written(path: Path, rows: list[Any], name: str = "rows.jsonl") -> str:
    return write(path / name, json_lines(rows))


def read(file: str, **settings: Any) -> list[Conversation]:
    return list(usable(Data(train=file, **settings)))


def turns(row: Conversation) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in row.messages]


def warned(report: DataReport, word: str) -> bool:
    return any(word in warning for warning in report.warnings)


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.txt", "rows.md"])
def test_what_a_file_holds_counts_more_than_its_ending(name: str, tmp_path: Path) -> None:
    file = written(tmp_path, pairs(6), name)
    assert [row.answer for row in read(file)] == [row["answer"] for row in pairs(6)]
    assert warned(inspect(Data(train=file)), "belongs in a .jsonl file")
    table = write(tmp_path / "table.jsonl", "question,answer\nWhat is it?,A lamp.\nWhy?,For light.\n")
    assert [row.answer for row in read(table)] == ["A lamp.", "For light."]


@pytest.mark.parametrize(
    "system", ["Answer only in JSON.", [{"text": "Answer only in JSON."}], [{"type": "text", "value": "Answer only in JSON."}]]
)
@pytest.mark.parametrize(
    "row",
    [
        {"messages": [U, A]},
        {"conversations": [{"from": "human", "value": "Is it in stock?"}, {"from": "gpt", "value": "Yes, twelve."}]},
        {"prompt": "Is it in stock?", "completion": "Yes, twelve."},
        {"question": "Is it in stock?", "answer": "Yes, twelve."},
        {"instruction": "Is it in stock?", "output": "Yes, twelve."},
    ],
)
def test_a_system_prompt_beside_a_conversation_of_any_layout_is_trained_with_it(
    row: dict[str, Any], system: Any, tmp_path: Path
) -> None:
    first, *_ = read(written(tmp_path, [{"system": system, **row}] * 2))
    assert turns(first)[0] == ("system", "Answer only in JSON.")


@pytest.mark.parametrize(
    "history",
    [
        [["Hello?", "Good day."]],
        [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Good day."}],
        [{"from": "human", "value": "Hello?"}, {"from": "gpt", "value": "Good day."}],
        ["Hello?", "Good day."],
        json.dumps([["Hello?", "Good day."]]),
        "User: Hello?\nAssistant: Good day.",
    ],
)
@pytest.mark.parametrize(
    "names", [("query", "response"), ("question", "answer"), ("prompt", "completion"), ("instruction", "output")]
)
def test_earlier_turns_come_before_the_question_in_every_layout(names: tuple[str, str], history: Any, tmp_path: Path) -> None:
    row = {names[0]: "Is it in stock?", names[1]: "Yes, twelve.", "history": history}
    first, *_ = read(written(tmp_path, [row] * 2))
    assert turns(first) == [
        ("user", "Hello?"),
        ("assistant", "Good day."),
        ("user", "Is it in stock?"),
        ("assistant", "Yes, twelve."),
    ]


@pytest.mark.parametrize(
    "row", [{"prompt": "Why?", "completion": "So."}, {"messages": [U, A]}, {"question": "Why?", "answer": "So."}]
)
def test_rows_marked_as_bad_are_left_out_and_counted(row: dict[str, Any], tmp_path: Path) -> None:
    file = written(tmp_path, [{**row, "label": place % 2 == 0} for place in range(6)])
    report = inspect(Data(train=file))
    assert (report.totals.usable, report.rejected.by_reason) == (3, {"marked as bad": 3})
    assert warned(report, "marks as bad are left out")
    assert "marked as bad" in str(inspect(Data(train=written(tmp_path, [{**row, "label": False}] * 3, "bad.jsonl"))).problems)


@pytest.mark.parametrize("label", ["category", "topic", "rating", "intent", "stars"])
def test_a_labelled_text_is_asked_about_and_either_answer_works(label: str, tmp_path: Path) -> None:
    file = written(
        tmp_path, [{"text": f"My lamp {place} is broken", label: "repair" if place % 2 else 3} for place in range(6)]
    )
    problem = refusal(inspect, Data(train=file))
    assert f"`{label}` may belong to it" in problem.message
    assert f"columns: {{question: text, answer: {label}}}" in problem.hint
    assert "columns: {text: text}" in problem.hint
    assert read(file, columns={"question": "text", "answer": label})[1].answer == "repair"


def test_pictures_are_refused_not_learned_as_text(tmp_path: Path) -> None:
    row = {"conversations": [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A lamp."}]}
    report = inspect(Data(train=written(tmp_path, [{**row, "image": "a.png"}] * 3)))
    assert "not only text" in report.problems[0]
    report = inspect(Data(train=written(tmp_path, [{"question": "Is it?", "answer": "Yes.", "images": []}] * 3)))
    assert report.totals.rejected == 0
    asked = {"question": "Is it?", "answer": "Yes."}
    report = inspect(Data(train=written(tmp_path, [{**asked, "images": [{"path": "a.png"}]}] * 3)))
    assert report.totals.rejected == 3, "no mark in the text, but a picture beside it"
    report = inspect(Data(train=written(tmp_path, [{**asked, "image": "a blue logo"}] * 3)))
    assert report.totals.rejected == 0, "a text under that name is no picture"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
        {"system": "Be kind.", "question": "Why?", "chosen": "Because.", "rejected": "No."},
        {
            "conversations": [
                {"from": "human", "value": "Hello?"},
                {"from": "gpt", "value": "Good day."},
                {"from": "human", "value": "Why?"},
            ],
            "chosen": {"from": "gpt", "value": "Because."},
            "rejected": {"from": "gpt", "value": "No."},
        },
        {"messages": [{"role": "user", "content": "Why?"}], "chosen": "Because.", "rejected": "No."},
        {
            "chosen": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}],
            "rejected": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "No."}],
        },
        {"chosen": "\n\nHuman: Why?\n\nAssistant: Because.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."},
    ],
)
def test_preference_pairs_are_read_in_every_layout_and_keep_both_answers(row: dict[str, Any], tmp_path: Path) -> None:
    first, *_ = read(written(tmp_path, [row] * 3))
    assert turns(first)[-2:] == [("user", "Why?"), ("assistant", "Because.")]
    assert first.rejected == {"role": "assistant", "content": "No."}
    assert Conversation.from_dict(first.as_dict()) == first
    assert all(turn["content"] != "No." for turn in first.messages)
    if "system" in row:
        assert turns(first)[0] == ("system", "Be kind.")


def test_a_key_that_stands_twice_rejects_the_row_instead_of_losing_a_value(tmp_path: Path) -> None:
    twice = '{"question": "Why?", "answer": "So.", "answer": "Because."}\n'
    nested = '{"messages": [{"role": "user", "content": "a", "content": "b"}, {"role": "assistant", "content": "c"}]}\n'
    report = inspect(Data(train=write(tmp_path / "rows.jsonl", json_lines(pairs(30)) + twice)))
    assert report.rejected.by_reason == {"a key stands twice": 1}
    problem = refusal(inspect, Data(train=write(tmp_path / "rows.json", f"[{twice}]")))
    assert "a key stands twice: `answer`" in problem.message
    assert "a key stands twice: `content`" in refusal(inspect, Data(train=write(tmp_path / "m.jsonl", nested))).message
    spoken = {"question": 'Is {"a": 1, "a": 2} JSON?', "answer": "Yes."}
    assert inspect(Data(train=written(tmp_path, [spoken] * 2, "said.jsonl"))).totals.rejected == 0


@pytest.mark.parametrize("mark", [{"weight": 0}, {"train": False}, {"training": "false"}])
@pytest.mark.parametrize("layout", ["messages", "conversations"])
def test_an_answer_marked_as_not_trained_is_read_and_not_learned(mark: dict[str, Any], layout: str, tmp_path: Path) -> None:
    if layout == "messages":
        row = {"messages": [U, {**A, **mark}, U, A]}
    else:
        said = [
            {"from": {"user": "human", "assistant": "gpt"}[turn["role"]], "value": turn["content"]} for turn in (U, A, U, A)
        ]
        row = {"conversations": [said[0], {**said[1], **mark}, said[2], said[3]]}
    first, *_ = read(written(tmp_path, [row] * 2))
    assert first.untrained == (0,)
    assert [turn.get("train", True) for turn in first.messages] == [True, False, True, True]
    assert "train" not in str(first.prompt)
    only = read(written(tmp_path, [{"messages": [U, A, U, {**A, **mark}]}] * 2, "last.jsonl"))
    assert turns(only[0]) == [("user", U["content"]), ("assistant", A["content"])]


TEMPLATED = {
    "ChatML": "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>",
    "Llama 3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe kind.<|eot_id|><|start_header_id|>user"
    "<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nSo.<|eot_id|>",
    "Llama 2": "<s>[INST] <<SYS>>\nBe kind.\n<</SYS>>\n\nWhy? [/INST] So. </s>",
    "Zephyr": "<|system|>\nBe kind.</s>\n<|user|>\nWhy?</s>\n<|assistant|>\nSo.</s>",
    "Phi": "<|system|>\nBe kind.<|end|>\n<|user|>\nWhy?<|end|>\n<|assistant|>\nSo.<|end|>\n",
    "Alpaca": "Be kind.\n\n### Instruction:\nWhy?\n\n### Response:\nSo.",
    "transcript": "System: Be kind.\nHuman: Why?\nAssistant: So.",
}


@pytest.mark.parametrize("text", TEMPLATED.values(), ids=list(TEMPLATED))
def test_rows_already_in_a_template_are_taken_apart_into_messages(text: str, tmp_path: Path) -> None:
    first, *_ = read(written(tmp_path, [{"text": text}] * 3))
    assert turns(first) == [("system", "Be kind."), ("user", "Why?"), ("assistant", "So.")]


def test_control_tokens_that_were_taken_away_are_not_warned_of_and_one_left_inside_a_turn_is(tmp_path: Path) -> None:
    whole = [{"text": TEMPLATED["ChatML"]}] * 20
    assert not warned(inspect(Data(train=written(tmp_path, whole))), "learned as characters")
    inside = TEMPLATED["ChatML"].replace("So.", "So.</s>")
    report = inspect(Data(train=written(tmp_path, [*whole, {"text": inside}], "inside.jsonl")))
    [finding] = [item for item in report.findings if "learned as characters" in item.message]
    assert finding.count == 1


def test_template_text_that_does_not_come_apart_is_refused(tmp_path: Path) -> None:
    half = {"text": "Some words <|im_start|>user\nWhy?<|im_end|> and more"}
    assert "already written by a chat template" in refusal(inspect, Data(train=written(tmp_path, [half] * 3))).message
    whole = [{"text": TEMPLATED["ChatML"]}] * 20
    report = inspect(Data(train=written(tmp_path, [*whole, half], "most.jsonl")))
    assert report.rejected.by_reason == {"template text that does not come apart": 1}
    row = {"question": "<|im_start|>user\nWhy?<|im_end|>", "answer": "So."}
    assert (
        "already written by a chat template" in refusal(inspect, Data(train=written(tmp_path, [row] * 3, "qa.jsonl"))).message
    )
    row = {"question": "Why?", "answer": "So.</s>"}
    assert warned(inspect(Data(train=written(tmp_path, [row] * 3, "end.jsonl"))), "learned as characters")


def test_a_column_that_is_not_used_and_holds_text_is_a_warning_with_a_sample(tmp_path: Path) -> None:
    rows = [{**row, "remark": f"Said by phone on day {place}.", "id": place} for place, row in enumerate(pairs(20))]
    findings = {item.examples[0].column: item for item in inspect(Data(train=written(tmp_path, rows))).findings}
    assert (findings["remark"].severity, findings["remark"].count) == ("warning", 20)
    assert findings["remark"].examples[0].text == "Said by phone on day 0."
    assert findings["id"].severity == "info"


def test_an_encoding_with_a_mark_does_not_eat_the_beginning_of_a_file_without_one(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", "question,answer\nAlpha lamps?,Yes.\n")
    assert read(file, encoding="utf-8-sig")[0].messages[0]["content"] == "Alpha lamps?"


def test_objects_and_lists_are_never_written_into_training_text(tmp_path: Path) -> None:
    good = pairs(30)
    for value in ({"a": 1}, ["b"], [{"text": "c"}]):
        report = inspect(Data(train=written(tmp_path, [*good, {"question": "Why?", "answer": value}])))
        assert (report.totals.rejected, next(iter(report.rejected.by_reason))) == (1, "wrong type")


def test_a_column_that_only_later_rows_have_is_found_though_the_first_rows_have_none(tmp_path: Path) -> None:
    plain = [{"question": f"Q{n}?", "answer": f"A{n}."} for n in range(5)]
    more = [{"question": f"R{n}?", "answer": f"B{n}.", "note": "Only in winter."} for n in range(20)]
    report = inspect(Data(train=write(tmp_path / "late.jsonl", json_lines([*plain, *more]))))
    (warning,) = report.warnings
    assert "column `note` is not used and holds text: 20 rows, first in late.jsonl, line 6" in warning
