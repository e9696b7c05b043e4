"""A model with more embeddings: for a tokenizer to which tokens were added.

New rows of the embedding and of the output matrix are the mean of the others (Hewitt 2021): then no text without the new
tokens gets another prediction but for a share of probability that a token of average likelihood takes. Nothing else changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from studio.core.errors import ModelError
from studio.core.records import Record
from studio.core.text import plural
from studio.models.writing import write_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

RECORD = "resized.json"
MULTIPLE = 8
"""The number of embeddings is a multiple of it, as tensor cores want their matrices."""
_BESIDE = ("LICENSE*", "NOTICE*", "README.md")


class ResizedModel(Record):
    """resized.json of a model folder: what it was made from, and how many embeddings it had and has."""

    label: ClassVar[str] = "record of a resized model"
    remedy: ClassVar[str] = "Resize the model again: studio resize."

    base: str
    """The model it was made from."""
    before: int
    embeddings: int
    tokens: int
    """Token ids up to the tokenizer's highest one."""
    tied: bool
    """Embedding and output matrix are one."""


def needed(tokenizer: Any, embeddings: int, where: str) -> int:
    """How many embeddings a tokenizer needs. Raises ModelError where the model has enough."""
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest < embeddings:
        raise ModelError(
            f"it already has enough embeddings: {embeddings:,}, and its tokenizer's ids go up to {highest:,}",
            hint="Use it as it is. Add tokens to its tokenizer first if you want more.",
            where=where,
        )
    return -(-(highest + 1) // MULTIPLE) * MULTIPLE


def resize(model: Any, embeddings: int) -> int:
    """Give a model more embeddings, in place. Returns how many it had."""
    import torch

    before = int(model.get_input_embeddings().weight.shape[0])
    model.resize_token_embeddings(embeddings, mean_resizing=False)
    head = model.get_output_embeddings()
    matrices = {id(part.weight): part.weight for part in (model.get_input_embeddings(), head) if part is not None}
    bias = getattr(head, "bias", None)
    with torch.no_grad():
        for weight in (*matrices.values(), *((bias,) if bias is not None else ())):
            weight[before:] = weight[:before].float().mean(dim=0).to(weight.dtype)
    return before


def write(model: Any, tokenizer: PreTrainedTokenizerBase, record: ResizedModel, source: Path | None, out: Path) -> None:
    """Write a resized model as a model folder with its tokenizer and record: complete, or not there. source: the folder of the
    model it was made from, whose licence and card come along."""
    beside = [file for pattern in _BESIDE for file in sorted(source.glob(pattern))] if source else []
    write_folder(model, tokenizer, record, RECORD, out, beside)


def summary(record: ResizedModel) -> str:
    """What was done, and what it means for training, in two sentences."""
    new = plural(record.embeddings - record.before, "embedding")
    done = f"{new} more ({record.before:,} before, {record.embeddings:,} now), each the mean of the others."
    if record.tied:
        return (
            f"{done} Embedding and output matrix are one, which adapters do not train: new tokens keep that value, all alike."
        )
    return f"{done} To train them: --set 'adapter.modules_to_save=[embed_tokens, lm_head]'."


def record_of(folder: Path) -> ResizedModel | None:
    """The record of a resized model's folder; None for any other."""
    return ResizedModel.read(folder / RECORD) if (folder / RECORD).exists() else None
