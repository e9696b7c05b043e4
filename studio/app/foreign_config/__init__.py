"""Configurations of other fine-tuning tools read as a spec: Axolotl, LLaMA-Factory, Unsloth and TRL.

What has a setting here is taken over; every other key is named, with the reason. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.app.foreign_config.takes import Reading, Unmapped, batch
from studio.app.foreign_config.tools import COMMON, MARKS, REASONS, SECTIONS, TOOLS
from studio.core.errors import SpecError
from studio.core.plain import is_object
from studio.spec import RunSpec, documents, nested
from studio.spec import parse as parse_spec

FILL_IN = "your-data.jsonl"
"""The training file of a spec whose configuration names none that can be read."""


@dataclass(frozen=True)
class ImportedConfig:
    """The spec that a configuration became."""

    tool: str
    spec: RunSpec
    unmapped: tuple[Unmapped, ...]


def read_config(file: str | Path) -> ImportedConfig:
    """The spec that a YAML or JSON configuration of another tool stands for.

    Raises SpecError for a file that cannot be read or whose tool is not known.
    """
    path = Path(file).expanduser()
    if path.suffix in (".py", ".ipynb"):
        raise SpecError(
            "settings are read from YAML or JSON, not from code",
            hint="Write the arguments of the calls into a YAML file as `name: value`.",
            where=str(path),
        )
    values, _ = documents.parse(documents.read(path), str(path))
    flat = _flat(values)
    tool = next((name for name, sets in MARKS.items() if any(marks <= flat.keys() for marks in sets)), "")
    if not tool:
        raise SpecError(
            "this is no configuration of Axolotl, LLaMA-Factory, Unsloth or TRL",
            hint="They name their model in base_model, model_name_or_path or model_name.",
            where=str(path),
        )
    reading = Reading(tool, flat, path.parent)
    takes = {**COMMON, **TOOLS[tool]}
    for key, value in flat.items():
        if value is None:
            continue
        take = takes.get(key)
        if take is None:
            off = "it is off, as it is here" if value is False else "there is no such setting here"
            reading.refuse(key, REASONS.get(key, off))
        elif isinstance(take, str):
            reading.set(take, value)
        else:
            take(reading, key, value)
    batch(reading)
    _settle_method(reading)
    if "data.train" not in reading.changes:
        reading.set("data.train", FILL_IN)
        reading.unmapped.append(Unmapped("data.train", FILL_IN, "no data file is named that can be read: put your own here"))
    return ImportedConfig(tool, _parsed(reading, str(path)), tuple(reading.unmapped))


def _parsed(reading: Reading, file: str) -> RunSpec:
    """The spec; what cannot be so here is left out and named with the reason. Raises SpecError where that does not help."""
    while True:
        try:
            return parse_spec(nested(reading.changes), file)
        except SpecError as error:
            wrong = next((path for path in reading.changes if error.where.endswith(path)), None)
            if wrong is None:
                raise
            reading.unmapped.append(Unmapped(wrong, reading.changes.pop(wrong), f"{error.message}. {error.hint}"))


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with those of sections (`model:`, `lora:`, `training:`) beside them, as some files group them."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if is_object(value) and key in SECTIONS:
            flat.update(_flat(value))
        else:
            flat[str(key)] = value
    return flat


def _settle_method(reading: Reading) -> None:
    """Settings of a method that the configuration does not name, or that has none such, are not taken over."""
    from studio.training.methods import METHODS

    kind = reading.changes.get("training.method.kind", "sft")
    if kind == "dpo" and "training.method.sft" not in reading.changes:
        reason = f"{reading.tool} adds no such term; it is added here, because answers become less likely without it (0: none)"
        reading.unmapped.append(Unmapped("training.method.sft", 1.0, reason))
    for path in [path for path in reading.changes if path.startswith("training.method.") and not path.endswith(".kind")]:
        if path.rpartition(".")[2] not in METHODS[kind].model_fields:
            value = reading.changes.pop(path)
            reason = f"it belongs to another method, and this is {kind}: set training.method"
            if kind == "sft":
                reason += ", e.g. to dpo"
            reading.unmapped.append(Unmapped(path.rpartition(".")[2], value, reason))
