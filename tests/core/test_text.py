"""Figures in words."""

from __future__ import annotations

import pytest

from studio.core.text import dollars


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0.00 USD"), (0.00001234, "0.0000123 USD"), (0.0328, "0.0328 USD"), (0.05, "0.05 USD"), (0.1, "0.10 USD"),
     (0.999999, "1.00 USD"), (2.5, "2.50 USD"), (1234.5, "1,234.50 USD")],
)  # fmt: skip
def test_a_small_amount_of_money_is_never_written_as_nothing(amount: float, words: str) -> None:
    assert dollars(amount) == words
