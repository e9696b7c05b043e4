"""How the value of another tool's key becomes fields of a spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_METHODS = {
    **{name: {"kind": name} for name in ("dpo", "orpo", "simpo", "kto")},
    "pt": {"kind": "text"},
    "sigmoid": {"kind": "dpo"},
    "ipo": {"kind": "dpo", "loss_type": "ipo"},
    "robust": {"kind": "dpo", "loss_type": "robust"},
}
"""What a word for a method or a loss stands for."""


@dataclass(frozen=True)
class Unmapped:
    """A key that was not taken over, or not as it stands, and why."""

    key: str
    value: Any
    reason: str


@dataclass
class Reading:
    """A configuration while it is read."""

    tool: str
    settings: dict[str, Any]
    folder: Path
    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    unmapped: list[Unmapped] = field(default_factory=list[Unmapped])

    def set(self, path: str, value: object) -> None:
        """Set a field of the spec."""
        self.changes[path] = value

    def refuse(self, key: str, reason: str) -> None:
        """Name a key that is not taken over."""
        secret = key.endswith(("token", "_key", "password", "secret")) and not key.startswith(("eos", "bos", "pad", "unk"))
        self.unmapped.append(Unmapped(key, "(not shown)" if secret else self.settings.get(key), reason))


Take = Callable[[Reading, str, Any], None]


def batch(reading: Reading) -> None:
    """The effective batch: rows at once times steps accumulated."""
    given = reading.settings
    names = ("per_device_train_batch_size", "micro_batch_size", *(("batch_size",) if reading.tool == "Unsloth" else ()))
    micro = next((given[name] for name in names if given.get(name) is not None), None)
    if micro is not None:
        reading.set("training.micro_batch", int(micro))
        reading.set("training.batch_size", int(micro) * int(given.get("gradient_accumulation_steps") or 1))
    elif given.get("gradient_accumulation_steps") is not None:
        reading.refuse("gradient_accumulation_steps", "without the rows at once it is no batch size: set training.batch_size")


def said(reading: Reading, key: str, value: object) -> None:
    """A key that something else reads."""


def choice(path: str, choices: Mapping[str, Any], otherwise: str) -> Take:
    """One of several words; others are refused with a reason."""

    def take(reading: Reading, key: str, value: object) -> None:
        known = choices.get(str(value).lower(), "unknown")
        if known == "unknown":
            reading.refuse(key, otherwise)
        elif known is not None:
            reading.set(path, known)

    return take


def if_true(path: str, setting: object) -> Take:
    """A setting for a key that is true."""

    def take(reading: Reading, key: str, value: object) -> None:
        if _is_true(value):
            reading.set(path, setting)

    return take


def number(path: str, least: float = 0) -> Take:
    """A number that stands for `none` where it is not above the least."""

    def take(reading: Reading, key: str, value: Any) -> None:
        if float(value) > least:
            reading.set(path, float(value) if float(value) % 1 else int(float(value)))

    return take


def rate(reading: Reading, key: str, value: Any) -> None:
    """The learning rate."""
    reading.set("training.learning_rate", float(value))  # YAML reads 2e-4 as a text


def full(reading: Reading, key: str, value: object) -> None:
    """Whether an adapter is trained, and on what base."""
    if str(value).lower() == "freeze":
        reading.refuse(key, "some layers alone are not trained in full: set adapter.targets to adapt them")
    elif str(value).lower() in ("full", "false"):
        reading.set("adapter.kind", "full")
    elif str(value).lower() == "qlora":
        reading.set("model.quantization", "nf4")


def warmup_steps(reading: Reading, key: str, value: Any) -> None:
    """A warm-up in steps: a share of the steps, where their number is said."""
    steps = float(reading.settings.get("max_steps") or 0)
    if steps > 0:
        reading.set("training.warmup", round(min(float(value) / steps, 1.0), 4))
    elif float(value):
        reading.refuse(key, "the warm-up is a share of the steps here: set training.warmup")


def initial(reading: Reading, key: str, value: object) -> None:
    """How an adapter begins: one of the kinds, or as usual."""
    kind = str(value).lower().partition("_")[0]
    if kind in ("pissa", "olora", "eva"):
        reading.set("adapter.kind", kind)
    elif kind not in ("true", "gaussian"):
        reading.refuse(key, "adapters begin as LoRA, PiSSA, OLoRA or EVA do")


def names(path: str) -> Take:
    """A list of names, or a text with commas."""

    def take(reading: Reading, key: str, value: Any) -> None:
        items = value.split(",") if isinstance(value, str) else value or []
        reading.set(path, [name for item in items if (name := str(item).strip())])

    return take


def targets(reading: Reading, key: str, value: Any) -> None:
    """Layers that get an adapter: a list, or a text with commas."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else [str(name) for name in value]
    reading.set("adapter.targets", "all-linear" if names in (["all"], ["all-linear"]) else names)


def report_to(reading: Reading, key: str, value: Any) -> None:
    """Where metrics go."""
    tools = [value] if isinstance(value, str) else list(value)
    reading.set("tracking.wandb", "auto" if {"wandb", "all"} & set(tools) else "off")
    for tool in tools:
        if tool not in ("wandb", "none", "all"):
            reading.refuse(key, f"metrics go to the run folder and to Weights & Biases, not to {tool}")


def method() -> Take:
    """The training method."""

    def take(reading: Reading, key: str, value: object) -> None:
        word = str(value).lower()
        for name, setting in _METHODS.get(word, {}).items():
            reading.set(f"training.method.{name}", setting)
        if word not in (*_METHODS, "sft"):
            reading.refuse(
                key,
                "the methods here are sft, text, dpo (sigmoid, ipo, robust), orpo, simpo, kto; grpo needs a verifier",
            )

    return take


def trl_loss(reading: Reading, key: str, value: object) -> None:
    """TRL's loss, which names a form of the method that the configuration is for."""
    if value in ("dapo", "grpo", "dr_grpo"):
        reading.set("training.method.kind", "grpo")
        reading.set("training.method.loss_type", value)
    else:
        method()(reading, key, value)


def group(reading: Reading, key: str, value: object) -> None:
    """How many answers are sampled to a prompt, which says that the method is GRPO."""
    reading.set("training.method.kind", "grpo")
    reading.set("training.method.group", value)


def _is_true(value: object) -> bool:
    return str(value).lower() in ("true", "1", "yes", "auto", "unsloth")


def if_false(path: str, setting: object) -> Take:
    """A setting for a key that is false."""

    def take(reading: Reading, key: str, value: object) -> None:
        if not _is_true(value):
            reading.set(path, setting)

    return take


def quant(reading: Reading, key: str, value: object) -> None:
    """A GGUF file of the result."""
    if _is_true(reading.settings.get("save_gguf", True)):
        reading.set("export", [{"kind": "gguf", "quant": str(value)}])


def dtype(name: str) -> Take:
    """A number format that is switched on."""

    def take(reading: Reading, key: str, value: object) -> None:
        if str(value).lower() == "true":
            reading.set("model.dtype", name)  # `auto` is what an empty field says

    return take
