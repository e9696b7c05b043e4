"""Texts to vectors on torch, in a process that may hold a model: the command, a chat, a server; never the web process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from studio.retrieval import embedder
from studio.retrieval.records import EmbedderRecord

if TYPE_CHECKING:
    import torch

Vectors = NDArray[np.float32]
BATCH = 32


class Embedder:
    """A loaded embedding model."""

    def __init__(self, name: str, expected: EmbedderRecord | None = None, device: str = "") -> None:
        """Load it. expected: what an index was built with. Raises ModelError if it is another revision."""
        self.record, folder = embedder.describe(name)
        if expected is not None:
            embedder.require_same(expected, self.record)
        self._load(folder, device)

    def _load(self, folder: Path, device: str) -> None:
        from studio.models import libraries

        libraries.import_heavy()
        import torch
        import transformers

        if not device:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = device
        transformers.utils.logging.disable_progress_bar()
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model: Any = transformers.AutoModel.from_pretrained(
            folder, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
        self._model = model.eval().to(device)
        self._layers = [_dense(folder / layer, device) for layer in self.record.layers]

    def passages(self, texts: Sequence[str]) -> Vectors:
        """The vectors of passages, (count, dimensions)."""
        return self._vectors([self.record.passage_prefix + text for text in texts])

    def questions(self, texts: Sequence[str]) -> Vectors:
        """The vectors of questions, (count, dimensions)."""
        return self._vectors([self.record.query_prefix + text for text in texts])

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        import torch

        found = np.zeros((len(texts), self.record.dimensions), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                tokens = self._tokenizer(
                    [texts[row] for row in rows],
                    padding=True,
                    truncation=True,
                    max_length=self.record.most_tokens,
                    return_tensors="pt",
                ).to(self.device)
                hidden = self._model(**tokens).last_hidden_state.float()
                pooled = _pooled(hidden, tokens["attention_mask"], self.record.pooling)
                for layer in self._layers:
                    pooled = layer(pooled)
                if self.record.normalize:
                    pooled = torch.nn.functional.normalize(pooled, dim=-1)
                found[rows] = pooled.cpu().numpy()
        return found


def _pooled(hidden: torch.Tensor, mask: torch.Tensor, how: str) -> Any:
    """Tokens (batch, tokens, width) to one vector each (batch, width); padding counts for nothing."""
    import torch

    weights = mask.unsqueeze(-1).to(hidden.dtype)
    if how == "mean":
        return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
    if how == "max":
        return hidden.masked_fill(weights == 0, float("-inf")).max(1).values
    # with padding on the left the first real token is not at 0, nor the last one at the end with it on the right
    positions = torch.arange(mask.shape[1], device=mask.device) * mask
    index = mask.argmax(1) if how == "cls" else positions.argmax(1)
    return hidden[torch.arange(len(hidden), device=hidden.device), index]


def _dense(folder: Path, device: str) -> Any:
    """A dense layer after the pooling."""
    import json

    import torch
    from safetensors.torch import load_file

    values = json.loads((folder / "config.json").read_text("utf-8"))
    layer = torch.nn.Linear(values["in_features"], values["out_features"], bias=values.get("bias", True))
    weights = load_file(folder / "model.safetensors")
    layer.load_state_dict({name.removeprefix("linear."): tensor for name, tensor in weights.items()})
    activation = torch.nn.Tanh() if "Tanh" in str(values.get("activation_function")) else torch.nn.Identity()
    return torch.nn.Sequential(layer, activation).to(device).eval()
