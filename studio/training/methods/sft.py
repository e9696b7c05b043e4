"""Supervised fine-tuning by TRL. This module subclasses TRL's trainer: import it late.

TRL and transformers keep the loop, the optimizer's and scaler's bookkeeping and the model's preparation. What is ours
are the seams they offer: the batches (pre-tokenised, one per optimizer step, cut into micro-batches inside), the loss
(trained positions only), the state that is saved, and no output of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, ProgressCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from studio.training import adapters, checkpoints, guards
from studio.training.batches import Batch, Order, batch
from studio.training.job import Job
from studio.training.model import Scorer
from studio.training.schedule import rate_factor


class StepTrainer(SFTTrainer):
    """TRL's trainer with one batch per optimizer step and the loss of `Scorer`."""

    def __init__(self, scorer: Scorer, tokenizer: Any, job: Job, steps: int, optimizer: str) -> None:
        self.scorer, self.job, self.steps, self.optimizer_name = scorer, job, steps, optimizer
        numbers: Any = Dataset.from_dict({"row": range(len(job.train))})
        self.numbers = numbers
        self.loss: Any = 0.0
        self.grad_norm: Any = 0.0
        self.batch = Batch((), 0, 0, 0)
        self.rate = 0.0
        self.skipped = 0
        kept = {name: weights.data for name, weights in scorer.model.named_parameters() if weights.requires_grad}
        super().__init__(
            model=scorer.model,
            args=_arguments(job, steps),
            train_dataset=numbers,
            data_collator=_as_they_are,
            processing_class=tokenizer,
        )
        for name, weights in scorer.model.named_parameters():
            if name in kept:
                weights.data = kept[name]  # TRL rounds the adapter of a quantised base to bf16
        self.processing_class = None  # or transformers would rewrite the model's special tokens
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)

    @property
    def step(self) -> int:
        """The optimizer step being computed, from 1."""
        return self.state.global_step + 1

    def get_train_dataloader(self) -> Any:
        """All batches of the run, one per optimizer step, as one epoch: any step can be resumed at."""
        job, training = self.job, self.job.training
        order = Order(len(job.train), training.batch_size or 1, self.steps, training.seed)
        pad, packed = self.scorer.pad, self.scorer.packed

        def collate(items: list[dict[str, int]]) -> Batch:
            rows = [item["row"] for item in items]
            return batch(job.train, rows, training.micro_batch or 1, job.max_length, packed, pad)

        generator = torch.Generator().manual_seed(training.seed)
        return torch.utils.data.DataLoader(self.numbers, batch_sampler=order, collate_fn=collate, generator=generator)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of a whole batch, micro-batch by micro-batch; every loss is over all its trained tokens.

        Loss and gradient norm stay on the device: `Watch` reads those of many steps at once, and checks them.
        """
        model.train()
        self.batch = inputs
        total = torch.zeros((), device=self.args.device)
        self.scorer.now.step = self.step
        for micro in inputs.micros:
            loss = self.scorer.loss(micro) / max(1, inputs.trained)
            self.accelerator.backward(loss)
            total += loss.detach()
        self.scorer.now.rows = 0
        self.loss = total
        return total

    def _clip_grad_norm(self, model: Any) -> Any:
        norm: Any = super()._clip_grad_norm(model)
        self.grad_norm = norm
        self.rate = self.optimizer.param_groups[0]["lr"]
        if self.job.dtype == "fp16":  # the scaler looks at every step's gradient, too
            self.skipped = 0 if math.isfinite(float(norm)) else self.skipped + 1
            guards.check_skipped(self.skipped, self.step)
        return norm

    def create_optimizer(self, model: Any = None) -> Any:
        """AdamW over the adapter (Loshchilov & Hutter 2019), its states in 32 or 8 bit (Dettmers et al. 2022)."""
        if self.optimizer is not None:
            return self.optimizer
        weights = [p for p in self.scorer.model.parameters() if p.requires_grad]
        training = self.job.training
        groups = [
            {"params": [p for p in weights if p.ndim > 1], "weight_decay": training.weight_decay},
            {"params": [p for p in weights if p.ndim == 1], "weight_decay": 0.0},
        ]
        self.optimizer = _optimizer(self.optimizer_name, [group for group in groups if group["params"]], training.learning_rate)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The learning rate of `rate_factor`."""
        if self.lr_scheduler is None:
            factor: Callable[[int], float] = lambda step: rate_factor(step, self.steps, self.job.training)  # noqa: E731
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def state_to_keep(self) -> dict[str, Any]:
        """What `_load_optimizer_and_scheduler` and `_load_rng_state` put back: tensors and plain values."""
        scaler = self.accelerator.scaler
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.lr_scheduler.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else {},
            "generators": checkpoints.generators(),
        }

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        adapters.read(self.scorer.model, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            state = checkpoints.load_state(Path(checkpoint))
            self.optimizer.load_state_dict(state["optimizer"])
            self.lr_scheduler.load_state_dict(state["scheduler"])
            if self.accelerator.scaler is not None:
                self.accelerator.scaler.load_state_dict(state["scaler"])
            checkpoints.restore_generators(state["generators"])

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Done above."""

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.restore_generators(checkpoints.load_state(Path(checkpoint))["generators"])

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> None:
        """A batch counts its own trained tokens."""

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: batches are not transformers' dictionaries."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Silent: the reporter is told by `fit`."""

    def _send_telemetry(self) -> None:
        """Never: TRL would tell the hub about the run."""


def _as_they_are(items: Any) -> Any:
    """TRL asks for a collator; the batches are made by `get_train_dataloader`."""
    return items


def _arguments(job: Job, steps: int) -> SFTConfig:
    arguments = SFTConfig(
        output_dir=str(job.checkpoints),
        use_cpu=job.device == "cpu",
        bf16=False,  # the loss brings its own autocast; fp16 needs accelerate's gradient scaler
        fp16=job.dtype == "fp16",
        per_device_train_batch_size=job.training.batch_size or 1,
        gradient_accumulation_steps=1,
        max_steps=steps,
        learning_rate=job.training.learning_rate or 1e-4,
        max_grad_norm=job.training.max_grad_norm,
        seed=job.training.seed,
        max_length=None,
        activation_checkpointing=False,  # put on the base by `Scorer`, with `use_reentrant` off
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        router_aux_loss_coef=0.0,
        logging_strategy="no",
        save_strategy="no",
        eval_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    arguments._n_gpu = 1  # the base is on one; with more in the machine transformers would copy it to all
    return arguments


def _optimizer(name: str, groups: list[dict[str, Any]], rate: float | None) -> Any:
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=rate or 1e-4, fused=True)
    from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit

    kind = PagedAdamW8bit if name == "paged_adamw_8bit" else AdamW8bit
    return kind(groups, lr=rate or 1e-4)
