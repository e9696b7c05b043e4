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
