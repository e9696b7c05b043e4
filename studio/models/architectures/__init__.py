"""Architectures: the facts of each kind of decoder the studio has tried, one file each.

To add one: write `NAME.py` with an `ARCHITECTURE`, and add its name to `NAMES`. Planner, memory model and exporters read it
from here. A model of an architecture that is not listed is `UNLISTED`: it is counted on a model built without memory, trained
and evaluated all the same, and exported where no facts are needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module

from studio.models.architectures.base import Architecture, ConfigValues, head_size

__all__ = ["ARCHITECTURES", "NAMES", "STARTER", "UNLISTED", "Architecture", "architecture", "architecture_of", "head_size"]

NAMES = (
    "gemma", "gemma2", "gemma3_text", "gemma3n_text", "gemma4_text", "granite", "lfm2", "llama", "ministral3", "mistral",
    "mixtral", "olmo3", "olmoe", "phi3", "qwen2", "qwen3", "qwen3_5_text", "qwen3_moe", "smollm3",
)  # fmt: skip
"""The files of this folder, each named after its config's `model_type`."""
ARCHITECTURES: Mapping[str, Architecture] = {name: import_module(f"{__name__}.{name}").ARCHITECTURE for name in NAMES}
UNLISTED = Architecture(
    "", "unlisted", scales=None, notes=("Not tried here; everything is taken from its own config and tokenizer.",)
)
"""What is assumed of an architecture that has no file."""
STARTER = replace(
    ARCHITECTURES["llama"],
    family="starter",
    learning_rate=5e-3,
    learning_rate_compact=5e-3,
    learning_rate_large=5e-3,
    notes=("A few million parameters learn next to nothing at the 2e-4 usual for large models; 5e-3 was measured to work.",),
)
"""The starter is a Llama in all but its size."""
_BY_TYPE = {kind: item for item in ARCHITECTURES.values() for kind in (item.name, *item.aliases)}


def architecture(model_type: object) -> Architecture:
    """The facts of a `model_type`; `UNLISTED` if it has no file."""
    return _BY_TYPE.get(str(model_type or ""), UNLISTED)


def architecture_of(config: ConfigValues, name: str = "") -> Architecture:
    """The facts of the model that `config.json` describes; those of the starter for the name `starter`."""
    if name == "starter":
        return STARTER
    text = config.get("text_config") or config
    known = architecture(text.get("model_type"))
    return known if known is not UNLISTED else architecture(config.get("model_type"))
