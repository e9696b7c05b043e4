"""The loss curve is plain TRL's, whichever of the trainer's speed-ups are on: the same rows, order, weights and settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.kit import items, make_job, weights

pytestmark = pytest.mark.numeric

SETTINGS = {"batch_size": 16, "micro_batch": 4, "epochs": 4, "schedule": "constant", "warmup": 0.0, "held_out": None}
PLAIN = {"fused_adapters": False, "loss_on_labels_only": False, "varlen_attention": False}
PATHS: dict[str, dict[str, Any]] = {
    "all on": {},
    "adapters one by one": {"fused_adapters": False},
    "head over all tokens": {"loss_on_labels_only": False},
    "one mask for all rows": {"varlen_attention": False},
    "packed, all off": PLAIN,
    "packed, one row at once": {"micro_batch": 1},
    "unpacked": {"packing": False},
    "unpacked, all off": {"packing": False, **PLAIN},
    "checkpointing": {"gradient_checkpointing": True},
    "checkpointing, all off": {"gradient_checkpointing": True, **PLAIN},
}
PATHS_NF4 = {
    "all on": {},
    "checkpointing": {"gradient_checkpointing": True},
    "checkpointing, unpacked three times": {"gradient_checkpointing": True, "reuse_dequantized": False},
    "all off": PLAIN,
}


@pytest.fixture(scope="module")
def plain_trl(
    load: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[list[float], dict[str, Any]]]:
    """Losses and adapter weights of TRL's own trainer on a base held in some way; each way once."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer  # pyright: ignore[reportPrivateImportUsage]

    from studio.training import adapters

    @cache
    def train(quantization: str = "none", dtype: str = "fp32") -> tuple[list[float], dict[str, Any]]:
        folder = tmp_path_factory.mktemp("trl")
        job = make_job(folder, **SETTINGS)
        rows = [{"input_ids": ids.tolist(), "labels": np.where(mask, ids, -100).tolist()} for ids, mask in items(job.train)]  # pyright: ignore[reportArgumentType]
        model = adapters.attach(load(quantization=quantization, dtype=dtype), job.adapter, job.training.seed)
        fresh = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(folder),
                use_cpu=True,
                bf16=dtype == "bf16",
                per_device_train_batch_size=4,
                gradient_accumulation_steps=4,
                max_steps=4,
                learning_rate=5e-3,
                lr_scheduler_type="constant",
                activation_checkpointing=False,
                logging_steps=1,
                save_strategy="no",
                disable_tqdm=True,
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        for name, p in model.named_parameters():
            if p.requires_grad:
                p.data = fresh[name]  # on a 4-bit base TRL rounds adapters to bf16; ours stay in 32 bit
        trainer.train()
        state = {
            name.replace(".default.weight", ".weight"): p.detach() for name, p in model.named_parameters() if p.requires_grad
        }
        return [line["loss"] for line in trainer.state.log_history if "loss" in line], state

    return train


@pytest.mark.parametrize("path", list(PATHS))
def test_the_loss_curve_is_trls_to_a_thousandth_on_every_path(
    path: str, run: Callable[..., Any], plain_trl: Callable[..., Any]
):
    wanted, state = plain_trl()
    _, told, job = run(**{**SETTINGS, **PATHS[path]})
    assert list(told.series("loss").values()) == pytest.approx(wanted, rel=1e-3)
    for name, values in weights(job.adapter_out).items():
        assert abs(state[name] - values).max() < 2e-3


@pytest.mark.parametrize("path", list(PATHS_NF4))
def test_the_loss_curve_on_a_4_bit_base_is_trls_to_a_thousandth(
    path: str, run: Callable[..., Any], load: Callable[..., Any], plain_trl: Callable[..., Any]
):
    wanted, _ = plain_trl("nf4")
    _, told, _ = run(base=load(quantization="nf4"), quantized=True, **{**SETTINGS, **PATHS_NF4[path]})
    assert list(told.series("loss").values()) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("changes", [{}, PLAIN, {"gradient_checkpointing": True}])
def test_the_loss_curve_in_16_bit_is_trls_to_two_hundredths(
    changes: dict[str, Any], run: Callable[..., Any], load: Callable[..., Any], plain_trl: Callable[..., Any]
):
    wanted, _ = plain_trl("none", "bf16")
    _, told, _ = run(base=load(dtype="bf16"), dtype="bf16", **{**SETTINGS, **changes})
    assert list(told.series("loss").values()) == pytest.approx(wanted, rel=2e-2)


def test_each_path_is_the_one_asked_for(load: Callable[..., Any], tmp_path: Path):
    from studio.training import choosing
    from studio.training.loss_model import LossModel

    paths = {}
    for name, changes in PATHS.items():
        loss_model = LossModel(load(), make_job(tmp_path, **{**SETTINGS, **changes}), pad=0)
        assert choosing.choose(loss_model) == []
        paths[name] = (
            loss_model.path.attention,
            loss_model.path.trained_only,
            loss_model.path.packed,
            len(loss_model.fusion.gated),
        )
        loss_model.release()
    assert paths["all on"] == ("studio_rows", True, True, 2)
    assert paths["adapters one by one"] == ("studio_rows", True, True, 0)
    assert paths["head over all tokens"] == ("studio_rows", False, True, 2)
    assert paths["one mask for all rows"] == ("sdpa", True, True, 2)
    assert paths["unpacked, all off"] == ("sdpa", False, False, 0)
