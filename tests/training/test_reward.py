"""A reward model: losses, gradients and figures are TRL's; its adapter folder is what transformers loads, score for score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.training import adapters, score_head
from tests.training.kit import PAIR_LENGTHS, make_job, make_pairs, weights
from tests.training.test_preferences import SETTINGS, _as_they_are, _common, _train
from tests.training.test_resume import killed, progress_of, same

pytestmark = pytest.mark.numeric


def _trl(
    tiny: Path, quantization: str, job: Any, load: Any, tokenizer: Any, folder: Path, pairs: Any
) -> list[dict[str, float]]:
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForSequenceClassification, BitsAndBytesConfig
    from trl import RewardConfig, RewardTrainer  # pyright: ignore[reportPrivateImportUsage]

    base = load(quantization=quantization)
    ours = adapters.attach(base, job.adapter, job.training.seed)
    score_head.add(base, job.training.seed)
    start = {name: p.detach().clone() for name, p in ours.named_parameters() if p.requires_grad}
    more = (
        {
            "quantization_config": BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
            )
        }
        if quantization == "nf4"
        else {}
    )
    model = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1, dtype="float32", **more)
    targets = sorted({name.rpartition(".")[2] for name in adapters.linear_layers(load())})
    config = LoraConfig(
        r=job.adapter.rank, lora_alpha=job.adapter.alpha, target_modules=targets, modules_to_save=["score"], task_type="SEQ_CLS"
    )
    model = get_peft_model(model, config)
    fresh = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            fresh[name] = start[name.replace("score.modules_to_save.default.", "score.")].clone()
    rows = [
        {"chosen_ids": pairs[row][0].tolist(), "rejected_ids": pairs[row + 1][0].tolist()} for row in range(0, len(pairs), 2)
    ]
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RewardTrainer, "_prepare_dataset", _as_they_are)
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(
                activation_checkpointing=False, center_rewards_coefficient=0.01, **_common(folder, len(pairs) // 2)
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
    return _train(trainer, fresh)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_losses_gradients_and_figures_are_trls(
    quantization: str, tiny_model: Path, run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path
):
    pairs = make_pairs(PAIR_LENGTHS)
    job = make_job(tmp_path / "trl", **SETTINGS)
    wanted = _trl(tiny_model, quantization, job, load, tokenizer, tmp_path / "trl", pairs)
    nf4 = quantization == "nf4"
    _, told, _ = run(train=pairs, base=load(quantization=quantization), quantized=nf4, method="reward", **SETTINGS)
    assert list(told.series("loss").values()) == pytest.approx([line["loss"] for line in wanted], rel=1e-4)
    assert list(told.series("grad_norm").values()) == pytest.approx([line["grad_norm"] for line in wanted], rel=1e-3)
    for name in ("accuracy", "margin"):
        assert list(told.series(name).values()) == pytest.approx([line[name] for line in wanted], rel=1e-3, abs=1e-5), name


def test_the_adapter_folder_scores_in_transformers_as_it_was_trained(
    tiny_model: Path, run: Callable[..., Any], load: Callable[..., Any], tmp_path: Path
):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    pairs = make_pairs(PAIR_LENGTHS)
    base = load()
    result, told, job = run(train=pairs, base=base, method="reward", **{**SETTINGS, "held_out": pairs, "eval_every": 1})
    assert score_head.of(base) is None, "the base is given back as it came"
    assert result.last_loss < result.base_loss
    assert "base_model.model.score.weight" in weights(job.adapter_out)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1, dtype="float32")
    model.config.pad_token_id = 0
    model = PeftModel.from_pretrained(model, job.adapter_out).eval()
    with torch.no_grad():
        scores = [model(input_ids=torch.as_tensor(pairs[row][0])[None].long()).logits.item() for row in range(len(pairs))]
    accuracy = sum(a > b for a, b in zip(scores[::2], scores[1::2], strict=True)) / (len(pairs) // 2)
    assert list(told.series("eval_accuracy").values())[-1] == pytest.approx(accuracy)
    assert list(told.series("eval_reward_chosen").values())[-1] == pytest.approx(sum(scores[::2]) / len(scores[::2]), abs=1e-5)


def test_layout_never_changes_it_and_a_killed_run_ends_with_the_same_weights(run: Callable[..., Any], tmp_path: Path):
    pairs = make_pairs(PAIR_LENGTHS)
    settings: dict[str, Any] = {
        "train": pairs,
        "held_out": pairs,
        "method": "reward",
        "batch_size": 4,
        "epochs": 4,
        "save_every": 2,
    }
    _, one, _ = run("whole", **settings)
    _, other, _ = run("other", **{**settings, "packing": False, "micro_batch": 1})
    for name in ("loss", "grad_norm", "eval_loss"):
        assert list(other.series(name).values()) == pytest.approx(list(one.series(name).values()), rel=1e-3, abs=1e-5), name
    killed(run, 5, "cut", progress_of(tmp_path / "cut", 4), **settings)
    run("cut", **settings)
    assert same(tmp_path / "whole" / "adapter", tmp_path / "cut" / "adapter")
