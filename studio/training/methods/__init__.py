"""Training methods: one file each, and its section in this union. Spec, form, docs and the training loop read the union."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field

from studio.training.methods.distil import Distil
from studio.training.methods.dpo import Dpo
from studio.training.methods.grpo import Grpo
from studio.training.methods.kto import Kto
from studio.training.methods.method import Method
from studio.training.methods.orpo import Orpo
from studio.training.methods.reward import Reward
from studio.training.methods.sft import Sft
from studio.training.methods.simpo import Simpo
from studio.training.methods.text import Text

_Methods: TypeAlias = Sft | Dpo | Orpo | Simpo | Kto | Grpo | Distil | Text | Reward
METHODS: dict[str, type[Method]] = {method.model_fields["kind"].default: method for method in get_args(_Methods)}
"""Every method by its word in `training.method`."""


def _from_word(value: object) -> Any:
    """A method's word alone means the method with its default settings."""
    return {"kind": value} if isinstance(value, str) else value


AnyMethod = Annotated[
    _Methods,
    Field(discriminator="kind"),
    BeforeValidator(_from_word, json_schema_input_type=Literal[tuple(METHODS)] | _Methods),
]
"""A method: its word, or a section with its settings."""
