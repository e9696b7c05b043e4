"""Export targets. To add one: write its file, then add its name here. The union is the registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from studio.export.targets.adapter import AdapterTarget
from studio.export.targets.gguf import GgufTarget
from studio.export.targets.merged import MergedTarget

AnyTarget = Annotated[AdapterTarget | MergedTarget | GgufTarget, Field(discriminator="kind")]
