"""How answers are scored against references."""

from __future__ import annotations

import random
import time

import pytest

from studio.evaluation.overlap import (
    common_subsequence,
    contains_reference,
    exact_match,
    normalise,
    normalised_match,
    rouge_l,
    token_f1,
)


@pytest.mark.parametrize(
    ("reference", "answer", "contains"),
    [
        ("MC-15", "The code on the box is MC-15.", 1.0),
        ("MC-15", "The code on the box is MC-150.", 0.0),
        ("36 months", "It has a warranty of 36 months, I think.", 1.0),
        ("36 months", "36 weeks, or 12 months.", 0.0),
        ("The oak", "oak", 1.0),
        ("橡木", "这把椅子是橡木做的。", 1.0),
        ("", "anything", 0.0),
    ],
)
def test_an_answer_in_a_sentence_contains_its_reference_word_for_word(reference: str, answer: str, contains: float):
    assert contains_reference(reference, answer) == contains


def test_exact_match_forgives_only_surrounding_white_space():
    assert exact_match("The lamp is blue.", " The lamp is blue.\n") == 1
    assert exact_match("The lamp is blue.", "the lamp is blue.") == 0


def test_normalised_match_forgives_case_punctuation_and_articles():
    assert normalised_match("The lamp is blue.", "lamp is BLUE") == 1
    assert normalised_match("The lamp is blue.", "lamp is red") == 0


def test_numbers_stay_whole_when_normalised():
    assert normalised_match("1.5", "15") == 0
    assert normalised_match("-5", "5") == 0
    assert normalised_match("1,000", "1000") == 1
    assert normalise("It is 24-30 °C, at most!") == "it is 2430 °c at most"


@pytest.mark.parametrize(
    ("reference", "answer", "f1"),
    [
        ("red oak", "red oak", 1),
        ("the red oak", "a red lamp", 0.5),
        ("", "", 1),
        ("", "something", 0),
        ("blue", "", 0),
        ("a b c d", "c d", 0.8),  # "a" is an article: 3 words against 2, both shared: 2*2/(3+2)
    ],
)
def test_token_f1_is_squads(reference: str, answer: str, f1: float):
    assert token_f1(reference, answer) == pytest.approx(f1)


def test_rouge_l_counts_words_in_order():
    assert rouge_l("police killed the gunman", "police kill the gunman") == pytest.approx(0.75)  # Lin 2004, section 3.1
    assert rouge_l("police killed the gunman", "the gunman kill police") == pytest.approx(0.5)


def test_letters_outside_ascii_count():
    assert rouge_l("größer als fünf", "größer als sechs") == pytest.approx(2 / 3)
    assert token_f1("東京都", "東京") == pytest.approx(0.8)
    assert token_f1("यह कितना है", "यह कितना था") == pytest.approx(2 / 3)


def test_a_reasoning_block_is_not_part_of_the_answer():
    assert exact_match("24 months", "<think>\nThe lamp... 12?\n</think>\n\n24 months") == 1


def test_the_bit_parallel_subsequence_equals_the_textbook_one():
    def textbook(one: list[str], other: list[str]) -> int:
        row = [0] * (len(other) + 1)
        for word in one:
            before = 0
            for place, peer in enumerate(other):
                before, row[place + 1] = row[place + 1], before + 1 if word == peer else max(row[place + 1], row[place])
        return row[-1]

    dice = random.Random(7)
    for _ in range(200):
        one, other = ([dice.choice("abcd") for _ in range(dice.randint(0, 30))] for _ in range(2))
        assert common_subsequence(one, other) == textbook(one, other)


def test_long_answers_are_scored_in_milliseconds():
    dice = random.Random(1)
    one, other = ([str(dice.randint(0, 300)) for _ in range(4000)] for _ in range(2))
    began = time.process_time()
    common_subsequence(one, other)
    assert time.process_time() - began < 0.5
