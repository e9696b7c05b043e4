"""Preference pairs and labelled answers: read, checked, split by prompt, encoded as the training method needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from studio.core.errors import DataError
from studio.data import encode
from studio.data.prepare import conversations, inspect, prepare, usable
from studio.data.rows import Needs
from studio.data.settings import Data
from tests.data.files import json_lines, write
from tests.data.templates import tokenizer


def pair(number: int, **changes: Any) -> dict[str, Any]:
    return {"prompt": f"What is lamp {number}?", "chosen": f"It is blue {number}.", "rejected": "I do not know.", **changes}


def written(folder: Path, rows: list[dict[str, Any]]) -> Data:
    return Data(train=write(folder / "rows.jsonl", json_lines(rows)), max_rejected=1.0)


def test_of_two_answers_the_one_that_a_verdict_names_is_preferred_and_ties_are_counted(tmp_path: Path) -> None:
    said = ("model_b", "model_a", "tie", "model_b")
    rows = [
        {"prompt": f"Lamp {n}?", "response_a": f"A{n}.", "response_b": f"B{n}.", "winner": won} for n, won in enumerate(said)
    ]
    data = written(tmp_path, rows)
    pairs = [(row.answer, row.rejected and row.rejected["content"]) for row in usable(data, needs="pairs")]
    assert pairs == [("B0.", "A0."), ("A1.", "B1."), ("B3.", "A3.")]
    assert next(iter(inspect(data).rejected.by_reason)) == "tie"
    columns = {"prompt": "prompt", "first": "response_a", "second": "response_b", "winner": "winner"}
    train = write(tmp_path / "named.jsonl", json_lines([{**rows[0], "winner": "gpt-4"}, *rows[1:]]))
    named = Data(train=train, max_rejected=1.0, columns=columns)
    assert "not known which answer is better" in inspect(named).rejected.by_reason


@pytest.mark.parametrize(
    ("first", "second", "winner", "said"),
    [
        ("response_a", "response_b", "winner", ("a", "b", "who knows", None)),
        ("antwort_a", "antwort_b", "Gewinner", ("a", "b", "unentschieden", "a")),
        ("A", "B", "winner", ("A", "B", "tie", "A")),
        ("gpt_answer", "llama_answer", "winner", ("gpt", "llama", "tie", "llama")),
        ("answer_1", "answer_2", "preferred", ("First 0.", "Second 1.", "First 2.", "?")),
    ],
)
def test_the_better_answer_is_told_by_side_by_column_by_language_and_by_its_own_text(
    first: str, second: str, winner: str, said: tuple[str | None, ...], tmp_path: Path
) -> None:
    rows = [{"prompt": f"Q{n}?", first: f"First {n}.", second: f"Second {n}.", winner: told} for n, told in enumerate(said)]
    pairs = [(row.answer, row.rejected and row.rejected["content"]) for row in usable(written(tmp_path, rows), needs="pairs")]
    assert pairs[:2] == [("First 0.", "Second 0."), ("Second 1.", "First 1.")]


@pytest.mark.parametrize("said", [("tie", "both", "tie"), ("1.5", "2.5", "3.5"), ("x", "a", "y")])
def test_two_answers_of_which_no_value_tells_the_better_one_are_refused_and_neither_column_is_advised(
    said: tuple[str, ...], tmp_path: Path
) -> None:
    rows = [{"prompt": f"Q{n}?", "response_a": "A.", "response_b": "B.", "winner": told} for n, told in enumerate(said)]
    with pytest.raises(DataError, match=r"`winner` .* does not say") as refused:
        inspect(written(tmp_path, rows))
    assert "Write a name of the better one's column into `winner`, or tie" in refused.value.hint
    assert "answer: response_a" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rejected": "It is blue 0."}, "equal answers"),
        ({"rejected": "  "}, "empty answer"),
        ({"rejected": None}, "missing answer"),
        ({"prompt": None}, "missing question"),
        ({"rejected": [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "You."}]}, "prompts that differ"),
    ],
)
def test_a_pair_that_says_nothing_is_rejected_with_its_reason(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    report = inspect(written(tmp_path, [pair(0, **changes), pair(1), pair(2)]))
    assert report.totals.usable == 2
    assert next(iter(report.rejected.by_reason)) == reason


def test_a_preferred_answer_that_is_always_longer_is_warned_of(tmp_path: Path) -> None:
    report = inspect(written(tmp_path, [pair(n, chosen="It is blue and it is made of glass.") for n in range(5)]))
    finding = next(item for item in report.findings if item.check == "answer_length")
    assert finding.severity == "warning"
    assert "the preferred answer is the longer one (9 words on average, the rejected one 4)" in finding.message


def test_pairs_with_one_prompt_are_never_on_both_sides_and_are_no_conflict(tmp_path: Path) -> None:
    rows = [pair(n // 4, chosen=f"It is blue {n}.") for n in range(40)]
    report = prepare(written(tmp_path, rows), 0, tmp_path / "out", needs="pairs")
    assert report.totals.conflicts == 0
    files = [tmp_path / "out" / f"{name}.jsonl" for name in ("train", "held-out")]
    sides = [{row.messages[0]["content"] for row in conversations(file)} for file in files]
    assert sides[1]
    assert not sides[0] & sides[1]


@pytest.mark.parametrize(("needs", "words"), [("pairs", "no preference pairs"), ("labels", "not labelled good or bad")])
def test_rows_that_a_method_cannot_learn_from_are_refused_before_anything_is_written(
    needs: Needs, words: str, tmp_path: Path
) -> None:
    rows = [{"question": f"What is {n}?", "answer": "A lamp."} for n in range(4)]
    with pytest.raises(DataError, match=words) as found:
        prepare(written(tmp_path, rows), 0, tmp_path / "out", needs=needs)
    assert "training.method to sft" in found.value.hint
    assert not (tmp_path / "out" / "train.jsonl").exists()


@pytest.mark.parametrize("marks", [(True, False), ("👍", "👎"), ("good", "bad")])
def test_labelled_answers_are_kept_with_their_label_for_a_method_that_learns_from_them(marks: Any, tmp_path: Path) -> None:
    rows = [{"question": f"What is {n}?", "answer": f"A lamp {n}.", "label": marks[n % 2]} for n in range(12)]
    prepare(written(tmp_path, rows), 0, tmp_path / "labels", needs="labels")
    found = {row.answer: row.good for row in conversations(tmp_path / "labels" / "train.jsonl")}
    assert found
    assert all(good == (int(answer.split()[-1][:-1]) % 2 == 0) for answer, good in found.items())
    prepare(written(tmp_path, rows), 0, tmp_path / "sft")
    assert all(int(row.answer.split()[-1][:-1]) % 2 == 0 for row in conversations(tmp_path / "sft" / "train.jsonl"))


@pytest.mark.parametrize("marks", [(0, 1), (0.0, 1.0), ("no", "yes"), ("down", "up")])
def test_the_only_column_of_two_marks_labels_the_answers_for_a_method_that_needs_labels(marks: Any, tmp_path: Path) -> None:
    rows = [{"question": f"What is {n}?", "answer": f"A lamp {n}.", "useful": marks[n % 2], "day": n} for n in range(12)]
    report = prepare(written(tmp_path, rows), 0, tmp_path / "out", needs="labels")
    assert "`useful` says which answers are good." in report.files[0].reasons
    found = {row.answer: row.good for row in conversations(tmp_path / "out" / "train.jsonl")}
    assert all(good == (int(answer.split()[-1][:-1]) % 2 == 1) for answer, good in found.items())


def test_a_column_that_marks_only_some_rows_is_not_taken_for_labels_by_itself(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {n}?", "answer": f"A lamp {n}.", "flagged": ("no", "yes")[n % 2] if n < 4 else None}
        for n in range(12)
    ]
    with pytest.raises(DataError, match="no column holds both marks in every one of the first 12 rows") as found:
        prepare(written(tmp_path, rows), 0, tmp_path / "out", needs="labels")
    assert "columns: {question: question, answer: answer}: its role is `keep`" in found.value.hint


def test_of_two_such_columns_neither_is_taken_and_what_is_printed_names_one(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n}?", "answer": f"A lamp {n}.", "seen": n % 2, "useful": n // 6} for n in range(12)]
    settings = written(tmp_path, rows)
    with pytest.raises(DataError, match="not clear which column says whether an answer is good: `seen`, `useful`") as found:
        prepare(settings, 0, tmp_path / "out", needs="labels")
    advised = "columns: {question: question, answer: answer, keep: useful}"
    assert advised in found.value.hint
    columns = {"question": "question", "answer": "answer", "keep": "useful"}
    prepare(Data(train=settings.train, columns=columns), 0, tmp_path / "out", needs="labels")
    goods = {row.answer: row.good for row in conversations(tmp_path / "out" / "train.jsonl")}
    assert all(good == (int(answer.split()[-1][:-1]) >= 6) for answer, good in goods.items())


@pytest.fixture
def encoded(tmp_path: Path) -> Any:
    rows = [
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": f"What is {n}?"},
            ],
            "chosen": f"A lamp {n}.",
            "rejected": "No." * (n + 1),
        }
        for n in range(6)
    ]

    def encoded(needs: Needs) -> encode.Tokens:
        file = tmp_path / "pairs.jsonl"
        file.write_bytes(b"".join(orjson.dumps(row.as_dict()) + b"\n" for row in usable(written(tmp_path, rows))))
        return encode.encode_file(file, tokenizer("chatml"), "assistant", tmp_path / needs, needs=needs)

    return encoded


@pytest.mark.torch
def test_both_answers_of_a_pair_are_encoded_after_the_same_prompt_and_only_they_are_trained(encoded: Any) -> None:
    tokens = encoded("pairs")
    assert (len(tokens), tokens.per_row, list(tokens.wanted)) == (12, 2, [True, False] * 6)
    for row in range(6):
        (chosen, mask), (rejected, other) = tokens[2 * row], tokens[2 * row + 1]
        begin = int(np.argmax(mask))
        assert begin == int(np.argmax(other)) > 0
        assert np.array_equal(chosen[:begin], rejected[:begin])
        assert mask[begin:-1].all()  # all but what the template writes after the end of the turn
        assert not np.array_equal(chosen[begin:], rejected[begin:])


@pytest.mark.torch
def test_pairs_become_labelled_answers_or_preferred_ones_as_the_method_needs(encoded: Any) -> None:
    pairs, labels, answers = encoded("pairs"), encoded("labels"), encoded("conversations")
    assert (len(labels), labels.per_row, list(labels.wanted)) == (12, 1, [True, False] * 6)
    assert np.array_equal(labels.ids, pairs.ids)
    assert (len(answers), answers.wanted) == (6, None)
    assert np.array_equal(answers[0][0], pairs[0][0])
    assert answers.trained_in_rows[0] > pairs.trained_in_rows[0]  # sft learns the greeting, too


@pytest.mark.torch
def test_a_pair_with_one_over_long_answer_is_left_out_whole(encoded: Any) -> None:
    tokens = encoded("pairs")
    length = int(tokens.lengths.max()) - 1
    cut = encode.limit(tokens, length)
    assert len(cut) == 10
    assert list(cut.wanted) == [True, False] * 5  # pyright: ignore[reportArgumentType]
    assert "longer than" in cut.dropped[0]["reason"]
