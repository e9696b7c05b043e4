"""Families: what is worth knowing of a kind of base model that its own config and tokenizer do not say.

To add one: write its value and add it to `FAMILIES`. A model of no family is `generic`, which is no disadvantage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LARGE = 6_500_000_000
"""Parameters from which the smaller learning rate is advised."""


@dataclass(frozen=True)
class Family:
    """What is known of a kind of base model."""

    name: str
    model_types: tuple[str, ...] = ()
    """`model_type` of its configs."""
    learning_rate: float = 2e-4
    """LoRA's usual rate (QLoRA, Dettmers et al. 2023, table 9)."""
    learning_rate_large: float = 1e-4
    """The same for models of `LARGE` parameters and more."""
    needs_fp32_or_bf16: bool = False
    """Its activations overflow fp16."""
    notes: tuple[str, ...] = ()
    """What a person should know before training one."""

    def rate(self, parameters: int) -> float:
        """The learning rate to begin with, for a model of this many parameters."""
        return self.learning_rate if parameters < LARGE else self.learning_rate_large


STARTER = Family(
    "starter",
    learning_rate=5e-3,
    learning_rate_large=5e-3,
    notes=("A few million parameters learn next to nothing at the 2e-4 usual for large models; 5e-3 was measured to work.",),
)
QWEN = Family(
    "qwen",
    ("qwen2", "qwen3", "qwen3_moe"),
    notes=(
        "Qwen3 writes an empty thinking block before an answer without one; it is trained as the template renders it.",
        "Base models end a text with <|endoftext|>, chats with <|im_end|>; both stop generation here.",
    ),
)
LLAMA = Family("llama", ("llama",), notes=("Llama 3.1 and later write the date into the system message.",))
GEMMA = Family(
    "gemma",
    ("gemma", "gemma2", "gemma3", "gemma3_text"),
    needs_fp32_or_bf16=True,
    notes=(
        "Gemma 2 caps its attention scores, which sdpa cannot: it is computed by eager attention.",
        "Its activations overflow fp16: bf16 or fp32 only.",
        "Gemma 1 and 2 have no system role: put such instructions into the first user message.",
        "Of Gemma 3 from 4 B up only the text part is loaded, trained and exported.",
    ),
)
PHI = Family("phi", ("phi3",), notes=("Queries, keys and values are one matrix, and so are gate and up projection.",))
MISTRAL = Family("mistral", ("mistral",), notes=("Its template has no separate header: an answer begins behind [/INST].",))
GRANITE = Family("granite", ("granite",))
MIXTURE = Family(
    "mixture of experts",
    ("mixtral", "qwen3_moe", "olmoe"),
    notes=("While loading, the experts are in memory unquantised; with nf4 they are quantised one layer after the other.",),
)
GENERIC = Family("generic", notes=("Not tried here; everything is taken from its own config and tokenizer.",))

FAMILIES = (STARTER, QWEN, LLAMA, GEMMA, PHI, MISTRAL, GRANITE, MIXTURE)


def family(config: Mapping[str, Any], name: str = "") -> Family:
    """The family of a model by its config, or `starter` by name; `generic` if it has none."""
    if name == STARTER.name:
        return STARTER
    kind = str(config.get("model_type", ""))
    return next((known for known in FAMILIES if kind in known.model_types), GENERIC)
