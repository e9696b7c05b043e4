"""What converting a row needs besides the row: where notes go, what speakers are called, which order of turns is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from studio.data.notes import Notes

Turns: TypeAlias = Literal["strict", "join", "keep"]
Role: TypeAlias = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Context:
    """Passed to every format's `convert`. roles: the speakers' names of `data.roles`, in lower case, and their roles."""

    notes: Notes = field(default_factory=Notes)
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])
    turns: Turns = "strict"

    @classmethod
    def of(cls, roles: Mapping[str, Role], turns: Turns = "strict", notes: Notes | None = None) -> Context:
        """With the speakers' names as they are written in the settings."""
        return cls(notes or Notes(), {name.strip().lower(): role for name, role in roles.items()}, turns)
