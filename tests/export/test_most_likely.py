"""The most likely tokens that a verification compares."""

from __future__ import annotations

import numpy as np
import pytest

from studio.export.verification import answers


@pytest.mark.parametrize("words", [answers.KEPT // 2, answers.KEPT, 5 * answers.KEPT])
def test_only_the_most_likely_are_sorted_and_they_are_those_of_a_full_sort(words: int) -> None:
    likely = np.random.default_rng(0).permuted(np.tile(np.arange(words, dtype=np.float32), (3, 1)), axis=1)
    found = answers._most_likely(likely)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.argsort(-likely, axis=-1)[:, : answers.KEPT])
