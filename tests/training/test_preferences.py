"""Preference methods: losses, gradients and figures are those of TRL's own trainers, on packed rows, on every kind of base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.data.encode import Tokens
from studio.training import adapters
from studio.training.reference import Mismatched
from tests.training.kit import PAIR_LENGTHS, Memory, labelled, make_job, make_pairs, weights

pytestmark = pytest.mark.numeric

STEPS = 4
SETTINGS: dict[str, Any] = {
    "batch_size": len(PAIR_LENGTHS), "micro_batch": 4, "epochs": STEPS, "schedule": "constant", "warmup": 0.0, "held_out": None,
    "learning_rate": 5e-3,
}  # fmt: skip
FIGURES = {
    "reward_chosen": "rewards/chosen",
    "reward_rejected": "rewards/rejected",
    "margin": "rewards/margins",
    "accuracy": "rewards/accuracies",
    "logp_chosen": "logps/chosen",
    "logp_rejected": "logps/rejected",
}
"""Our figures and what TRL calls them."""


def _parts(pairs: Tokens, row: int) -> tuple[list[int], list[int]]:
    ids, mask = pairs[row]
    begin = int(np.argmax(mask))
    return ids[:begin].tolist(), ids[begin:].tolist()


def _pair_rows(pairs: Tokens) -> list[dict[str, Any]]:
    rows = []
    for row in range(0, len(pairs), 2):
        prompt, chosen = _parts(pairs, row)
        rows.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": _parts(pairs, row + 1)[1]})
    return rows


def _common(folder: Path, batch: int) -> dict[str, Any]:
    return {
        "output_dir": str(folder), "use_cpu": True, "bf16": False, "per_device_train_batch_size": batch, "max_steps": STEPS,
        "learning_rate": 5e-3, "lr_scheduler_type": "constant", "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True,
        "remove_unused_columns": False,
    }  # fmt: skip


def _train(trainer: Any, fresh: dict[str, Any]) -> list[dict[str, float]]:
    for name, p in trainer.model.named_parameters():
        if p.requires_grad:
            p.data = fresh[name]  # on a 4-bit base TRL rounds adapters to bf16; ours stay in 32 bit
    trainer.train()
    return [{key: float(value) for key, value in line.items()} for line in trainer.state.log_history if "loss" in line]


def _model(base: Any, job: Any) -> tuple[Any, dict[str, Any]]:
    model = adapters.attach(base, job.adapter, job.training.seed)
    return model, {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def _as_they_are(self: Any, dataset: Any, *more: Any) -> Any:
    """The rows are tokens already."""
    return dataset


def _dpo(base: Any, tokenizer: Any, folder: Path, pairs: Tokens, **options: Any) -> tuple[list[dict[str, float]], Any]:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer  # pyright: ignore[reportPrivateImportUsage]

    model, fresh = _model(base, make_job(folder, **SETTINGS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DPOTrainer, "_prepare_dataset", _as_they_are)
        trainer = DPOTrainer(
            model=model,
            args=DPOConfig(activation_checkpointing=False, **_common(folder, len(pairs) // 2), **options),
            train_dataset=Dataset.from_list(_pair_rows(pairs)),
            processing_class=tokenizer,
        )
    for name, p in model.named_parameters():
        if ".ref." in name:
            p.data = fresh[name.replace(".ref.", ".default.")].clone()
    return _train(trainer, fresh), trainer.model


DPO = {
    "plain": ({"kind": "dpo", "sft": 0}, {}),
    "with the SFT term": (
        {"kind": "dpo", "beta": 0.3},
        {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 1.0], "beta": 0.3},
    ),
    "ipo": ({"kind": "dpo", "sft": 0, "loss_type": "ipo"}, {"loss_type": ["ipo"]}),
    "robust": (
        {"kind": "dpo", "sft": 0, "loss_type": "robust", "label_noise": 0.2},
        {"loss_type": ["robust"], "label_smoothing": 0.2},
    ),
}  # fmt: skip


def _same(told: Memory, wanted: list[dict[str, float]], names: dict[str, str]) -> None:
    assert list(told.series("loss").values()) == pytest.approx([line["loss"] for line in wanted], rel=1e-4)
    assert list(told.series("grad_norm").values()) == pytest.approx([line["grad_norm"] for line in wanted], rel=1e-3)
    for ours, theirs in names.items():
        found = list(told.series(ours).values())
        assert found == pytest.approx([line[theirs] for line in wanted], rel=1e-3, abs=1e-4), ours


@pytest.mark.parametrize("variant", list(DPO))
def test_dpo_is_trls(variant: str, run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path):
    ours, theirs = DPO[variant]
    pairs = make_pairs(PAIR_LENGTHS)
    wanted, model = _dpo(load(), tokenizer, tmp_path / "trl", pairs, **theirs)
    _, told, job = run(train=pairs, method=ours, **SETTINGS)
    _same(told, wanted, FIGURES)
    state = {
        name.replace(".default.weight", ".weight"): p.detach() for name, p in model.named_parameters() if ".ref." not in name
    }
    for name, values in weights(job.adapter_out).items():
        assert abs(state[name] - values).max() < 2e-3


def test_dpo_on_a_4_bit_base_is_trls(run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path):
    pairs = make_pairs(PAIR_LENGTHS)
    wanted, _ = _dpo(load(quantization="nf4"), tokenizer, tmp_path / "trl", pairs)
    _, told, _ = run(train=pairs, base=load(quantization="nf4"), quantized=True, method={"kind": "dpo", "sft": 0}, **SETTINGS)
    _same(told, wanted, FIGURES)


def _odds_or_margin(
    kind: str, base: Any, tokenizer: Any, folder: Path, pairs: Tokens, **options: Any
) -> list[dict[str, float]]:
    """TRL's ORPO or CPO trainer on the same tokens."""
    from datasets import Dataset
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    config, trainer_class = {"orpo": (ORPOConfig, ORPOTrainer), "simpo": (CPOConfig, CPOTrainer)}[kind]
    rows = []
    for row in _pair_rows(pairs):
        values: dict[str, Any] = {"prompt": "", "chosen": "", "rejected": ""}
        values |= {"prompt_input_ids": row["prompt_ids"], "prompt_attention_mask": [1] * len(row["prompt_ids"])}
        for side in ("chosen", "rejected"):
            ids = row["prompt_ids"] + row[f"{side}_ids"]
            labels = [-100] * len(row["prompt_ids"]) + row[f"{side}_ids"]
            values |= {f"{side}_input_ids": ids, f"{side}_attention_mask": [1] * len(ids), f"{side}_labels": labels}
        rows.append(values)
    model, fresh = _model(base, make_job(folder, **SETTINGS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_class, "tokenize_row", lambda self, feature, model=None: feature)
        trainer = trainer_class(
            model=model,
            args=config(activation_checkpointing=False, max_length=128, **_common(folder, len(pairs) // 2), **options),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
    return _train(trainer, fresh)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_orpo_is_trls(quantization: str, run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path):
    pairs = make_pairs([(1, chosen, rejected) for _, chosen, rejected in PAIR_LENGTHS])  # TRL learns the prompt, too
    wanted = _odds_or_margin("orpo", load(quantization=quantization), tokenizer, tmp_path / "trl", pairs, beta=0.1)
    base = load(quantization=quantization)
    _, told, _ = run(train=pairs, base=base, quantized=quantization == "nf4", method="orpo", **SETTINGS)
    means = {name: theirs for name, theirs in FIGURES.items() if not name.startswith("logp")}  # ours are sums
    _same(told, wanted, means)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_simpo_is_trls(quantization: str, run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path):
    pairs = make_pairs(PAIR_LENGTHS)
    options: dict[str, Any] = {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 0.5}
    wanted = _odds_or_margin("simpo", load(quantization=quantization), tokenizer, tmp_path / "trl", pairs, **options)
    base = load(quantization=quantization)
    _, told, _ = run(train=pairs, base=base, quantized=quantization == "nf4", method="simpo", **SETTINGS)
    _same(told, wanted, {name: theirs for name, theirs in FIGURES.items() if not name.startswith("logp")})


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_kto_is_trls(quantization: str, run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any, tmp_path: Path):
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer  # pyright: ignore[reportPrivateImportUsage]

    rows = labelled(make_pairs(PAIR_LENGTHS))
    other = Mismatched(rows)
    values = []
    for row in range(len(rows)):
        prompt, answer = _parts(rows, row)
        values.append(
            {
                "prompt_ids": prompt,
                "completion_ids": answer,
                "KL_completion_ids": other[row][0][len(prompt) :].tolist(),
                "label": row % 2 == 0,
            }
        )
    folder = tmp_path / "trl"
    model, fresh = _model(load(quantization=quantization), make_job(folder, **SETTINGS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KTOTrainer, "_prepare_dataset", _as_they_are)
        trainer = KTOTrainer(
            model=model,
            args=KTOConfig(
                activation_checkpointing=False,
                desirable_weight=1.2,
                train_sampling_strategy="sequential",
                **_common(folder, len(rows)),
            ),
            train_dataset=Dataset.from_list(values),
            processing_class=tokenizer,
        )
    for name, p in model.named_parameters():
        if ".ref." in name:
            p.data = fresh[name.replace(".ref.", ".default.")].clone()
    wanted = _train(trainer, fresh)
    method = {"kind": "kto", "good_weight": 1.2}
    base, nf4 = load(quantization=quantization), quantization == "nf4"
    _, told, _ = run(train=rows, base=base, quantized=nf4, method=method, **{**SETTINGS, "batch_size": len(rows)})
    names = {name: theirs for name, theirs in FIGURES.items() if name != "accuracy"}
    _same(told, wanted, {**names, "drift": "kl"})
    assert nf4 or list(told.series("drift").values())[-1] > 0  # else the term was never seen: on the 4-bit base it stays 0


@pytest.mark.parametrize("method", ["dpo", "orpo", "simpo", "kto"])
@pytest.mark.parametrize(
    "layout",
    [{"shared_prompts": False, "micro_batch": 1}, {"packing": False}, {"packing": False, "loss_on_labels_only": False}],
)
def test_the_layout_of_a_batch_never_changes_a_preference_run(method: str, layout: dict[str, Any], run: Callable[..., Any]):
    pairs = make_pairs(PAIR_LENGTHS)
    rows = labelled(pairs) if method == "kto" else pairs
    settings = {**SETTINGS, "epochs": 1, "batch_size": 4, "held_out": rows, "eval_every": 1}
    _, one, _ = run("one", train=rows, method=method, **settings)
    _, other, _ = run("other", train=rows, method=method, **{**settings, **layout})
    for name in ("loss", "grad_norm", "margin", "eval_loss", "eval_margin"):
        assert list(other.series(name).values()) == pytest.approx(list(one.series(name).values()), rel=2e-4, abs=2e-5), name
