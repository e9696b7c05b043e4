"""Documents: passages come together again, document ends stand at real ends only, long ones are cut and lose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import DataError
from studio.data import encode, prepare, replay
from studio.data.pieces import can_be_cut, piece_lengths, spans
from studio.data.settings import Data


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from studio.models import loading
    from studio.models.settings import Model

    return loading.tokenizer(loading.find(Model(name="starter")))


@pytest.mark.parametrize(("length", "longest"), [(5, 5), (6, 5), (9, 5), (10, 5), (1000, 64), (17, 2)])
def test_every_token_but_the_first_is_predicted_once(length: int, longest: int):
    pieces = spans(length, longest)
    predicted = [token for begin, end in pieces for token in range(begin + 1, end)]
    assert predicted == list(range(1, length))
    sizes = [end - begin for begin, end in pieces]
    assert max(sizes) <= longest
    assert max(sizes) - min(sizes) <= 1
    assert piece_lengths(np.array([length]), longest).tolist() == sizes


def test_only_a_sequence_without_a_prompt_may_be_cut():
    assert can_be_cut([False, True, True])
    assert not can_be_cut([False, False, True])


def book(folder: Path) -> Path:
    """A document of many paragraphs, one of them longer than a passage."""
    sentence = "The lamp is made of oak and the warranty is two years. "
    paragraphs = [f"Page {number}. {sentence * (number % 5 + 3)}".strip() for number in range(12)]
    paragraphs[5] = (sentence * 40).strip()
    file = folder / "book.txt"
    file.write_text("\n\n".join(paragraphs))
    return file


def test_passages_of_a_document_are_one_sequence_that_ends_where_the_document_does(tokenizer: Any, tmp_path: Path):
    file = book(tmp_path)
    prepare.prepare(Data(train=str(file), holdout=0.0), 0, tmp_path / "out", needs="texts")
    rows = list(prepare.conversations(tmp_path / "out" / "train.jsonl"))
    assert len(rows) > 3
    assert [row.passage for row in rows] == list(range(1, len(rows) + 1))
    tokens = encode.encode_file(tmp_path / "out" / "train.jsonl", tokenizer, "assistant", tmp_path / "t", needs="texts")
    assert len(tokens) == 1
    ids, mask = tokens[0]
    assert tokenizer.decode(ids, skip_special_tokens=True) == file.read_text()
    assert np.flatnonzero(ids == tokenizer.eos_token_id).tolist()[-1] == len(ids) - 1
    assert int((ids[1:] == tokenizer.eos_token_id).sum()) == 1
    assert can_be_cut(mask)
    cut = encode.limit(tokens, 64, "split")
    assert cut.lengths.max() <= 64
    assert cut.dropped == []
    assert int(cut.trained_in_rows.sum()) == tokens.trained
    again = np.concatenate([cut[0][0], *(cut[row][0][1:] for row in range(1, len(cut)))])
    assert (again == ids).all()


def test_a_passage_that_is_held_out_parts_its_document_without_an_end(tokenizer: Any, tmp_path: Path):
    prepare.prepare(Data(train=str(book(tmp_path)), holdout=0.2), 0, tmp_path / "out", needs="texts")
    held = [row.passage for row in prepare.conversations(tmp_path / "out" / "held-out.jsonl")]
    assert held
    tokens = encode.encode_file(tmp_path / "out" / "train.jsonl", tokenizer, "assistant", tmp_path / "t", needs="texts")
    assert len(tokens) > 1
    ends = [int(tokens[row][0][-1]) == tokenizer.eos_token_id for row in range(len(tokens))]
    assert sum(ends) <= 1
    assert not any(ends[:-1])


def test_whole_documents_are_held_out_where_there_are_ten(tmp_path: Path):
    (tmp_path / "books").mkdir()
    for number in range(12):
        words = " ".join(f"word{number}x{index}" for index in range(600))
        (tmp_path / "books" / f"{number}.txt").write_text(words)
    prepare.prepare(Data(train=str(tmp_path / "books"), holdout=0.2), 0, tmp_path / "out", needs="texts")
    files = [{row.file for row in prepare.conversations(tmp_path / "out" / f"{name}.jsonl")} for name in ("train", "held-out")]
    assert files[1]
    assert not files[0] & files[1]


def test_conversations_are_refused_where_texts_are_learned(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"question": "What is it?", "answer": "A lamp."}\n' * 3)
    with pytest.raises(DataError, match="no plain text") as problem:
        prepare.prepare(Data(train=str(tmp_path / "a.jsonl"), holdout=0.0), 0, tmp_path / "out", needs="texts")
    assert "data.replay" in problem.value.hint


def test_replay_among_documents_is_a_share_of_characters(tmp_path: Path):
    written = replay.write(tmp_path / "replay.jsonl", Data(train="x"), 0.1, 1, 0, characters=20_000)
    rows = list(prepare.conversations(tmp_path / "replay.jsonl"))
    size = sum(len(str(turn["content"])) for row in rows for turn in row.messages) + sum(len(row.text) for row in rows)
    assert written > 1
    assert size == pytest.approx(2000, rel=0.25)
