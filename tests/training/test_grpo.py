"""GRPO: losses, gradients and figures are TRL's on the same answers; nothing to learn is said before the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import TrainingError
from studio.core.events import Note, Warning
from studio.data.verifiers.exact import Exact
from studio.data.verifiers.likeness import Likeness
from studio.data.verifiers.verifier import Message, Verifier
from studio.models.generation import Answer
from studio.training import adapters
from studio.training.job import Verification
from studio.training.rollouts import Rollouts, relative
from tests.training.kit import Memory, make_job, make_rows

pytestmark = pytest.mark.numeric

GROUP, ROWS, STEPS, LONGEST = 4, 4, 4, 12
TRUNCATED = {"vllm_importance_sampling_mode": "token_truncate", "vllm_importance_sampling_clip_max": 3.0}
LENGTHS = [12, 30, 18, 24]
SETTINGS: dict[str, Any] = {
    "batch_size": ROWS, "micro_batch": 3, "epochs": STEPS, "schedule": "constant", "warmup": 0.0, "held_out": None,
    "learning_rate": 2e-3,
}  # fmt: skip


class Length(Verifier, frozen=True):
    """Rewards answers by their number of characters, so that no two tests depend on words."""

    kind: str = "test"

    def score(self, answer: str, expected: Message) -> float:
        return (len(answer) % 7) / 6


def verification(rows: int = ROWS, verifier: Verifier | None = None) -> Verification:
    messages = [{"role": "assistant", "content": f"answer {row}"} for row in range(rows)]
    return Verification(verifier or Length(), Likeness(), messages, messages)


def answers(step: int) -> list[tuple[list[int], float]]:
    """Token ids and rewards of a step's answers, in the order of the rows: one group has no signal."""
    random = np.random.default_rng(step)
    lengths = random.integers(2, LONGEST, ROWS * GROUP)
    rewards = random.integers(0, 4, ROWS * GROUP) / 3
    rewards[:GROUP] = 0.5
    return [(random.integers(4, 500, size).tolist(), float(reward)) for size, reward in zip(lengths, rewards, strict=True)]


def engine_logps(step: int) -> list[list[float]]:
    """log p of each token of a step's answers as another engine might have had it: so far off that some weights are cut."""
    random = np.random.default_rng(100 + step)
    return [random.uniform(-9, -5, len(ids)).tolist() for ids, _ in answers(step)]


class Written(Rollouts):
    """Rollouts whose answers are written down, the same as TRL gets."""

    def sample(self, prompts: list[list[int]], seed: int, temperature: float = 1.0, reporter: Any = None) -> list[Answer]:
        step = seed - self.job.training.seed * 1_000_003
        found = [Answer(ids, str(reward), True, len(ids)) for ids, reward in answers(step)]
        if not self.method.by_vllm:
            return found
        return [replace(answer, logps=tuple(logps)) for answer, logps in zip(found, engine_logps(step), strict=True)]

    def scores(self, answers: Any, expected: Any) -> Any:
        found = super().scores(answers, expected)
        return type(found)(np.array([float(answer.text) for answer in answers]), found.control, found.cut, found.tokens)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.training.rollouts.Rollouts", Written)
    monkeypatch.setattr(Written, "check_base", lambda self, reporter: None)
    monkeypatch.setattr("studio.training.guards.LARGEST_GAP", 10.0)  # an engine far off, so that weights are cut
    monkeypatch.setattr("studio.training.batches.StepOrder.from_step", in_order)


def in_order(self: Any, done: int) -> Any:
    """The rows as they stand, in every step."""
    return ([*range(self.rows)] for _ in range(done, self.steps))


def _trl(base: Any, tokenizer: Any, folder: Path, rows: Any, by_vllm: bool, **options: Any) -> list[dict[str, float]]:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportPrivateImportUsage]

    job = make_job(folder, **SETTINGS)
    model = adapters.attach(base, job.adapter, job.training.seed)
    fresh = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    prompts = [np.asarray(rows[row][0][: int(np.argmax(rows[row][1]))]).tolist() for row in range(ROWS)]

    def generate(self: Any, asked: list[str]) -> Any:
        written = answers(self.state.global_step + 1)
        ids = [prompts[int(number)] for number in asked]
        logps = engine_logps(self.state.global_step + 1) if self.use_vllm else None
        return ids, [ids for ids, _ in written], None, [str(reward) for _, reward in written], logps, {}, None, None

    def reward(completions: list[str], **_: Any) -> list[float | None]:
        return [float(completion) for completion in completions]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GRPOTrainer, "_generate", generate)
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=GRPOConfig(
                output_dir=str(folder), use_cpu=True, bf16=False, per_device_train_batch_size=ROWS * GROUP, max_steps=STEPS,
                num_generations=GROUP, max_completion_length=LONGEST, learning_rate=2e-3, lr_scheduler_type="constant",
                logging_steps=1, save_strategy="no", disable_tqdm=True, report_to="none", shuffle_dataset=False,
                gradient_checkpointing=False, **options,
            ),
            train_dataset=Dataset.from_list([{"prompt": str(row)} for row in range(ROWS)]),
            processing_class=tokenizer,
        )  # fmt: skip
        trainer.use_vllm = by_vllm  # after it is made, for it would start one; its answers are written down
        for name, p in model.named_parameters():
            if p.requires_grad:
                p.data = fresh[name].clone()
            elif ".ref." in name:
                p.data = fresh[name.replace(".ref.", ".default.")].clone()
        trainer.train()
    return [{key: float(value) for key, value in line.items()} for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize(
    ("quantization", "ours", "theirs"),
    [
        ("none", {}, {"loss_type": "dapo"}),
        ("none", {"loss_type": "grpo", "scale": "batch"}, {"loss_type": "grpo", "scale_rewards": "batch"}),
        ("none", {"loss_type": "dr_grpo", "scale": "none"}, {"loss_type": "dr_grpo", "scale_rewards": "none"}),
        ("none", {"beta": 0.3}, {"loss_type": "dapo", "beta": 0.3}),
        ("nf4", {"beta": 0.3}, {"loss_type": "dapo", "beta": 0.3}),
        ("none", {"beta": 0.3, "engine": "vllm"}, {"loss_type": "dapo", "beta": 0.3, **TRUNCATED}),
    ],
)
@pytest.mark.usefixtures("written")
def test_grpo_is_trls(
    quantization: str,
    ours: dict[str, Any],
    theirs: dict[str, Any],
    run: Callable[..., Any],
    load: Callable[..., Any],
    tokenizer: Any,
    tmp_path: Path,
):
    rows = make_rows(LENGTHS)
    options = {"beta": 0.0, **theirs}
    wanted = _trl(load(quantization=quantization), tokenizer, tmp_path / "trl", rows, ours.get("engine") == "vllm", **options)
    method = {"kind": "grpo", "group": GROUP, "max_new_tokens": LONGEST, **ours}
    base = load(quantization=quantization)
    _, reported, _ = run(
        train=rows, base=base, quantized=quantization == "nf4", method=method, verification=verification(), **SETTINGS
    )
    assert len(wanted) == STEPS
    assert list(reported.series("loss").values()) == pytest.approx([line["loss"] for line in wanted], rel=1e-4, abs=2e-6)
    assert list(reported.series("grad_norm").values()) == pytest.approx([line["grad_norm"] for line in wanted], rel=1e-3)
    assert list(reported.series("reward").values()) == pytest.approx([line["reward"] for line in wanted], rel=1e-5)
    flat = [line["frac_reward_zero_std"] for line in wanted]
    if ours.get("scale") != "batch":  # where TRL looks at the deviation of the batch
        assert [1 - share for share in reported.series("signal").values()] == pytest.approx(flat)
        assert max(flat) > 0
    if "beta" in ours:
        assert list(reported.series("kl").values()) == pytest.approx([line["kl"] for line in wanted], rel=1e-3, abs=1e-6)
        assert reported.series("kl")[STEPS] > 0
    if "engine" in ours:
        gaps = [line["sampling/sampling_logp_difference/mean"] for line in wanted]
        assert list(reported.series("sampler_gap").values()) == pytest.approx(gaps, rel=1e-4)
        assert wanted[0]["sampling/importance_sampling_ratio/max"] == pytest.approx(3.0)  # some tokens are cut to that


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    "layout",
    [{"shared_prompts": False, "micro_batch": 1}, {"packing": False}, {"packing": False, "loss_on_labels_only": False}],
)
def test_the_layout_of_a_batch_never_changes_it(layout: dict[str, Any], run: Callable[..., Any]):
    method = {"kind": "grpo", "group": GROUP, "max_new_tokens": LONGEST, "beta": 0.1}
    settings = {**SETTINGS, "train": make_rows(LENGTHS), "verification": verification(), "method": method}
    _, one, _ = run("one", **settings)
    _, other, _ = run("other", **{**settings, **layout})
    for name in ("loss", "grad_norm", "kl"):
        assert list(other.series(name).values()) == pytest.approx(list(one.series(name).values()), rel=2e-4, abs=2e-5), name


def test_advantages_are_those_of_the_group_and_a_group_that_agrees_has_none():
    rewards = np.array([0, 1, 1, 0, 0.5, 0.5, 0.5, 0.5])
    advantages, signal = relative(rewards, 4, "group")
    assert signal.tolist() == [True, False]
    assert advantages[4:].tolist() == [0, 0, 0, 0]
    assert advantages[:4] == pytest.approx(np.array([-1, 1, 1, -1]) * 0.5 / (np.std(rewards[:4], ddof=1) + 1e-4))


class Fixed(Verifier, frozen=True):
    """The same score for every answer."""

    kind: str = "fixed"
    value: float = 0.0

    def score(self, answer: str, expected: Message) -> float:
        return self.value


METHOD = {"kind": "grpo", "group": GROUP, "max_new_tokens": LONGEST}


@pytest.mark.parametrize(("value", "words"), [(0.0, "scores above 0"), (1.0, "nothing left to learn"), (0.5, "score alike")])
def test_a_run_that_has_nothing_to_learn_is_refused_with_the_reason(
    value: float, words: str, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("studio.training.rollouts.Rollouts.sample", ended)
    with pytest.raises(TrainingError, match=words) as refused:
        run(train=make_rows(LENGTHS), method=METHOD, verification=verification(verifier=Fixed(value=value)), **SETTINGS)
    assert refused.value.where == "data.verifier"


def ended(self: Any, prompts: list[list[int]], *_: Any, **__: Any) -> list[Answer]:
    return [Answer([5, 6], "x" * (1 + number % 5), True, 3, end=2) for number in range(len(prompts))]


def test_answers_that_do_not_end_score_nothing_and_are_named(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    cut = [Answer([5, 6], "x", False, 2)]
    monkeypatch.setattr("studio.training.rollouts.Rollouts.sample", lambda self, prompts, *_, **__: cut * len(prompts))
    with pytest.raises(TrainingError, match="ends within 12 tokens") as refused:
        run(train=make_rows(LENGTHS), method=METHOD, verification=verification(verifier=Fixed(value=1.0)), **SETTINGS)
    assert refused.value.where == "training.method.max_new_tokens"


def test_the_model_samples_by_itself_and_a_run_repeats_its_answers(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("studio.models.generation.stop_ids", lambda *_: tuple(range(2, 500, 10)))
    rows = make_rows(LENGTHS)
    settings = {**SETTINGS, "train": rows, "held_out": rows, "eval_every": 2, "epochs": 3, "method": METHOD}
    _, one, _ = run("one", verification=verification(), **settings)
    _, other, _ = run("other", verification=verification(), **settings)
    assert one.series("reward") == other.series("reward")
    assert one.series("eval_loss") == {step: 1 - value for step, value in one.series("eval_reward").items()}
    assert set(one.series("eval_control")) == {0, 2, 3}
    assert any("before training: mean reward" in str(event) for event in one.events if isinstance(event, Note))
    assert any("do not end" in str(event) for event in one.events if isinstance(event, Warning)) or one.series("cut")[1] < 0.2


def test_without_a_verifier_there_is_no_reward(run: Callable[..., Any]):
    with pytest.raises(TrainingError, match="verifier"):
        run(train=make_rows(LENGTHS), method=METHOD, **SETTINGS)


def test_the_verifier_is_part_of_what_a_run_is(run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from studio.core.errors import Stopped

    monkeypatch.setattr("studio.models.generation.stop_ids", lambda *_: tuple(range(2, 500, 10)))
    settings = {**SETTINGS, "train": make_rows(LENGTHS), "method": METHOD, "epochs": 6, "save_every": 2}
    with pytest.raises(Stopped):
        run("cut", Memory(stop_after=2), verification=verification(), **settings)
    with pytest.raises(TrainingError, match="other settings"):
        run("cut", verification=verification(verifier=Exact()), **settings)
