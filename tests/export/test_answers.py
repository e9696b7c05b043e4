"""The measures themselves: KL by its definition, a bound where the tail is lumped, ties, thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from studio.export.targets.adapter.limits import LIMITS as ADAPTER
from studio.export.targets.gguf.limits import LIMITS as GGUF
from studio.export.targets.litert.limits import LIMITS as LITERT
from studio.export.targets.merged_model import LIMITS as MERGED
from studio.export.targets.onnx.limits import LIMITS as ONNX
from studio.export.verification import answers, limits
from studio.export.verification.answers import agrees, divergence


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return log_softmax(rng.normal(size=(6, 50)) * 3), log_softmax(rng.normal(size=(6, 50)) * 3)


def test_kl_over_all_tokens_is_kl_by_its_definition(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    tokens = np.argsort(-p, -1).astype(np.int32)
    expected = (np.exp(p) * (p - q)).sum(-1)
    assert divergence(tokens, np.take_along_axis(p, tokens, -1), q) == pytest.approx(expected)


def test_kl_over_the_likeliest_tokens_is_a_bound_near_the_whole(pair: tuple[np.ndarray, np.ndarray]) -> None:
    p, q = pair
    tokens = np.argsort(-p, -1)[:, :20].astype(np.int32)
    whole = (np.exp(p) * (p - q)).sum(-1)
    part = divergence(tokens, np.take_along_axis(p, tokens, -1), q)
    assert (part <= whole + 1e-9).all()
    assert part == pytest.approx(whole, rel=0.1)


def test_the_same_distribution_has_no_distance(pair: tuple[np.ndarray, np.ndarray]) -> None:
    tokens = np.argsort(-pair[0], -1)[:, :20].astype(np.int32)
    assert divergence(tokens, np.take_along_axis(pair[0], tokens, -1), pair[0]).max() < 1e-9


def test_a_shorter_vocabulary_is_infinitely_far() -> None:
    assert divergence(np.array([[9]], np.int32), np.zeros((1, 1), np.float32), np.zeros((1, 5))) == [np.inf]


def test_a_tie_counts_as_agreement_and_a_clear_difference_does_not() -> None:
    tokens = np.array([[1, 2], [1, 2]], np.int32)
    logp = np.log(np.array([[0.5, 0.48], [0.7, 0.2]], np.float32))
    other = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.0]])
    assert agrees(tokens, logp, other).tolist() == [True, False]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_model_never_passes(bad: float) -> None:
    checks = limits.checks(GGUF["q4_k_m"], kl=bad, p99=bad, top1=0.0, ends=1.0, effect=1.0)
    assert not all(check.passed for check in checks)


def test_a_loss_as_large_as_the_tuning_fails_whatever_the_format() -> None:
    checks = limits.checks(GGUF["q4_k_m"], kl=0.3, p99=1.0, top1=1.0, ends=1.0, effect=0.3)
    assert [check.name for check in checks if not check.passed] == ["kl_over_tuning"]


def test_every_format_has_thresholds_with_a_reason() -> None:
    for limit in (ADAPTER, MERGED, limits.ORIGINAL, *GGUF.values(), *ONNX.values(), *LITERT.values()):
        assert len(limit.why) > 20


def test_a_long_prompt_is_cut_at_its_beginning_and_a_long_answer_at_its_end() -> None:
    long = answers.Case("", list(range(3000)), list(range(4000)), list(range(2999, 3999)))
    short = answers._shortened(long)
    assert short.prompt == list(range(3000 - answers.LONGEST_PROMPT, 3000))
    assert len(short.positions) == answers.POSITIONS
    assert [short.ids[place + 1] for place in short.positions[:2]] == [3000, 3001]
    assert len(short.ids) == answers.LONGEST_PROMPT + answers.POSITIONS
