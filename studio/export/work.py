"""The CPU seconds of an export, by what they grow with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.hardware.dims import ModelDims


@dataclass(frozen=True)
class Work:
    """CPU seconds of making and verifying an export.

    fixed: libraries and processes. layer: for each decoder layer, as tracing takes; layers_squared: for each pair of them, as
    a later layer's trace looks at the earlier ones. weights: for a billion weights, as merging and converting take. token: for
    each thousand tokens that are answered, with a billion weights.
    """

    fixed: float
    layer: float = 0.0
    layers_squared: float = 0.0
    weights: float = 0.0
    token: float = 0.0

    def seconds(self, dims: ModelDims, tokens: int) -> float:
        """CPU seconds where it was measured, for a base of these dimensions that answers so many tokens."""
        billions = dims.parameters / 1e9
        traced = self.layer * dims.layers + self.layers_squared * dims.layers**2
        return self.fixed + traced + billions * (self.weights + self.token * tokens / 1000)
