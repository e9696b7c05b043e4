"""The input and the result of a training run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from studio.data import encode
from studio.data.expected import expected
from studio.data.settings import Data
from studio.data.verifiers import Message, Verifier
from studio.training.batches import Tokens
from studio.training.sampled import SamplingEngine
from studio.training.settings import ResolvedAdapter, ResolvedTraining, Training
from studio.training.teacher_logprobs import TeacherLogprobs


@dataclass(frozen=True)
class Verification:
    """How answers are scored: by the verifier, and by a control that is never rewarded; and what the rows expect."""

    verifier: Verifier
    control: Verifier
    train: Sequence[Message]
    """The own answer of each training row."""
    held_out: Sequence[Message] = ()

    @classmethod
    def of(cls, data: Data, training: Training, train: encode.Tokens, held_out: encode.Tokens | None) -> Verification | None:
        """The rules of a planned run, for a method that samples; else None."""
        if not training.method.generates or data.verifier is None or data.control is None:
            return None
        return cls(data.verifier, data.control, expected(train), expected(held_out) if held_out is not None else ())


@dataclass(frozen=True)
class TrainingJob:
    """All that `fit` needs, all decided: no None left in adapter and training but `max_steps`.

    checkpoints is the folder that a resumed run goes on from; adapter_out is the PEFT folder that `fit` makes.
    """

    adapter: ResolvedAdapter
    training: ResolvedTraining
    device: Literal["cpu", "cuda"]
    dtype: Literal["bf16", "fp16", "fp32"]
    quantized: bool
    train: Tokens
    held_out: Tokens | None
    max_length: int
    checkpoints: Path
    adapter_out: Path
    start: Path | None = None
    """The folder of the adapter that is trained further; None for a fresh one."""
    on_evaluation: Callable[[int, Any], None] | None = None
    """Called with the step and the model whenever the held-out loss was measured; leaves the model as it was."""
    teacher: TeacherLogprobs | None = None
    """For methods that distil: what the teacher says of the training rows."""
    teacher_held_out: TeacherLogprobs | None = None
    verification: Verification | None = None
    """For methods that generate."""
    engine: SamplingEngine | None = None
    """For methods that generate: what writes the answers; None for the trained model itself."""

    @property
    def rows(self) -> int:
        """Rows to train on: preference pairs count once."""
        return len(self.train) // self.train.per_row

    @property
    def offloads(self) -> bool:
        """Whether inputs of layers that are computed again wait in RAM: on a GPU only, for elsewhere they are there."""
        return self.device == "cuda" and self.training.gradient_checkpointing and self.training.activation_offloading


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training run. base_loss, best_loss and last_loss are held-out losses, None without held-out rows.

    best_step is the step whose adapter has the lowest held-out loss; kept_step the one that was kept. seconds and tokens
    count the whole run, also what was trained before a resume; tokens are without padding.
    """

    steps: int
    epochs: float
    best_step: int
    kept_step: int
    base_loss: float | None
    best_loss: float | None
    last_loss: float | None
    train_loss: float | None
    seconds: float
    tokens: int
    peak_memory_bytes: int
    stopped_early: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)
