"""The split: whole questions on one side, the asked share, the same for the same seed whatever the order of the rows."""

from __future__ import annotations

import random

import numpy as np
import pytest

from studio.core.errors import DataError
from studio.core.messages import chat_message
from studio.data.rows import Conversation
from studio.data.split import conflicting, fingerprint, first_of_each, hold_out, normal, question


def talk(*texts: str, system: str = "") -> Conversation:
    turns = [chat_message(("user", "assistant")[place % 2], text) for place, text in enumerate(texts)]
    return Conversation(tuple([chat_message("system", system)] if system else []) + tuple(turns))


def group(conversation: Conversation) -> int:
    return fingerprint(conversation)[1]


@pytest.mark.parametrize(
    "other",
    ["how long is the WARRANTY", "How long  is\nthe warranty?!", "«How long is the warranty»", "Ｈow long is the warranty？"],
)
def test_case_spacing_and_punctuation_do_not_make_another_question(other: str) -> None:
    assert group(talk(other, "24 months")) == group(talk("How long is the warranty?", "2 years"))


def test_other_words_make_another_question_in_every_script() -> None:
    texts = [
        "How long is it?",
        "How short is it?",
        "Wie groß?",
        "Wie gross ist es?",
        "多久",
        "多少",
        "C 1",
        "C 2",
        "?!",
        "...",
        "🙂",
        "🙃",
    ]
    assert len({group(talk(text, "x")) for text in texts}) == len(texts)
    assert normal("Straße") == normal("STRASSE")


def test_conversations_with_the_same_first_question_belong_together_but_a_greeting_is_no_question() -> None:
    assert group(talk("How long is it?", "24")) == group(talk("How long is it?", "24", "Why?", "So."))
    assert group(talk("How long is it?", "24", system="Be kind.")) == group(talk("How long is it?", "24"))
    one, two = talk("Hi", "Hello!", "How long is it?", "24"), talk("Hi", "Hello!", "How wide is it?", "3")
    assert group(one) != group(two)
    assert question(one) == "hi how long is it"


def test_a_row_is_only_equal_to_a_row_that_is_exactly_the_same() -> None:
    rows = [
        talk("How?", "So."), talk("how?", "So."), talk("How?", "so."), talk("How?", "So.", "Why?", "Thus."),
        talk("How?", "So.", system="S"), Conversation(text="How?"), Conversation(text="How? So."),
        Conversation(talk("How?", "So.").messages, ({"type": "function", "function": {"name": "f"}},)),
    ]  # fmt: skip
    assert len({fingerprint(row)[0] for row in rows}) == len(rows)
    assert fingerprint(rows[0]) == fingerprint(talk("How?", "So."))


def test_duplicates_point_to_the_first_and_conflicts_to_both_answers() -> None:
    hashes = np.array([5, 7, 5, 9, 7, 5], dtype=np.uint64)
    assert first_of_each(hashes).tolist() == [0, 1, 0, 3, 1, 0]
    prompts = np.array([1, 2, 1, 3, 1, 2], dtype=np.uint64)
    answers = np.array([8, 8, 9, 8, 8, 8], dtype=np.uint64)
    assert conflicting(prompts, answers) == [(0, 2)]
    assert conflicting(prompts[:0], answers[:0]) == []


def test_a_question_with_many_answers_is_one_conflict() -> None:
    prompts = np.array([7, 7, 4, 7, 4], dtype=np.uint64)
    assert conflicting(prompts, np.array([1, 2, 5, 3, 6], dtype=np.uint64)) == [(0, 1), (2, 4)]


@pytest.mark.parametrize("seed", range(8))
def test_single_rows_fill_what_a_large_group_leaves_open(seed: int) -> None:
    groups = np.array([9] * 5 + [1, 2, 3, 4, 5], dtype=np.uint64)
    assert hold_out(groups, 0.3, seed).sum() == 3


@pytest.mark.parametrize("share", [0.001, 0.1, 0.25, 0.5, 0.89])
@pytest.mark.parametrize("rows", [2, 10, 997])
def test_the_share_is_met_to_the_row_when_all_questions_differ(share: float, rows: int) -> None:
    held = hold_out(np.arange(rows, dtype=np.uint64) * np.uint64(7919), share, seed=1)
    assert held.sum() == min(max(round(share * rows), 1), rows - 1)


def test_groups_stay_together_and_the_share_is_nearly_met() -> None:
    chance = random.Random(0)
    groups = np.array([chance.randrange(300) for _ in range(2_000)], dtype=np.uint64)
    held = hold_out(groups, 0.1, seed=3)
    assert not set(groups[held].tolist()) & set(groups[~held].tolist())
    assert abs(int(held.sum()) - 200) <= 2


def test_one_large_group_does_not_keep_others_from_being_held_out() -> None:
    held = hold_out(np.array([1] * 95 + [2, 3, 4, 5, 6], dtype=np.uint64), 0.05, seed=0)
    assert held.sum() == 5
    held = hold_out(np.array([1] * 60 + [2] * 40, dtype=np.uint64), 0.1, seed=0)
    assert held.sum() == 40


def test_the_split_follows_seed_and_content_not_the_order_of_rows() -> None:
    groups = np.random.default_rng(0).integers(0, 2**63, 500).astype(np.uint64)
    order = np.random.default_rng(1).permutation(500)
    held = hold_out(groups, 0.2, seed=5)
    assert (hold_out(groups[order], 0.2, seed=5) == held[order]).all()
    assert (hold_out(groups, 0.2, seed=5) == held).all()
    assert (hold_out(groups, 0.2, seed=6) != held).any()


def test_a_single_question_cannot_be_split_and_no_share_holds_nothing_out() -> None:
    same = np.array([4, 4, 4], dtype=np.uint64)
    with pytest.raises(DataError, match="same question"):
        hold_out(same, 0.1, seed=0)
    assert not hold_out(same, 0.0, seed=0).any()
