"""What the parts share: checks as lines of JSON, random models made on the GPU, full-length rows, training steps."""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

GIB = 1 << 30
BIG = ("Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-3B-Instruct", "meta-llama/Llama-3.1-8B-Instruct")
TINY = {
    "model_type": "llama",
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "vocab_size": 512,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
"""What stands for every model where the GPU is pretended."""


class Bench:
    """One part as it goes: where its checks are written, a folder of its own, whether the GPU is pretended."""

    def __init__(self, part: str, lines: Path, folder: Path, pretend: bool) -> None:
        self.part, self.lines, self.folder, self.pretend = part, lines, folder, pretend
        self.began = time.monotonic()

    def note(self, check: str, passed: bool | None, reason: str = "", **values: Any) -> None:
        """A line of the report. passed: None where a figure is only recorded."""
        line = {"part": self.part, "check": check, "passed": passed, "reason": reason, "values": values}
        with self.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")

    @contextlib.contextmanager
    def check(self, name: str) -> Iterator[dict[str, Any]]:
        """Inside, `values` gathers figures, `assert` says what must hold; an error fails this check and not the next."""
        began, values = time.monotonic(), dict[str, Any]()
        try:
            yield values
        except Exception as error:  # whatever it is, the next check is made
            traceback.print_exc()
            said = str(error).strip().splitlines()
            self.note(name, False, f"{type(error).__name__}: {said[0][:300] if said else ''}", **values)
            return
        self.note(name, True, took_s=round(time.monotonic() - began, 2), **values)

    def sizes(self, real: Any, pretended: Any) -> Any:
        """The one or the other."""
        return pretended if self.pretend else real

    def config(self, name: str) -> dict[str, Any]:
        """The config of a model that the studio knows; a tiny one where the GPU is pretended."""
        from studio.models import presets

        return dict(TINY) if self.pretend else dict(presets.config(name) or {})


def synchronize() -> None:
    """Wait for the GPU."""
    import torch

    torch.cuda.synchronize()


def free() -> None:
    """Give back all memory that nothing refers to, and begin to count its peak anew."""
    import torch

    from studio.models.loading import free_memory

    free_memory()
    torch.cuda.reset_peak_memory_stats()


def milliseconds(work: Callable[[], Any], times: int = 5) -> float:
    """The median time of some work on the GPU, after one call that is not counted."""
    work()
    synchronize()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        synchronize()
        taken.append((time.perf_counter() - began) * 1000)
    return round(float(np.median(taken)), 3)


def build(config: dict[str, Any], quantization: str = "nf4", dtype: str = "bf16") -> Any:
    """A model of random weights on the GPU as `load_base` would hold it, made layer by layer: no file, no large copy."""
    import torch
    from bitsandbytes.nn.modules import Linear4bit, Params4bit
    from transformers import AutoConfig, AutoModelForCausalLM

    number = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[dtype]
    values = {key: value for key, value in config.items() if key not in ("architectures", "dtype")}
    with torch.device("meta"):
        settings = AutoConfig.for_model(**values).get_text_config()
        model: Any = AutoModelForCausalLM.from_config(settings, dtype=number, attn_implementation="sdpa")
    head = model.get_output_embeddings()
    for parent in list(model.modules()):
        for name, linear in list(parent.named_children()):
            if quantization == "nf4" and type(linear) is torch.nn.Linear and linear is not head:
                inputs, outputs = linear.in_features, linear.out_features
                made = Linear4bit(inputs, outputs, linear.bias is not None, number, True, "nf4", device="meta")
                weight = torch.randn(outputs, inputs, device="cuda", dtype=number) * inputs**-0.5
                kind: Any = Params4bit
                made.weight = kind(weight, requires_grad=False, compress_statistics=True, quant_type="nf4").to("cuda")
                if linear.bias is not None:
                    made.bias = torch.nn.Parameter(torch.zeros(outputs, device="cuda", dtype=number), requires_grad=False)
                setattr(parent, name, made)
    for module in model.modules():
        if not isinstance(module, Linear4bit):
            module.to_empty(device="cuda", recurse=False)
            model._init_weights(module)
    model.tie_weights()
    model.is_loaded_in_4bit = quantization == "nf4"
    model.requires_grad_(False)
    from studio.models.loading import without_packing

    return without_packing(model.eval())


def rows(lengths: Sequence[int], vocabulary: int, seed: int = 0) -> Any:
    """Random rows of these lengths; the last two thirds of each are trained."""
    from studio.data.encode import EMPTY

    random = np.random.default_rng(seed)
    ids = random.integers(4, vocabulary, sum(lengths)).astype(np.int32)
    mask = np.concatenate([(np.arange(length) >= length // 3).astype(np.uint8) for length in lengths])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return replace(EMPTY, ids=ids, mask=mask, offsets=offsets, meta={**EMPTY.meta, "trained": int(mask.sum())})


def job(folder: Path, train: Any, *, dtype: str = "bf16", quantized: bool = True, **settings: Any) -> Any:
    """A decided job over rows; settings of `training` by name."""
    from studio.training import optimizations
    from studio.training.job import TrainingJob
    from studio.training.settings import ResolvedAdapter, ResolvedTraining

    values: dict[str, Any] = {
        "learning_rate": 2e-4,
        "batch_size": 2,
        "micro_batch": 2,
        "packing": True,
        "gradient_checkpointing": True,
        "optimizer": "adamw",
        "eval_every": 1000,
        "save_every": 1000,
        "keep": "last",
        "threads": 1,
        **dict.fromkeys(optimizations.NAMES, True),
        "activation_offloading": False,
        **settings,
    }
    return TrainingJob(
        adapter=ResolvedAdapter(rank=16, alpha=32),
        training=ResolvedTraining(**values),
        device="cuda",
        dtype=dtype,  # type: ignore[arg-type]
        quantized=quantized,
        train=train,
        held_out=None,
        max_length=max(train.lengths),
        checkpoints=folder / "checkpoints",
        adapter_out=folder / "adapter",
    )


@dataclass
class Steps:
    """Training steps one at a time, by the studio's own code."""

    base: Any
    asked: Any

    def __post_init__(self) -> None:
        from studio.training import choosing, loop
        from studio.training.loss_model import LossModel
        from studio.training.modes import quiet
        from studio.training.optimizer import OptimizerStep

        with quiet():
            self.model = LossModel(self.base, self.asked, pad=0)
            self.refused = choosing.choose(self.model)
        self.model.model.train()
        self.optimizer = OptimizerStep(self.model.model, self.asked, 1000, self.asked.training.optimizer)
        self.source = loop.Rows(self.model)
        self.done = 0

    @property
    def path(self) -> str:
        """How losses are computed, and why not by a faster path."""
        refused = f"; refused: {self.refused[0].reason}" if self.refused else ""
        left = "".join(f"; {field} is not used: {reason}" for field, reason in self.model.left.items())
        return f"{self.model.path}{refused}{left}"

    def step(self) -> Any:
        """One step on the first rows. Returns the loss, on the device."""
        from studio.training import loop

        self.done += 1
        data = self.source.step(self.done, range(self.asked.training.batch_size))
        loss, _ = loop._forward_and_backward(self.model, self.optimizer, data)
        self.optimizer.step(self.done)
        return loss

    def close(self) -> None:
        """Give the base back."""
        self.model.release()
