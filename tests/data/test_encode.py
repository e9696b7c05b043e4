"""A file becomes memory-mapped rows once; what does not fit is dropped, shortened or refused by name, never cut silently."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import DataError, Stopped
from studio.core.messages import chat_message
from studio.data.encode import encode_file, limit, load
from studio.data.render import encode
from studio.data.rows import Conversation
from studio.data.settings import ResolvedData
from studio.runs.rows import within_length
from studio.tracking.reporter import Silent
from tests.data.templates import tokenizer
from tests.tiny import make_tokenizer

pytestmark = pytest.mark.torch


def talk(*texts: str, line: int = 1, system: str = "") -> Conversation:
    roles = ["user", "assistant"] * len(texts)
    lead = [chat_message("system", system)] if system else []
    messages = [*lead, *(chat_message(role, text) for role, text in zip(roles, texts, strict=False))]
    return Conversation(messages=tuple(messages), file="faq.csv", line=line)


def write(path: Path, rows: list[Conversation]) -> Path:
    path.write_text("".join(json.dumps(row.as_dict()) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def made() -> Any:
    return tokenizer("chatml")


@pytest.fixture
def rows() -> list[Conversation]:
    return [talk("what price", "it costs " * (row % 7 + 1), line=row + 2) for row in range(600)]


def test_rows_come_back_as_they_were_encoded(rows: list[Conversation], made: Any, tmp_path: Path):
    tokens = encode_file(write(tmp_path / "train.jsonl", rows), made, "assistant", tmp_path / "train.tokens")
    assert len(tokens) == 600
    for index in (0, 5, 299, 599):
        ids, mask = tokens[index]
        one = encode(rows[index], made)
        assert (ids.tolist(), mask.astype(bool).tolist()) == (one.ids, one.mask)
        assert tokens.where(index) == f"faq.csv, line {index + 2}"
    assert isinstance(tokens.ids, np.memmap)
    assert (tokens.ids.dtype, tokens.mask.dtype, tokens.offsets.dtype) == (np.int32, np.uint8, np.int64)
    assert tokens.meta["tokens"] == tokens.lengths.sum()
    assert tokens.trained == sum(encode(row, made).trained for row in rows)
    assert tokens.meta["lengths"]["longest"] == tokens.lengths.max()
    assert np.array_equal(load(tokens.folder).ids, tokens.ids)


def test_the_same_content_is_encoded_once_and_any_change_again(rows: list[Conversation], made: Any, tmp_path: Path):
    file, out, cache = write(tmp_path / "a.jsonl", rows[:20]), tmp_path / "a.tokens", tmp_path / "cache"
    first = encode_file(file, made, "assistant", out, cache=cache)
    stamp = (out / "ids.npy").stat().st_mtime_ns
    assert encode_file(file, made, "assistant", out, cache=cache).meta == first.meta
    assert (out / "ids.npy").stat().st_mtime_ns == stamp
    elsewhere = encode_file(file, made, "assistant", tmp_path / "b.tokens", cache=cache)
    assert elsewhere.meta == first.meta
    assert (tmp_path / "b.tokens" / "ids.npy").stat().st_mtime_ns == stamp, "taken from the cache"
    assert encode_file(file, made, "all", out).meta["key"] != first.meta["key"]
    other = make_tokenizer(tmp_path / "other", made.chat_template + "{# another #}")
    assert encode_file(file, other, "assistant", out).meta["key"] != first.meta["key"]
    retold = copy.deepcopy(made)  # the same vocabulary: only the template is another
    retold.chat_template = made.chat_template + "{# another #}"
    assert encode_file(file, retold, "assistant", out).meta["key"] != first.meta["key"]
    write(file, rows[:21])
    assert len(encode_file(file, made, "assistant", out)) == 21
    write(file, rows[1:22])
    again = encode_file(file, made, "assistant", out)
    assert again[0][0].tolist() == encode(rows[1], made).ids, "as many rows, but others"


def test_rows_that_cannot_be_trained_are_counted_and_listed_with_their_line(tmp_path: Path):
    gemma = tokenizer("gemma")
    bad = Conversation(messages=talk("a").messages * 2 + talk("a", "b").messages[1:], file="faq.csv", line=3)
    rows = [talk("what", "price", line=2), bad, talk("hello", "thanks", line=4, system="be kind")]
    tokens = encode_file(write(tmp_path / "a.jsonl", rows), gemma, "assistant", tmp_path / "a.tokens")
    assert len(tokens) == 1
    assert [(row["file"], row["line"]) for row in tokens.dropped] == [("faq.csv", 3), ("faq.csv", 4)]
    assert "must alternate" in tokens.dropped[0]["reason"]
    assert "system message" in tokens.dropped[1]["reason"]
    with pytest.raises(DataError, match="none of its 2 rows can be trained") as refused:
        encode_file(write(tmp_path / "b.jsonl", rows[1:]), gemma, "assistant", tmp_path / "b.tokens")
    assert refused.value.where == "faq.csv, line 3"
    assert "Change the messages as it asks" in refused.value.hint, "the row's own way out, not a general one"
    assert not (tmp_path / "b.tokens").exists()


def test_over_long_rows_are_dropped_by_name(rows: list[Conversation], made: Any, tmp_path: Path):
    rows[10] = talk("what", "price " * 90, line=12)
    tokens = encode_file(write(tmp_path / "a.jsonl", rows), made, "assistant", tmp_path / "a.tokens")
    short = limit(tokens, 64, "drop")
    assert len(short) == 599
    assert short.lengths.max() <= 64
    assert [(row["file"], row["line"]) for row in short.dropped] == [("faq.csv", 12)]
    assert short.where(10) == "faq.csv, line 13"
    assert limit(tokens, 4000, "drop") is tokens
    assert limit(tokens, None) is tokens
    assert limit(tokens, int(tokens.lengths.max())) is tokens, "a row of just that length is not too long"
    assert len(limit(tokens, int(np.sort(tokens.lengths)[-2]))) == 599, "and so it is where others are cut"
    assert limit(tokens, 64, "drop").meta == short.meta, "a second time it is found done"
    with pytest.raises(DataError, match=r"longer than 64 tokens") as refused:
        limit(tokens, 64, "error")
    assert refused.value.where == "faq.csv, line 12"
    with pytest.raises(DataError, match="no row is at most 3 tokens long"):
        limit(tokens, 3)


def test_only_rows_that_are_too_long_are_said_to_be(tmp_path: Path):
    class Heard(Silent):
        def event(self, event: Any) -> None:
            said.append(event)

    said: list[Any] = []
    bad = Conversation(messages=talk("a").messages * 2 + talk("a", "b").messages[1:], file="faq.csv", line=3)
    rows = [talk("what", "price", line=2), bad, talk("what", "price " * 90, line=4)]
    tokens = encode_file(write(tmp_path / "a.jsonl", rows), tokenizer("gemma"), "assistant", tmp_path / "a.tokens")
    long, short = (ResolvedData(train="faq.csv", max_length=most, overlong="drop", replay=0) for most in (4000, 64))
    assert within_length(tokens, "training", long, Heard()) is tokens
    assert said == [], "the row that the template refuses was named when it was encoded"
    assert len(within_length(tokens, "training", short, Heard())) == 1
    assert [(event.message, [row["line"] for row in event.rows]) for event in said] == [
        ("1 training row left out: longer than 64 tokens", [4])
    ]


def test_truncation_takes_the_oldest_turns_and_keeps_every_answers_end(made: Any, tmp_path: Path):
    turns = [f"{word} " * 12 for word in ("what", "price", "lamp", "oak", "clock", "glass")]
    rows = [talk(*turns, line=2, system="be kind"), talk("what " * 60, "it costs", line=3), talk("a", "price " * 80, line=4)]
    tokens = encode_file(write(tmp_path / "a.jsonl", rows), made, "assistant", tmp_path / "a.tokens")
    short = limit(tokens, 70, "truncate")
    assert len(short) == 2
    assert short.lengths.max() <= 70
    turned, cut = (made.decode(short[row][0]) for row in (0, 1))
    assert turned.startswith("<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nclock"), "whole turns went, not pieces"
    assert "price" not in turned
    assert turned.endswith(f"{turns[-1]}<|im_end|>\n")
    assert cut.endswith("it costs<|im_end|>\n")
    assert [row["line"] for row in short.truncated] == [2, 3]
    assert [row["line"] for row in short.dropped] == [4]
    assert "last answer alone" in short.dropped[0]["reason"]
    for row in (0, 1):
        ids, mask = short[row]
        assert made.eos_token_id in ids[mask.astype(bool)]


def test_plain_text_is_trained_whole_and_shortened_at_its_beginning(made: Any, tmp_path: Path):
    rows = [Conversation(text="the lamp is blue " * 20, file="a.txt", line=1)]
    tokens = encode_file(write(tmp_path / "a.jsonl", rows), made, "all", tmp_path / "a.tokens")
    assert tokens[0][1].all()
    short = limit(tokens, 16, "truncate")
    assert short[0][0][-1] == made.eos_token_id
    assert len(short[0][0]) == 16


def test_a_stopped_encoding_leaves_nothing_behind(rows: list[Conversation], made: Any, tmp_path: Path):
    class Impatient(Silent):
        def should_stop(self) -> bool:
            return True

    with pytest.raises(Stopped):
        encode_file(write(tmp_path / "a.jsonl", rows), made, "assistant", tmp_path / "a.tokens", Impatient())
    assert [item.name for item in tmp_path.iterdir()] == ["a.jsonl"]


def test_an_empty_file_is_refused(made: Any, tmp_path: Path):
    with pytest.raises(DataError, match="there is no row in it"):
        encode_file(write(tmp_path / "a.jsonl", []), made, "assistant", tmp_path / "a.tokens")
