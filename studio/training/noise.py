"""NEFTune: noise on the embeddings while training (Jain et al. 2023), so that rows are not learned by heart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn


class Noise:
    """Uniform noise on what an embedding gives, of `strength` over the root of a row's numbers; none outside of training.

    Rows laid end to end have each their own size of noise: set `lengths` before a forward pass over such. It is drawn from
    torch's generator, which checkpoints keep, so a resumed run draws on where it was cut.
    """

    def __init__(self, embedding: nn.Module, strength: float) -> None:
        self.strength = strength
        self.lengths: Sequence[int] | None = None
        self._handle = embedding.register_forward_hook(self._add) if strength else None

    def _add(self, module: nn.Module, inputs: object, output: torch.Tensor) -> Any:
        import torch

        if not torch.is_grad_enabled():
            return output
        hidden = output.shape[-1]
        if self.lengths is None:
            size = output.new_full((1, 1, 1), self.strength / (output.shape[1] * hidden) ** 0.5)
        else:
            lengths = torch.tensor(self.lengths, device=output.device)
            each = self.strength / (lengths * hidden).to(output.dtype).sqrt()
            size = torch.repeat_interleave(each, lengths, output_size=output.shape[1])[None, :, None]
        return output + (2 * torch.rand_like(output) - 1) * size

    def remove(self) -> None:
        """No noise any more."""
        if self._handle is not None:
            self._handle.remove()
