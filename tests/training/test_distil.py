"""Distillation: losses and gradients are TRL's divergence on full distributions, and exact on cached words."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import TrainingError
from studio.training import teacher
from tests.training.kit import LENGTHS, Memory, make_rows

pytestmark = pytest.mark.numeric

BETAS = {"forward_kl": 0.0, "jsd": 0.5, "reverse_kl": 1.0}


def scored_by(model: Any, rows: Any, folder: Path, top_k: int) -> Any:
    vocabulary = model.config.vocab_size
    return teacher.score(model, rows, top_k, vocabulary, folder, f"key {top_k}", Memory())


@pytest.mark.parametrize("divergence", list(BETAS))
@pytest.mark.parametrize("hard", [0.0, 0.4])
def test_loss_and_gradient_are_those_of_trls_divergence(divergence: str, hard: float):
    import torch
    from trl.experimental.gkd import GKDTrainer

    from studio.training.distilling import Mix, distilled
    from studio.training.head import LogitTransform

    torch.manual_seed(0)
    positions, size, vocabulary = 40, 16, 50
    head = torch.nn.Linear(size, vocabulary, bias=False).requires_grad_(False)
    hidden, targets = torch.randn(positions, size), torch.randint(0, vocabulary, (positions,))
    weights, logits = torch.rand(positions), 3 * torch.randn(positions, vocabulary)
    words = logits.argsort(descending=True)[:, : vocabulary - 1].contiguous()
    log_teacher = torch.log_softmax(logits, dim=-1)
    known = torch.cat([log_teacher.gather(1, words), log_teacher.gather(1, logits.argmin(1, keepdim=True))], dim=1)
    ours = hidden.clone().requires_grad_()
    found = distilled(ours, head, targets, words, known, LogitTransform(), Mix(BETAS[divergence], hard))
    (found[0] * weights).sum().backward()
    theirs = hidden.clone().requires_grad_()
    student = head(theirs)
    each = GKDTrainer.generalized_jsd_loss(student[None], logits[None], beta=BETAS[divergence], reduction="none")[0].sum(-1)
    label = torch.nn.functional.cross_entropy(student, targets, reduction="none")
    wanted = (1 - hard) * each + hard * label
    (wanted * weights).sum().backward()
    assert found[0].tolist() == pytest.approx(wanted.tolist(), rel=1e-4, abs=1e-6)
    assert found[1].tolist() == pytest.approx(each.tolist(), rel=1e-4, abs=1e-6)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert (ours.grad - theirs.grad).abs().max() < 1e-5 * theirs.grad.abs().max() + 1e-6


@pytest.mark.parametrize("divergence", list(BETAS))
def test_with_few_words_the_gradient_is_that_of_the_buckets(divergence: str):
    import torch

    from studio.training.distilling import Mix, distilled, of_logits
    from studio.training.head import LogitTransform

    torch.manual_seed(1)
    head = torch.nn.Linear(8, 30, bias=False).requires_grad_(False)
    hidden, targets = torch.randn(12, 8), torch.randint(0, 30, (12,))
    logps = torch.log_softmax(2 * torch.randn(12, 30), dim=-1)
    best = logps.topk(4, dim=-1)
    rest = (1 - best.values.exp().sum(-1, keepdim=True)).log()
    known, mix = torch.cat([best.values, rest], dim=1), Mix(BETAS[divergence], 0.3)
    one, other = (hidden.clone().requires_grad_() for _ in range(2))
    ours = distilled(one, head, targets, best.indices, known, LogitTransform(scale=0.5, cap=4.0), mix)
    logits = 4.0 * torch.tanh(0.5 * head(other) / 4.0)
    theirs = of_logits(logits[None], torch.arange(12), targets, best.indices, known, mix)
    ours[0].sum().backward()
    theirs[0].sum().backward()
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert one.grad is not None
    assert other.grad is not None
    assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_a_student_comes_nearer_to_its_teacher_and_one_equal_to_it_has_nothing_to_learn(
    quantization: str, run: Callable[..., Any], load: Callable[..., Any], tmp_path: Path
):
    rows, base = make_rows(LENGTHS), load(quantization=quantization)
    words = scored_by(base, rows, tmp_path / "equal", 8)
    same = {"train": rows, "held_out": rows, "teacher": words, "teacher_held_out": words, "quantized": quantization == "nf4"}
    _, reported, _ = run("equal", base=base, method={"kind": "distil", "teacher": "x"}, max_steps=1, **same)
    assert reported.series("eval_divergence")[0] == pytest.approx(0, abs=1e-5)
    assert reported.series("eval_same_choice")[0] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("layout", [{"micro_batch": 1}, {"packing": False}, {"packing": False, "loss_on_labels_only": False}])
def test_the_layout_of_a_batch_never_changes_it(
    layout: dict[str, Any], run: Callable[..., Any], load: Callable[..., Any], tmp_path: Path
):
    rows = make_rows(LENGTHS)
    words = other_words(rows, load)
    settings: dict[str, Any] = {
        "train": rows, "held_out": rows, "teacher": words, "teacher_held_out": words, "epochs": 1,
        "method": {"kind": "distil", "teacher": "x", "hard": 0.2, "divergence": "jsd"},
    }  # fmt: skip
    _, one, _ = run("one", **settings)
    _, other, _ = run("other", **{**settings, **layout})
    for name in ("loss", "grad_norm", "divergence", "eval_loss", "eval_hard"):
        assert list(other.series(name).values()) == pytest.approx(list(one.series(name).values()), rel=2e-4, abs=2e-5), name


def other_words(rows: Any, load: Callable[..., Any]) -> Any:
    """What a model of other weights says of the rows."""
    import tempfile

    return scored_by(strange(load), rows, Path(tempfile.mkdtemp()) / "words", 8)


def test_the_teachers_words_are_scored_once_and_found_again(load: Callable[..., Any], tmp_path: Path):
    rows = make_rows(LENGTHS)
    words = scored_by(load(), rows, tmp_path / "words", 8)
    again = teacher.saved(tmp_path / "words", "key 8")
    assert again is not None
    assert (np.asarray(again.logps) == np.asarray(words.logps)).all()
    assert np.exp(np.asarray(words.logps)).sum(axis=1) == pytest.approx(np.ones(len(words.logps)), abs=1e-5)
    assert teacher.saved(tmp_path / "words", "another teacher") is None
    assert len(words.of([0, 3])[0]) == sum(int(rows[number][1][1:].sum()) for number in (0, 3))


def test_without_a_teacher_there_is_nothing_to_distil(run: Callable[..., Any]):
    with pytest.raises(TrainingError, match="needs a teacher"):
        run(method={"kind": "distil", "teacher": "x"})


def test_tokenizers_that_differ_are_told_apart(tokenizer: Any, tmp_path: Path):
    assert teacher.same_tokens(tokenizer, tokenizer) is None


def test_a_run_killed_while_the_teacher_reads_or_while_it_trains_ends_with_the_same_weights(
    fit_in: Callable[..., Any], load: Callable[..., Any], tmp_path: Path
):
    """Bit for bit: what the teacher says is kept whole or not at all, and training goes on from its checkpoint."""
    from functools import partial

    from tests.training.test_resume import killed, progress_of, same

    one_thread = partial(fit_in, threads=1)

    def run(name: str, *more: Any, **changes: Any) -> Any:
        return one_thread(tmp_path / name, *more, **changes)

    class Reader(Memory):
        def progress(self, done: float, total: float, what: str = "") -> None:
            if done > 4:
                os.kill(os.getpid(), signal.SIGKILL)

    rows, data = make_rows(LENGTHS), tmp_path / "data"
    rows = replace(rows, meta={**rows.meta, "key": "rows"})

    def taught(reporter: Memory) -> Any:
        return teacher.taught(partial(strange, load), "key", {"train": rows}, 8, 512, data, reporter)["train"]

    at_once, teacher.TOKENS_AT_ONCE = teacher.TOKENS_AT_ONCE, 64
    try:
        child = multiprocessing.get_context("fork").Process(target=taught, args=(Reader(),))
        child.start()
        child.join(120)
        assert child.exitcode == -signal.SIGKILL
        assert not (data / "train.teacher").exists()
        words = taught(Memory())
        whole = teacher.score(strange(load), rows, 8, 512, tmp_path / "whole-words", "key", Memory())
    finally:
        teacher.TOKENS_AT_ONCE = at_once
    assert all((np.asarray(getattr(words, name)) == getattr(whole, name)).all() for name in ("ids", "logps", "offsets"))
    settings: dict[str, Any] = {"train": rows, "teacher": words, "method": {"kind": "distil", "teacher": "x", "hard": 0.3}}
    _, _, straight = run("whole", **settings)
    killed(run, 5, "cut", progress_of(tmp_path / "cut", 4), **settings)
    _, _, cut = run("cut", **settings)
    assert same(straight.adapter_out, cut.adapter_out)


def strange(load: Callable[..., Any]) -> Any:
    """The tiny model with other weights."""
    import torch

    base = load()
    with torch.no_grad():
        for number, weights in enumerate(base.parameters()):
            weights.add_(0.02 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(number)))
    return base


def test_the_baseline_is_the_same_rows_learned_without_the_teacher_and_goes_on_where_it_was_stopped(
    run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path
):
    from studio.core.errors import Stopped
    from studio.training import baseline
    from tests.training.kit import make_job, weights

    rows = make_rows(LENGTHS)
    words = scored_by(strange(load), rows, tmp_path / "words", 8)
    _, _, alone = run("alone", train=rows)
    job = make_job(tmp_path / "taught", train=rows, teacher=words, method={"kind": "distil", "teacher": "x"})

    class Stopping(Memory):
        def progress(self, done: float, total: float, what: str = "") -> None:
            self.told = what
            self.stop_after = -1 if done >= 5 else None

        def should_stop(self) -> bool:
            return self.stop_after is not None

    told = Stopping()
    with pytest.raises(Stopped):
        baseline.train(load(), tokenizer, job, tmp_path / "baseline", told)
    quiet = Memory()
    baseline.train(load(), tokenizer, job, tmp_path / "baseline", quiet)
    one, other = weights(alone.adapter_out), weights(tmp_path / "baseline" / "adapter")
    assert all((one[name] == other[name]).all() for name in one)
    assert "without the teacher" in told.told
    assert not quiet.lines  # its steps are not the run's


def test_the_distance_from_the_teacher_is_that_of_full_distributions(load: Callable[..., Any], tmp_path: Path):
    import torch

    rows = make_rows(LENGTHS)
    student, other = load(), strange(load)
    words = scored_by(other, rows, tmp_path / "words", student.config.vocab_size - 1)
    found = teacher.apart(student, rows, words)
    for number in (0, 6):
        ids, mask = rows[number]
        each = torch.as_tensor(np.asarray(ids, dtype=np.int64))[None]
        with torch.no_grad():
            one, two = (torch.log_softmax(model(each).logits[0, :-1].float(), -1) for model in (other, student))
        scored = torch.as_tensor(np.asarray(mask[1:], dtype=bool))
        kl = (one.exp() * (one - two)).sum(-1)[scored].sum()
        assert found[0][number] == pytest.approx(float(kl), rel=1e-3, abs=1e-4)
        assert found[1][number] == int((one.argmax(-1) == two.argmax(-1))[scored].sum())
        assert found[2][number] == int(scored.sum())
