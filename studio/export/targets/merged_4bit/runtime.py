"""Inside the environment `compress`: a 4-bit model as a runtime that answers."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

from studio.export.verification.answers import Transformers

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase


class Compressed(Transformers):
    """A compressed-tensors model that transformers loads. faults: what was wrong with its weights."""

    def __init__(self, model: nn.Module, tokenizer: PreTrainedTokenizerBase, faults: str) -> None:
        super().__init__(model, tokenizer)
        self.faults = faults

    def wrong(self) -> str:
        """What was wrong with its weights, or nothing."""
        return self.faults

    def version(self) -> str:
        """What it runs in."""
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("transformers", "compressed-tensors"))


def opened(settings: dict[str, Any]) -> Compressed:
    """The model in `folder`, computing in `dtype`, on the GPU if there is one."""
    import torch
    from transformers import AutoTokenizer

    from studio.export.verification.loading import load_merged

    model, faults = load_merged(settings["folder"], settings["dtype"], torch.cuda.is_available())
    return Compressed(model, AutoTokenizer.from_pretrained(settings["folder"]), faults)
