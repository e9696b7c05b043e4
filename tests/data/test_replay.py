"""General rows that are mixed into training: none of them is in the forgetting check, and each is taken at most once."""

from __future__ import annotations

import json
from pathlib import Path

from studio.data import replay
from studio.data.near import plain
from studio.data.prepare import conversations
from studio.data.settings import Data
from studio.evaluation import general
from studio.models import starter


def words(text: str) -> set[str]:
    return set("".join(letter if letter.isalnum() else " " for letter in plain(text)).split())


def test_no_shipped_row_asks_or_says_what_the_forgetting_check_does() -> None:
    checked = [*general.builtin(), *general.builtin("starter"), *general.text()]
    asked = [(words(" ".join(turn["content"] for turn in row.messages[:-1]) or row.text), words(row.answer)) for row in checked]
    for row in replay.builtin():
        question, answer = words(" ".join(turn["content"] for turn in row.messages[:-1]) or row.text), words(row.answer)
        for other, reply in asked:
            alike = len(question & other) / len(question | other)
            assert alike < 0.9, (row, other)
            if row.messages and len(answer) > 4:
                assert len(answer & reply) / len(answer | reply) < 0.6, (row.answer, reply)


def test_shipped_rows_are_many_different_and_not_the_starters_world() -> None:
    rows = replay.builtin()
    assert len(rows) > 120
    asked = [row.messages[0]["content"] if row.messages else row.text for row in rows]
    assert len(set(map(plain, asked))) == len(rows)
    assert sum(bool(row.text) for row in rows) >= 8
    assert starter.general().exists()


def test_so_many_rows_as_asked_are_written_and_the_same_for_a_seed(tmp_path: Path) -> None:
    settings = Data(train="x.csv")
    assert replay.write(tmp_path / "a.jsonl", settings, 0.25, 100, seed=1) == 25
    assert replay.write(tmp_path / "b.jsonl", settings, 0.25, 100, seed=1) == 25
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert replay.count(tmp_path / "a.jsonl") == len(list(conversations(tmp_path / "a.jsonl"))) == 25
    assert replay.write(tmp_path / "c.jsonl", settings, 1.0, 10_000, seed=1) == len(replay.builtin())
    assert replay.count(tmp_path / "none.jsonl") == 0


def test_rows_of_the_users_own_are_taken_but_none_that_is_held_out(tmp_path: Path) -> None:
    rows = [{"question": f"Say {name}.", "answer": name} for name in ("one", "two", "three", "four")]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    settings = Data(train="x.csv", replay_from=str(tmp_path / "own.jsonl"))
    asked = [row for row in replay.builtin() if row.messages][:1]
    held_out = [type(asked[0])(messages=({"role": "user", "content": "say  TWO."}, {"role": "assistant", "content": "2"}))]
    assert replay.write(tmp_path / "r.jsonl", settings, 1.0, 50, seed=0, avoid=held_out) == 3
    assert [row.answer for row in conversations(tmp_path / "r.jsonl")] == ["one", "three", "four"]
