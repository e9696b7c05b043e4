"""The spec while it is being decided."""

from __future__ import annotations

from typing import Any

from studio.core.plain import is_list
from studio.runs.plan import Decision
from studio.spec import ResolvedSpec, RunSpec, nested, parse_resolved


class Draft:
    """The spec while it is being decided: what was settled, and why."""

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.given = spec.model_dump(mode="json")
        self.changes: dict[str, Any] = {}
        self.decisions: list[Decision] = []

    def settle(self, field: str, value: object, reason: str, otherwise: str = "") -> None:
        """Give `field` its value, unless it was given or is settled. An empty list was not given."""
        here: Any = self.given
        for key in field.split("."):
            here = here[int(key)] if is_list(here) else here[key]
        if here in (None, []) and field not in self.changes:
            self.changes[field] = value
            self.decisions.append(Decision(field, value, reason, otherwise))

    def resolved(self) -> ResolvedSpec:
        """The spec with all that was settled, checked again."""
        return parse_resolved(nested(self.changes, self.given), "plan")
