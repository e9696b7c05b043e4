"""The CPU seconds and the memory of an export, by what they grow with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.hardware.dims import ModelDims


@dataclass(frozen=True)
class Peak:
    """Main memory at the peak of making an export, beside the process that compares.

    process: MiB of the process in which a toolchain converts. weight: bytes for each weight of the base. vocabulary: bytes for
    each token of it.
    """

    process: int = 0
    weight: float = 0.0
    vocabulary: int = 0

    def bytes(self, dims: ModelDims) -> int:
        """Bytes for a base of these dimensions."""
        return (self.process << 20) + int(self.weight * dims.parameters) + self.vocabulary * dims.vocab


@dataclass(frozen=True)
class Work:
    """CPU seconds of making and verifying an export.

    fixed: libraries and processes. layer: for each decoder layer, as tracing takes. columns: for each thousand inputs of its
    linear layers, as GPTQ rounds them one by one. weights: for a billion weights, as converting takes. token: for each thousand
    tokens that are answered, with a billion weights.
    """

    fixed: float
    layer: float = 0.0
    columns: float = 0.0
    weights: float = 0.0
    token: float = 0.0

    def seconds(self, dims: ModelDims, tokens: int) -> float:
        """CPU seconds where it was measured, for a base of these dimensions that answers so many tokens."""
        billions = dims.parameters / 1e9
        columns = sum(inputs for inputs, _ in dims.linears.values()) / 1000
        return (
            self.fixed
            + dims.layers * (self.layer + self.columns * columns)
            + billions * (self.weights + self.token * tokens / 1000)
        )


REFERENCE = Work(0.7, weights=15, token=95)
"""What the first export of a run adds: base + adapter are asked what every export is compared with."""
MERGE = Work(0.9, weights=22)
"""What making the merged model adds, where no merged export is there."""
