"""One training run in this process, by the studio or by TRL: CPU seconds, tokens and loss at the end of each step."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

from kit import testbed
from studio.models.settings import Dtype


class Clock:
    """Follows a run; also the studio's reporter."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.tokens: list[float] = []
        self.losses: list[float] = []

    def metrics(self, step: int, **values: float) -> None:
        """Note the end of a step; the studio's step 0, before training, is none."""
        if step and "loss" in values:
            self.seconds.append(time.process_time())
            self.tokens.append(values["tokens"])
            self.losses.append(values["loss"])

    def event(self, event: Any) -> None:
        """Nothing."""

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Nothing."""

    def should_stop(self) -> bool:
        """Never."""
        return False

    def result(self) -> dict[str, Any]:
        """Real tokens per CPU second over all steps but the first, the losses, and the peak memory of this process."""
        return {
            "tokens_per_cpu_second": (self.tokens[-1] - self.tokens[0]) / (self.seconds[-1] - self.seconds[0]),
            "losses": self.losses,
            "tokens": self.tokens[-1],
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def job(folder: Path, count: int, vocabulary: int, dtype: Dtype, micro: int | None, packing: bool | None) -> Any:
    """The run as the studio is given it; what is None, its planner decides."""
    from studio.training import optimizations
    from studio.training.fit import TrainingJob
    from studio.training.settings import ResolvedAdapter, ResolvedTraining, Training

    adapter, rows = ResolvedAdapter(rank=16, alpha=32), testbed.rows(count, vocabulary)
    training = Training(
        epochs=1,
        learning_rate=testbed.RATE,
        schedule="constant",
        warmup=0,
        batch_size=testbed.BATCH,
        micro_batch=micro,
        packing=packing,
        gradient_checkpointing=None if packing is None else False,
        optimizer="adamw",
        eval_every=1000,
        save_every=1000,
        keep="last",
        seed=testbed.SEED,
    )
    length = testbed.MAX_LENGTH
    if packing is None:
        training, dtype, length = _planned(folder, training, adapter, rows)
    else:
        decided = {"threads": training.threads or 1, "recompute_every": 1, **dict.fromkeys(optimizations.NAMES, True)}
        training = ResolvedTraining(**{**training.model_dump(), **decided})
    return TrainingJob(
        adapter=adapter,
        training=training,
        device="cpu",
        dtype=dtype,
        quantized=False,
        train=rows,
        held_out=None,
        max_length=length,
        checkpoints=folder / "checkpoints",
        adapter_out=folder / "adapter",
    )


def _planned(folder: Path, training: Any, adapter: Any, rows: Any) -> tuple[Any, Dtype, int]:
    from studio import planner
    from studio.hardware import machine
    from studio.models import finding
    from studio.runs.run_history import measured_runs
    from studio.spec import RunSpec

    model = testbed.write_model(folder / "model")
    spec = RunSpec(name="bench", model={"name": str(model)}, data={"train": "x.jsonl"}, adapter=adapter, training=training)
    plan = planner.resolve(spec, machine.probe(), finding.find(spec.model), planner.rows(rows, None), measured_runs(folder))
    return plan.spec.training, plan.spec.model.dtype, plan.spec.data.max_length


def studio_run(
    folder: Path, count: int, vocabulary: int, dtype: Dtype = "fp32", micro: int | None = None, packing: bool | None = None
) -> dict[str, Any]:
    """One run of the studio; without micro and packing as its planner decides."""
    from studio.models import libraries
    from studio.training.fit import fit

    libraries.import_heavy()
    asked = job(folder, count, vocabulary, dtype, micro, packing)
    clock = Clock()
    fit(*testbed.base(vocabulary, asked.dtype), asked, clock)
    decided = asked.training.model_dump(include={"micro_batch", "packing", "gradient_checkpointing", "threads"})
    return {**clock.result(), "settings": {"dtype": asked.dtype, **decided}}


def trl_run(
    folder: Path,
    count: int,
    vocabulary: int,
    dtype: str = "fp32",
    micro: int = 8,
    packing: bool = False,
    defaults: bool = False,
) -> dict[str, Any]:
    """One run of TRL's SFTTrainer: its own collator, packing, attention, loss head and loop.

    defaults: as it trains when nothing is set: batch of 8, gradient checkpointing, bf16 autocast over fp32 weights.
    """
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from studio.training import adapters
    from studio.training.settings import ResolvedAdapter

    model, tokenizer = testbed.base(vocabulary, dtype)
    clock, counted = Clock(), []

    class Follow(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                clock.metrics(state.global_step, loss=logs["loss"], tokens=sum(counted))

    class Counting(SFTTrainer):
        def training_step(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            counted.append(int((inputs["input_ids"] != 0).sum()))
            return super().training_step(model, inputs, *more, **named)

    unlike_defaults: dict[str, Any] = {
        "bf16": dtype == "bf16",
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": 1 if packing else testbed.BATCH // micro,
        "activation_checkpointing": False,
        "packing": packing,
    }
    data = [{"input_ids": ids, "labels": labels} for ids, labels in testbed.in_order(count, vocabulary)]
    trainer = Counting(
        model=adapters.attach(model, ResolvedAdapter(rank=16, alpha=32), testbed.SEED),
        args=SFTConfig(
            output_dir=str(folder),
            use_cpu=True,
            num_train_epochs=1,
            learning_rate=testbed.RATE,
            lr_scheduler_type="constant",
            max_length=testbed.MAX_LENGTH,
            train_sampling_strategy="sequential",
            logging_steps=1,
            save_strategy="no",
            disable_tqdm=True,
            report_to="none",
            **({} if defaults else unlike_defaults),
        ),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
        callbacks=[Follow()],
    )
    trainer.train()
    args = trainer.args
    return {
        **clock.result(),
        "settings": {
            "batch": args.per_device_train_batch_size,
            "bf16": args.bf16,
            "gradient_checkpointing": bool(args.activation_checkpointing),
        },
    }
