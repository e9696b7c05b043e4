"""Verifiers: rules that score an answer from 0 to 1, one file each; this union is the list of them.

They reward answers in training (`grpo`) and are figures of the evidence after any run.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field

from studio.data.verifiers.verifier import Example, Message, Verifier
from studio.data.verifiers.weighted import Single, Weighted
from studio.data.verifiers.words import from_word

__all__ = ["VERIFIERS", "AnyVerifier", "Example", "Message", "Verifier"]

_Verifiers: TypeAlias = Single | Weighted
VERIFIERS: dict[str, type[Verifier]] = {kind.model_fields["kind"].default: kind for kind in get_args(_Verifiers)}
"""Every verifier by its word."""

AnyVerifier = Annotated[
    _Verifiers,
    Field(discriminator="kind"),
    BeforeValidator(from_word, json_schema_input_type=Literal[tuple(VERIFIERS)] | _Verifiers),
]
"""A verifier: its word, or a section with its settings."""
