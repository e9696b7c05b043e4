"""Sequence distillation: the teacher's answers stand in place of the rows' own, are asked once, and cost what they may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import DataError, SpecError, Stopped
from studio.data.rows import Conversation
from studio.distillation import answers
from studio.planner import teaching
from studio.planner.teaching import RemoteTeacher
from studio.remote.ceiling import CeilingReached
from studio.remote.endpoint import Endpoint, Price
from studio.spec import parse
from studio.training.methods.distil import Distil
from tests.remote.loopback import loopback
from tests.training.kit import Memory


def row(question: str) -> Conversation:
    return Conversation(({"role": "user", "content": question}, {"role": "assistant", "content": "own"}))


ROWS = [row(f"question {number}") for number in range(6)]


def reply(body: dict[str, Any]) -> str:
    return f"taught {body['messages'][-1]['content']}"


def spec(**method: Any) -> Any:
    return parse({"data": {"train": "rows.jsonl"}, "training": {"method": {"kind": "distil", **method}}})


def test_a_remote_teacher_answers_each_prompt_once_whatever_happens(tmp_path: Path):
    with loopback(reply) as api:
        found = RemoteTeacher("x", Endpoint(url=api.url, model="big"))
        method = Distil(teacher="x")
        first, given = (answers.ask_all(found, method, ROWS, 32, tmp_path / "data", tmp_path, Memory()) for _ in range(2))
        assert first == given
        assert [one.text for one in given] == [f"taught question {number}" for number in range(6)]
        assert len(api.received) == 6


def test_the_ceiling_of_a_teacher_is_never_exceeded_and_what_was_bought_is_kept(tmp_path: Path):
    with loopback(reply) as api:
        found = RemoteTeacher("x", Endpoint(url=api.url, model="big", price=Price(input=100, output=100)))
        with pytest.raises(CeilingReached):
            answers.ask_all(found, Distil(teacher="x", ceiling=0.02), ROWS, 32, tmp_path / "data", tmp_path, Memory())
        bought = len(api.received)
        assert 0 < bought < 6
        assert sum(100 * (prompt + written) for prompt, written in api.bills) / 1e6 <= 0.02
        more = Distil(teacher="x", ceiling=5)
        answers.ask_all(found, more, ROWS, 32, tmp_path / "data", tmp_path, Memory())
        assert len(api.received) == 6  # nothing is paid twice


def test_a_stop_while_the_teacher_answers_is_a_stop(tmp_path: Path):
    class Stopping(Memory):
        def should_stop(self) -> bool:
            return True

    with loopback(reply) as api:
        found = RemoteTeacher("x", Endpoint(url=api.url, model="big"))
        with pytest.raises(Stopped):
            answers.ask_all(found, Distil(teacher="x"), ROWS, 32, tmp_path / "data", tmp_path, Stopping())


def test_answers_that_were_cut_are_left_out_and_a_teacher_that_never_ends_is_refused(tmp_path: Path):
    given = [answers.TaughtAnswer(row=at, text=f"taught {at}", stopped=at != 2) for at in range(6)]
    assert answers.taught_rows(ROWS, given, tmp_path / "taught.jsonl") == 1
    from studio.data import prepare

    written = list(prepare.conversations(tmp_path / "taught.jsonl"))
    assert [found.answer for found in written] == [f"taught {at}" for at in (0, 1, 3, 4, 5)]
    assert [found.prompt for found in written] == [ROWS[at].prompt for at in (0, 1, 3, 4, 5)]
    with pytest.raises(DataError, match="none of 6 answers"):
        answers.taught_rows(ROWS, [answers.TaughtAnswer(row=at, text="", stopped=True) for at in range(6)], tmp_path / "x")


@pytest.mark.parametrize(
    ("method", "where", "words"),
    [
        ({"teacher": "https://api.example/v1"}, "https://api.example/v1", "expected a model behind an API"),
        ({"teacher": "https://api.example/v1#big"}, "training.method.price_in", "price of big"),
        ({"teacher": "https://api.example/v1#big", "price_in": 1}, "training.method.price_in", "two numbers"),
        ({"teacher": "https://api.example/v1#big", "price_in": 1, "price_out": 2}, "training.method.ceiling", "no ceiling"),
        ({"teacher": "http://127.0.0.1:9/v1#big", "learn": "probabilities"}, "training.method.learn", "not the probabilities"),
    ],
)
def test_a_remote_teacher_that_cannot_be_asked_is_refused_by_the_plan(method: dict[str, Any], where: str, words: str):
    with pytest.raises(SpecError, match=words) as found:
        teaching.teacher(spec(**method), Path("/nowhere"), None, "fp32")
    assert where in str(found.value.where)
    assert found.value.hint


def test_a_teacher_of_other_tokens_gives_its_answers_unless_its_probabilities_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(teaching, "same_tokens", lambda one, other: "their tokenizers cut the same text into other tokens")
    found = teaching.teacher(spec(teacher="starter"), tmp_path, object(), "fp32")
    assert found is not None
    assert (found.learn, "other tokens" in found.why) == ("answers", True)
    with pytest.raises(SpecError, match="cannot be the student's"):
        teaching.teacher(spec(teacher="starter", learn="probabilities"), tmp_path, object(), "fp32")


@pytest.mark.numeric
def test_a_local_teacher_goes_on_where_it_was_killed_with_the_same_answers(
    load: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(answers, "AT_ONCE", 2)
    model = load()
    whole = answers.answer_all(model, tokenizer, ROWS, 6, tmp_path / "whole.jsonl", Memory())
    lines = (tmp_path / "whole.jsonl").read_text().splitlines()
    (tmp_path / "cut.jsonl").write_text("\n".join(lines[:3]) + "\n" + lines[3][:9])  # killed within the second part
    assert answers.answer_all(model, tokenizer, ROWS, 6, tmp_path / "cut.jsonl", Memory()) == whole
    assert len(whole) == len(ROWS)
