"""Detection says what it found, how sure it is and why; what is not clear is asked for, never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from studio.data import formats
from studio.data.check import check
from studio.data.formats import FORMATS
from studio.data.rows import Conversation, Row
from studio.data.settings import Data, FormatName
from tests.data.files import detected, refusal

A, B = "How long is the warranty?", "It is 24 months."


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.name)
def test_every_format_knows_and_reads_its_own_example(form: Any) -> None:
    found = detected(form.example, form.example)
    assert found.format == form.name
    assert found.confidence > 0.9
    assert found.reasons
    (row,) = check([Row(form.example, "f", 1)], found, Data(train="f"))
    assert isinstance(row, Conversation)


def test_every_file_in_the_folder_is_listed_and_can_be_named_in_a_spec() -> None:
    files = {path.stem for path in Path(formats.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(FORMATS) == set(get_args(FormatName))


@pytest.mark.parametrize(
    ("columns", "question", "answer"),
    [
        (["question", "answer"], "question", "answer"),
        (["id", "Question", "Answer", "category"], "Question", "Answer"),
        (["instruction", "response"], "instruction", "response"),
        (["input", "output"], "input", "output"),
        (["Frage", "Antwort"], "Frage", "Antwort"),
        (["query", "reply"], "query", "reply"),
        (["user", "assistant"], "user", "assistant"),
        (["q", "a"], "q", "a"),
        (["prompt", "response"], "prompt", "response"),
        (["Customer Question", "Agent Answer"], "Customer Question", "Agent Answer"),
        (["userMessage", "assistantMessage"], "userMessage", "assistantMessage"),
    ],
)
def test_columns_that_ask_and_answer_are_known_under_many_names(columns: list[str], question: str, answer: str) -> None:
    found = detected(*[{name: f"{name} {place} text" for name in columns} for place in range(3)])
    assert (found.format, found.columns) == ("question_answer", {"question": question, "answer": answer})
    assert found.confidence >= 0.75


def test_context_and_system_columns_are_used() -> None:
    found = detected({"question": A, "answer": B, "context": "Lamps.", "system": "Be kind.", "id": 1})
    assert found.columns == {"question": "question", "answer": "answer", "context": "context", "system": "system"}
    assert any("Not used: `id`" in reason for reason in found.reasons)


def test_names_of_alpaca_and_prompt_completion_win_where_both_read_alike() -> None:
    assert detected({"instruction": A, "input": "", "output": B}).format == "alpaca"
    assert detected({"instruction": A, "output": B}).format == "alpaca"
    found = detected({"prompt": A, "completion": B})
    assert (found.format, found.runner_up) == ("prompt_completion", "question_answer")
    assert found.runner_up_confidence > 0


def test_conversations_are_told_apart_by_what_is_in_them_not_by_their_name() -> None:
    openai = [{"role": "user", "content": A}, {"role": "assistant", "content": B}]
    sharegpt = [{"from": "human", "value": A}, {"from": "gpt", "value": B}]
    for name in ("messages", "conversations", "chat"):
        assert detected({name: openai}).format == "messages"
        assert detected({name: sharegpt}).format == "sharegpt"
    assert detected({"my turns": openai}).columns == {"messages": "my turns"}


def line_in(hint: str, place: int = 0) -> dict[str, str]:
    """The columns line that a hint offers, as YAML reads it."""
    parts = [part for part in hint.split("columns: ")[1:]]
    return yaml.safe_load("columns: " + parts[place][: parts[place].index("}") + 1])["columns"]


def test_a_column_of_flags_is_said_to_mark_the_rows_to_keep() -> None:
    found = detected(*({"question": A, "answer": B, "label": good} for good in (True, False)))
    assert found.reasons == ("`question` is the question.", "`answer` is the answer.", "`label` marks the rows to keep.")


@pytest.mark.parametrize(
    "columns",
    [
        ["question", "query", "answer"],
        ["question", "answer", "response"],
        ["instruction", "input", "response", "answer"],
        ["messages", "question", "answer"],
        ["prompt", "completion", "question", "answer"],
        ["text", "label"],
        ["text", "summary"],
        ["Kundenanfrage", "Lösung"],
        ["review", "stars"],
    ],
)
def test_unclear_columns_are_asked_for_with_the_exact_line_to_write(columns: list[str]) -> None:
    row = {name: f"{name} text" for name in columns}
    if "messages" in row:
        row["messages"] = [{"role": "user", "content": A}, {"role": "assistant", "content": B}]  # type: ignore[assignment]
    problem = refusal(detected, row, row)
    assert problem.where == "file.jsonl"
    assert sum(f"`{name}`" in problem.message for name in columns) >= 2
    written = line_in(problem.hint)
    assert set(written.values()) <= {*columns, "COLUMN"}
    if "COLUMN" not in written.values():
        assert detected(row, row, columns=written).columns == written


def test_a_hint_quotes_column_names_that_yaml_would_misread() -> None:
    problem = refusal(detected, {"Frage: kurz": "x y", "yes": "a b"})
    assert line_in(problem.hint) == {"question": "Frage: kurz", "answer": "yes"}


def test_a_table_without_a_line_of_names_is_asked_about_not_guessed() -> None:
    row = {"What is the question that I should ask you?": "a b c", "The answer is that one over there, I think.": "d e f"}
    assert "put a line such as `question,answer` above it" in refusal(detected, row).hint


def test_preference_pairs_are_named_as_such() -> None:
    assert "preferred and rejected" in refusal(detected, {"chosen": "a b", "rejected": "c d"}).message


def test_named_columns_decide_and_must_exist() -> None:
    row = {"question": A, "answer": B, "query": "x"}
    found = detected(row, columns={"question": "query", "answer": "answer"})
    assert (found.format, found.confidence, found.columns["question"]) == ("question_answer", 1.0, "query")
    assert detected(row, columns={"text": "answer"}).format == "text"
    problem = refusal(detected, row, columns={"question": "questoin", "answer": "answer"})
    assert "columns: {question: question, answer: answer}" in problem.hint
    assert "`answer`" in refusal(detected, row, columns={"question": "query", "anwser": "answer"}).hint


def test_a_named_format_decides_and_says_what_it_needs() -> None:
    row = {"prompt": A, "completion": B}
    assert detected(row, format="question_answer").columns == {"question": "prompt", "answer": "completion"}
    problem = refusal(detected, row, format="messages")
    assert "`messages`" in problem.message
    assert "`prompt`, `completion`" in problem.message


def test_rows_that_do_not_fit_lower_the_confidence() -> None:
    good, bad = {"question": A, "answer": B}, {"question": A, "answer": ""}
    assert detected(good, good).confidence > detected(good, bad).confidence > detected(bad, bad).confidence > 0.4
