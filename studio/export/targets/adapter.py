"""Target `adapter`: the PEFT folder that plain `peft` loads on the base model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from studio.core.section import Section


class AdapterTarget(Section):
    """The adapter alone: a few megabytes, loaded on the base model."""

    kind: Literal["adapter"] = Field(default="adapter", title="Kind")
    """A PEFT adapter folder."""
