"""Every row is either a conversation a template can take, or rejected with file, line, column and reason."""

from __future__ import annotations

from typing import Any

import pytest

from studio.data.check import check
from studio.data.detect import Detection
from studio.data.findings import Example
from studio.data.formats import FORMATS
from studio.data.notes import Notes
from studio.data.rows import Conversation, Rejected, Row
from studio.data.settings import Data

U, A, S = (
    {"role": "user", "content": "Hi?"},
    {"role": "assistant", "content": "Yes."},
    {"role": "system", "content": "Be kind."},
)
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "1", "content": "3"}


def checked(values: dict[str, Any], form: str, notes: Notes | None = None, **settings: Any) -> Conversation | Rejected:
    columns = {role: role for role in FORMATS[form].roles if role in values or role in FORMATS[form].required}
    rows = check([Row(values, "f.jsonl", 7)], Detection(form, columns, 1.0), Data(train="f", **settings), notes)
    return next(iter(rows))


def messages(*turns: dict[str, Any], notes: Notes | None = None, **more: Any) -> Conversation | Rejected:
    return checked({"messages": list(turns), **more}, "messages", notes)


def good(row: Conversation | Rejected) -> Conversation:
    assert isinstance(row, Conversation), row
    return row


def reason(row: Conversation | Rejected) -> str:
    assert isinstance(row, Rejected), row
    assert (row.file, row.line) == ("f.jsonl", 7)
    assert row.text
    return row.reason


@pytest.mark.parametrize(
    ("values", "why", "column"),
    [
        ({"question": "a?", "answer": ""}, "empty answer", "answer"),
        ({"question": "a?", "answer": " \n"}, "empty answer", "answer"),
        ({"question": "a?"}, "missing answer", "answer"),
        ({"question": "a?", "answer": None}, "missing answer", "answer"),
        ({"question": "a?", "answer": float("nan")}, "missing answer", "answer"),
        ({"question": "", "answer": "b"}, "empty question", "question"),
        ({"question": "a?", "answer": ["b"]}, "wrong type: the answer is a list, not a text", "answer"),
        ({"question": {"a": 1}, "answer": "b"}, "wrong type: the question is an object, not a text", "question"),
        ({"question": "a?", "answer": "#N/A"}, "spreadsheet error as answer: #N/A", "answer"),
        ({"question": "a\ud83d?", "answer": "b"}, "half of a surrogate pair: a character cut in two", "question"),
        ({"question": "a?", "answer": "sch\udcf6n"}, "undecodable byte: 0xf6 does not fit the file's encoding", "answer"),
    ],
)
def test_a_row_that_cannot_be_learned_from_is_rejected_with_its_column(values: dict[str, Any], why: str, column: str) -> None:
    row = checked(values, "question_answer")
    assert reason(row) == why
    assert isinstance(row, Rejected)
    assert row.column == column


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([U], "no assistant turn"),
        ([S], "no assistant turn"),
        ([], "no assistant turn"),
        ([A], "roles out of order: message 1 (assistant) comes first"),
        ([S, A], "roles out of order: message 2 (assistant) follows system"),
        ([U, U, A], "roles out of order: message 2 (user) follows user"),
        ([U, A, A], "roles out of order: message 3 (assistant) follows assistant"),
        ([U, S, A], "roles out of order: message 2 (system) follows user"),
        ([U, RESULT, A], "roles out of order: message 2 (tool) follows user"),
        ([U, A, RESULT], "roles out of order: message 3 (tool) follows assistant"),
        ([U, CALL, A], "roles out of order: message 3 (assistant) follows a tool call that has no result"),
        ([U, CALL, {**RESULT, "tool_call_id": "9"}, A], "malformed tool result: message 3 answers a call that was not made"),
        ([{"role": "narrator", "content": "x"}, A], "unknown role: `narrator` in message 1"),
        ([{"content": "x"}, A], "missing role: message 1 has none"),
        (["x", A], "wrong type: message 1 is a text, not an object"),
        ([{"role": "user", "content": ""}, A], "empty question: message 1"),
        ([U, {"role": "assistant", "content": " "}], "empty answer: message 2"),
        ([{"role": "user", "content": 5}, A], "wrong type: the content of message 1 is a number, not a text"),
        (
            [U, {"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}],
            "malformed tool call: message 2 has a call without a name",
        ),
        (
            [U, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{a"}}]}],
            "malformed tool call: the arguments in message 2 are not JSON",
        ),
        (
            [U, {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}],
            "malformed tool call: the arguments in message 2 are a list",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, A],
            "not only text: message 1 holds `image_url`, and only text is trained here",
        ),
    ],
)
def test_a_conversation_that_no_template_could_take_is_rejected(turns: list[Any], why: str) -> None:
    assert reason(messages(*turns)) == why


def test_tool_calls_come_out_in_one_shape() -> None:
    tools = [{"name": "f", "description": "d", "parameters": {}}]
    row = good(messages(S, U, CALL, RESULT, A, tools=tools))
    call = row.messages[2]
    assert call["content"] == ""
    assert call.get("tool_calls") == [{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]
    assert row.messages[3] == {"role": "tool", "content": "3", "tool_call_id": "1"}
    assert row.tools == ({"type": "function", "function": tools[0]},)
    assert good(messages(U, CALL)).messages[-1].get("tool_calls")
    old = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": {"a": 1}}}
    assert good(messages(U, old, {"role": "function", "name": "f", "content": "3"}, A)).messages[2]["role"] == "tool"


def test_parts_of_text_are_joined_and_the_developer_is_the_system() -> None:
    parts = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "?"}]
    row = good(messages({"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}, A))
    assert row.messages == (S, U, A)
    assert row.prompt == (S, U)


def test_turns_after_the_last_answer_are_left_out_and_noted() -> None:
    notes = Notes()
    assert good(messages(U, A, U, notes=notes)).messages == (U, A)
    assert notes.counts["turns after the last answer were left out"] == 1
    example = Example(file="f.jsonl", line=7, column="messages")
    assert notes.examples["turns after the last answer were left out"] == [example]


def test_what_is_odd_but_usable_is_noted() -> None:
    notes = Notes()
    for answer in ("a\0b", "lost \ufffd here", "SchÃ¶n", "itâ€™s", "x" * 100_001, 24, "n/a"):
        good(checked({"question": "a?", "answer": answer}, "question_answer", notes))
    good(messages({**U, "mood": "glad"}, A, notes=notes))
    assert sum(notes.counts.values()) == 8
    assert len(notes.counts) == 7
    assert good(checked({"question": "a?", "answer": 24.0}, "question_answer")).answer == "24"


@pytest.mark.parametrize("form", ["sharegpt", "messages"])
def test_a_cell_with_json_text_is_read_as_what_it_holds(form: str) -> None:
    import json

    example = FORMATS[form].example
    column = FORMATS[form].required[0]
    assert checked({**example, column: json.dumps(example[column])}, form) == checked(example, form)
    assert reason(checked({**example, column: "[{"}, form)) == "broken JSON: the cell is not a JSON list"


def test_sharegpt_and_openai_examples_mean_the_same() -> None:
    one, two = good(checked(FORMATS["messages"].example, "messages")), good(checked(FORMATS["sharegpt"].example, "sharegpt"))
    assert [turn["role"] for turn in one.messages] == [turn["role"] for turn in two.messages]
    calls = [row.messages[2].get("tool_calls") or [] for row in (one, two)]
    assert calls[0][0]["function"] == calls[1][0]["function"]
    assert one.messages[-1] == two.messages[-1]


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ([{"from": "alien", "value": "x"}], "unknown role: `alien` in message 1"),
        ([{"value": "x"}], "missing role: message 1 has none"),
        (
            [{"from": "human", "value": "x"}, {"from": "function_call", "value": "f(x)"}],
            "malformed tool call: message 2 is not JSON",
        ),
    ],
)
def test_sharegpt_faults_are_named_by_turn(turns: list[Any], why: str) -> None:
    assert reason(checked({"conversations": turns}, "sharegpt")) == why


def test_alpaca_joins_instruction_and_input_and_keeps_history() -> None:
    row = {"instruction": "Sum up.", "input": "Text.", "output": "T.", "system": "S", "history": [["a?", "b"]]}
    turns = good(checked(row, "alpaca")).messages
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "user", "assistant"]
    assert turns[3]["content"] == "Sum up.\n\nText."
    assert good(checked({"instruction": "Sum up.", "input": "", "output": "T."}, "alpaca")).messages[0]["content"] == "Sum up."


def test_prompt_and_completion_may_be_messages() -> None:
    assert good(checked({"prompt": [S, U], "completion": [A]}, "prompt_completion")).messages == (S, U, A)


def test_a_system_prompt_is_added_where_there_is_none() -> None:
    row = {"question": "Hi?", "answer": "Yes."}
    assert good(checked(row, "question_answer", system="Be kind.")).messages == (S, U, A)
    own = good(checked({**row, "system": "Be brief."}, "question_answer", system="Be kind."))
    assert own.messages[0]["content"] == "Be brief."
    assert good(checked({"text": "plain"}, "text", system="Be kind.")) == Conversation(text="plain")


def test_rows_rejected_while_reading_pass_through() -> None:
    row = Rejected("f", 1, "broken JSON")
    assert list(check([row], Detection("text", {"text": "text"}, 1.0), Data(train="f"))) == [row]
