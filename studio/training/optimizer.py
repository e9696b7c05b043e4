"""The optimizer of a run and what it needs to be resumed: weights grouped for decay, learning rate, gradient scaling."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from studio.training import checkpoints, guards
from studio.training.schedule import rate_factor

if TYPE_CHECKING:
    import torch
    from torch import nn

    from studio.training.job import TrainingJob
    from studio.training.settings import ResolvedTraining


class OptimizerStep:
    """AdamW over the adapter with the learning rate of `rate_factor`, gradient clipping and, for fp16, loss scaling.

    AdamW: Loshchilov & Hutter 2019; its states in 8 bit: Dettmers et al. 2022; loss scaling: Micikevicius et al. 2018.
    """

    def __init__(self, model: nn.Module, job: TrainingJob, steps: int, name: str) -> None:
        import torch

        trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
        self.weights = list(trained.values())
        self.max_norm = job.training.max_grad_norm
        self.optimizer = _adamw(name, _groups(trained, job), job.training)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: rate_factor(step, steps, job.training))
        self.scaler = torch.amp.GradScaler(job.device) if job.dtype == "fp16" else None
        self.overflows = 0
        """fp16 steps in a row whose gradient overflowed and which changed nothing."""

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of `loss` to the adapter's."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def step(self, number: int) -> Any:
        """Clip the gradient, change the weights, advance the learning rate, and forget the gradient.

        Returns the norm of the unclipped gradient, a scalar left on the device. Raises TrainingError if fp16 overflows
        step after step.
        """
        import torch

        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.weights, self.max_norm)
        finite = True
        if self.scaler is None:
            self.optimizer.step()
        else:
            finite = math.isfinite(float(norm))  # the scaler looks at every step's gradient, too, and skips such a step
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.overflows = 0 if finite else self.overflows + 1
            guards.check_overflows(self.overflows, number)
        if finite:
            self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def skip(self) -> None:
        """A step that has nothing to learn from: the weights stay, the learning rate advances."""
        self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` puts back, the random generators included: tensors and plain values."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            "generators": checkpoints.generators(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on as the optimizer that gave `state` would."""
        self.optimizer.load_state_dict(state["optimizer"])
        if getattr(self.optimizer, "is_paged", False):
            _page_again(self.optimizer)
        self.scheduler.load_state_dict(state["scheduler"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        checkpoints.restore_generators(state["generators"])


def _groups(trained: dict[str, Any], job: TrainingJob) -> list[dict[str, Any]]:
    """Matrices, which decay, and vectors (norms, DoRA's magnitudes), which do not. With LoRA+ the B matrices are a group of
    their own, with a higher rate (Hayou et al. 2024)."""
    decay, rate, ratio = job.training.weight_decay, job.training.learning_rate, job.adapter.lora_plus
    faster = {name for name in trained if ratio != 1 and ".lora_B." in name}
    groups = [
        {"params": [each for name, each in trained.items() if each.ndim > 1 and name not in faster], "weight_decay": decay},
        {"params": [each for name, each in trained.items() if name in faster], "weight_decay": decay, "lr": ratio * rate},
        {"params": [each for each in trained.values() if each.ndim == 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _adamw(name: str, groups: list[dict[str, Any]], training: ResolvedTraining) -> Any:
    import torch

    rate = training.learning_rate
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    from bitsandbytes.optim.adamw import AdamW8bit, PagedAdamW8bit

    if name == "paged_adamw_8bit":
        return PagedAdamW8bit(groups, lr=rate)

    class WithoutWaiting(AdamW8bit):
        """AdamW8bit whose step leaves its kernels to the device; bitsandbytes waits for each tensor, which only paged states
        need."""

        @torch.no_grad()
        def step(self, closure: object = None) -> None:
            if not self.initialized:
                self.check_overrides()
                self.to_gpu()
                self.initialized = True
            for number, group in enumerate(self.param_groups):
                for index, weights in enumerate(group["params"]):
                    if weights.grad is not None:
                        if not self.state[weights]:
                            self.init_state(group, weights, number, index)
                        self.update_step(group, weights, number, index)

    return WithoutWaiting(groups, lr=rate)


def _page_again(optimizer: Any) -> None:
    """Put the states that were read from a checkpoint into paged memory, where bitsandbytes had them."""
    for weights, state in optimizer.state.items():
        for name in ("state1", "state2"):
            if name in state and not getattr(state[name], "is_paged", False):
                buffer = optimizer.get_state_buffer(weights, dtype=state[name].dtype)
                buffer.copy_(state[name])
                state[name] = buffer
