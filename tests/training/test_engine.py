"""Answers by another engine: handed the adapter as it stands, weighed by how far its probabilities are off, never trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from studio.core.errors import ExportError, HardwareError, StudioError, TrainingError
from studio.export.toolchains.vllm import engine as vllm
from studio.models.generation import generate, stop_ids
from studio.training import adapters
from studio.training.loss_model import LossModel
from studio.training.rollouts import Rollouts
from tests.training.kit import Memory, make_job, make_rows
from tests.training.test_grpo import LENGTHS, LONGEST, SETTINGS, verification

pytestmark = pytest.mark.numeric
METHOD = {"kind": "grpo", "group": 4, "max_new_tokens": LONGEST, "engine": "vllm", "beta": 0.1}
"""With a beta, groups whose answers all score alike are computed, too."""


class SameModel:
    """An engine that answers with the model in training itself, through the adapter's folder; off: added to its log p."""

    def __init__(self, root: Path, base: Any, tokenizer: Any, off: float = 0.0) -> None:
        self.root, self.base, self.tokenizer, self.off, self.seen = root, base, tokenizer, off, list[Path]()
        self.seeds: list[int] = []
        root.mkdir(exist_ok=True)

    def new_folder(self) -> Path:
        folder = self.root / f"adapter-{len(self.seen)}"
        folder.mkdir()
        self.seen.append(folder)
        return folder

    def sample(
        self, prompts: Sequence[Sequence[int]], ends: Sequence[int], longest: int, temperature: float, seeds: Sequence[int]
    ) -> list[tuple[list[int], list[float]]]:
        import torch
        from peft import PeftModel

        model = PeftModel.from_pretrained(self.base, str(self.seen[-1])).eval()
        assert tuple(ends) == stop_ids(self.tokenizer, model)
        assert len(seeds) == len(prompts)
        self.seeds += seeds
        found = []
        answers = generate(model, prompts, self.tokenizer, longest, 64, temperature, seed=seeds[0])
        for at, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            ids = [*answer.ids[: 3 + at % 5], ends[0]]  # ended, whatever a model of random weights would have written
            with torch.no_grad():
                logps = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
            found.append((ids, [logps[place, token].item() + self.off for place, token in enumerate(ids)]))
        model.unload()
        return found


@pytest.fixture
def rollouts(load: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> Callable[..., Rollouts]:
    import torch

    def make(off: float = 0.0) -> Rollouts:
        engine = SameModel(tmp_path, load(), tokenizer, off)
        job = make_job(tmp_path, train=make_rows(LENGTHS), method=METHOD, verification=verification(), **SETTINGS)
        loss_model = LossModel(load(), replace(job, engine=engine), 0)
        for weights in loss_model.model.parameters():
            if weights.requires_grad:
                weights.data.normal_(0, 0.05, generator=torch.Generator().manual_seed(1))
        return Rollouts(loss_model, tokenizer)

    return make


def test_the_engine_answers_with_the_adapter_as_it_is_in_each_step(rollouts: Callable[..., Rollouts]):
    made = rollouts()
    engine: Any = made.job.engine
    first: Any = made.step(1, range(4)).tokens
    with_own = adapters.parts(made.loss_model.model)[0]
    for weights in made.loss_model.model.parameters():
        weights.data *= 2 if weights.requires_grad else 1
    made.step(2, range(4))
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in engine.seen)
    for name, values in with_own.items():
        assert np.array_equal(before[name], values.numpy())
        assert np.array_equal(after[name], 2 * values.numpy())
    assert len(set(engine.seeds)) == len(engine.seeds) == 2 * 4 * 4, "no two answers draw the same numbers"
    assert [len(part) for part in first.sampler_losses] == [int(mask.sum()) for _, mask in first.sequences]


def test_an_engine_with_the_same_probabilities_changes_no_loss(rollouts: Callable[..., Rollouts]):
    import torch

    made = rollouts()
    made.check_base(memory := Memory())
    assert any("vLLM writes the answers" in str(event) for event in memory.events)
    data = made.step(1, range(4))
    micro = data.batch.micro_batches[0]
    scored = made.loss_model.score(data.tokens, micro)
    scored = replace(scored, advantages=torch.linspace(0.5, 1.5, len(scored.counts)))
    weighed, figures = made.method.loss(scored, data.batch.totals)
    alone, _ = made.method.loss(replace(scored, sampler_losses=None), data.batch.totals)
    assert weighed.item() == pytest.approx(alone.item(), rel=1e-4)
    assert figures["sampler_gap"].item() < 1e-4


def test_an_engine_that_answers_from_another_model_is_refused(rollouts: Callable[..., Rollouts]):
    with pytest.raises(TrainingError, match=r"vLLM's log p of the answers it wrote is 1\.00 a token away") as refused:
        rollouts(off=1.0).check_base(Memory())
    assert refused.value.where == "training.method.engine"


def test_an_engine_that_leaves_the_model_in_a_later_step_ends_the_run_with_the_step(
    run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path
):
    """A fresh adapter changes nothing: whether the engine applies it can only be seen once it has learned."""
    engine: Any = SameModel(tmp_path / "engine", load(), tokenizer)
    original = engine.sample

    def without_it(*asked: Any) -> list[tuple[list[int], list[float]]]:
        engine.off = 1.0 if len(engine.seen) > 2 else 0.0
        return original(*asked)

    engine.sample = without_it
    with pytest.raises(TrainingError, match=r"in step \d: vLLM's log p of the answers"):
        run(train=make_rows(LENGTHS), method=METHOD, verification=verification(), engine=engine, **SETTINGS)


@pytest.mark.parametrize("error", [ExportError, HardwareError])
def test_a_failure_of_vllm_is_one_of_the_training_and_says_what_to_do(error: type[StudioError]):
    class Broken:
        folder = Path("/nowhere")

        def ask(self, *_: Any) -> Any:
            raise error("the exporter vllm was killed", hint="The machine may be out of memory.")

    with pytest.raises(TrainingError, match="vLLM failed: the exporter vllm was killed") as failed:
        vllm.VllmEngine(Broken()).sample([[1]], [2], 8, 1.0, [0])  # pyright: ignore[reportArgumentType]
    assert failed.value.hint == "The machine may be out of memory. Or set training.method.engine to transformers."
