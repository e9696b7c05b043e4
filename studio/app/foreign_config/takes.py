"""How the value of another tool's key becomes fields of a spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio.core.plain import is_object
from studio.spec import documents

_METHODS = ("dpo", "orpo", "simpo", "kto")
_AXOLOTL_TYPES = {"alpaca": "alpaca", "chat_template": "messages", "sharegpt": "sharegpt", "completion": "text"}


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

    def set(self, path: str, value: Any) -> None:
        """Set a field of the spec."""
        self.changes[path] = value

    def refuse(self, key: str, reason: str) -> None:
        """Name a key that is not taken over."""
        secret = key.endswith(("token", "_key", "password", "secret"))
        self.unmapped.append(Unmapped(key, "(not shown)" if secret else self.settings.get(key), reason))


Take = Callable[[Reading, str, Any], None]


def batch(reading: Reading) -> None:
    """The effective batch: rows at once times steps accumulated."""
    given = reading.settings
    micro = given.get("per_device_train_batch_size", given.get("micro_batch_size"))
    if micro is not None:
        reading.set("training.micro_batch", int(micro))
        reading.set("training.batch_size", int(micro) * int(given.get("gradient_accumulation_steps") or 1))
    elif given.get("gradient_accumulation_steps") is not None:
        reading.refuse("gradient_accumulation_steps", "without the rows at once it is no batch size: set training.batch_size")


def said(reading: Reading, key: str, value: Any) -> None:
    """A key that something else reads."""


def choice(path: str, choices: Mapping[str, Any], otherwise: str) -> Take:
    """One of several words; others are refused with a reason."""

    def take(reading: Reading, key: str, value: Any) -> None:
        known = choices.get(str(value).lower(), "unknown")
        if known == "unknown":
            reading.refuse(key, otherwise)
        elif known is not None:
            reading.set(path, known)

    return take


def if_true(path: str, setting: Any) -> Take:
    """A setting for a key that is true."""

    def take(reading: Reading, key: str, value: Any) -> None:
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


def full(reading: Reading, key: str, value: Any) -> None:
    """Whether an adapter is trained, and on what base."""
    if str(value).lower() == "freeze":
        reading.refuse(key, "some layers alone are not trained in full: set adapter.targets to adapt them")
    elif str(value).lower() in ("full", "false"):
        reading.set("adapter.kind", "full")
    elif str(value).lower() == "qlora":
        reading.set("model.quantization", "nf4")


def warmup_steps(reading: Reading, key: str, value: Any) -> None:
    """A warm-up in steps."""
    if float(value):
        reading.refuse(key, "the warm-up is a share of the steps here: set training.warmup")


def initial(reading: Reading, key: str, value: Any) -> None:
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


def dataset(reading: Reading, key: str, value: Any) -> None:
    """Data by name: files, and else the hub."""
    names = [value] if isinstance(value, str) else list(value)
    reading.set("data.train", _one_or_all([_source(reading, str(name)) for name in names]))


def _source(reading: Reading, name: str) -> str:
    """A file as it stands, and anything else on the hub."""
    is_file = Path(name).suffix or name.startswith((".", "/", "~")) or (reading.folder / name).exists()
    return name if is_file or name.startswith("hub:") else f"hub:{name}"


def _one_or_all(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names


def axolotl_datasets(reading: Reading, key: str, value: Any) -> None:
    """Axolotl's list of datasets, each with how its rows are laid out."""
    names: list[str] = []
    for at, item in enumerate(value):
        files = item.get("data_files") or item.get("path") or ""
        names += [_source(reading, str(file)) for file in ([files] if isinstance(files, str) else files)]
        for name, setting in item.items():
            if name in ("path", "data_files", "ds_type"):
                continue
            if name == "split":
                reading.set("data.split", setting)
            elif name == "name":
                reading.set("data.subset", setting)
            elif name == "type" and setting in _AXOLOTL_TYPES:
                reading.set("data.format", _AXOLOTL_TYPES[setting])
            elif name == "roles" and is_object(setting):
                reading.set("data.roles", {alias: role for role, aliases in setting.items() for alias in aliases})
            elif name == "field_messages":
                reading.set("data.columns", {"messages": setting})
            else:
                reason = "how a row is laid out is detected, and asked for where it is not clear: data.format, data.columns"
                reading.unmapped.append(Unmapped(f"{key}.{at}.{name}", setting, reason))
    if names:
        reading.set("data.train", _one_or_all(names))


def factory_dataset(reading: Reading, key: str, value: Any) -> None:
    """Names in LLaMA-Factory's dataset_info.json, where that file is beside the configuration."""
    folder = reading.folder / str(reading.settings.get("dataset_dir", "data"))
    known = documents.parse(documents.read(file), str(file))[0] if (file := folder / "dataset_info.json").exists() else {}
    names: list[str] = []
    for name in [part.strip() for part in value.split(",")] if isinstance(value, str) else value:
        entry: dict[str, Any] = known.get(name) or {}
        if entry.get("file_name"):
            names.append(str(folder / entry["file_name"]))
        elif entry.get("hf_hub_url"):
            names.append(f"hub:{entry['hf_hub_url']}")
        else:
            where = "has no file of it" if known else "was not found"
            reading.refuse(key, f"`{name}` is a name in dataset_info.json, which {where}: put the file itself in data.train")
        if entry.get("columns"):
            reason = "columns are detected, and asked for where they are not clear: data.columns"
            reading.unmapped.append(Unmapped(f"{name}.columns", entry["columns"], reason))
    if names:
        reading.set("data.train", _one_or_all(names))


def method() -> Take:
    """The training method."""

    def take(reading: Reading, key: str, value: Any) -> None:
        word = str(value).lower()
        if word in ("sigmoid", "dpo", "hinge", "ipo"):
            word = "dpo"
        if word in _METHODS:
            reading.set("training.method.kind", word)
        elif word not in ("sft", "pt"):
            reading.refuse(key, f"the methods here are sft, {', '.join(_METHODS)}")

    return take


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "yes", "auto", "unsloth")


def dtype(name: str) -> Take:
    """A number format that is switched on."""

    def take(reading: Reading, key: str, value: Any) -> None:
        if str(value).lower() == "true":
            reading.set("model.dtype", name)  # `auto` is what an empty field says

    return take
