"""Which rows name people, by a token-classification model that the user chooses: no pattern tells names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from studio.core.errors import ModelError
from studio.core.text import shorten
from studio.data.people import Named
from studio.data.rows import Conversation
from studio.evaluation.passes import in_batches
from studio.models import finding
from studio.models.settings import Model
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH = 16
LONGEST = 512
"""Tokens of a window; longer rows are read in windows that overlap."""
OVERLAP = 64
_PEOPLE = frozenset(("PER", "PERSON", "PERS", "NAME", "GIVENNAME", "SURNAME", "FIRSTNAME", "LASTNAME", "MIDDLENAME"))


def load(name: str) -> tuple[Any, Any]:
    """A token-classification model and its tokenizer: of a folder, or of a hub id. Raises ModelError."""
    import transformers

    found = finding.find(Model(name=name))
    options: dict[str, Any] = {"revision": found.revision, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(found.path_or_id, use_fast=True, **options)
        model = transformers.AutoModelForTokenClassification.from_pretrained(found.path_or_id, use_safetensors=True, **options)
    except (ValueError, OSError, KeyError) as problem:
        raise ModelError(
            f"it cannot be loaded for token classification: {shorten(str(problem), 200)}",
            hint="Name a model for token classification (named-entity recognition) with safetensors weights.",
            where=name,
        ) from None
    return model.eval(), tokenizer


def person_labels(labels: dict[int, str], name: str) -> list[int]:
    """The indices of a model's labels that stand for people. Raises ModelError if there are none."""
    found = [index for index, label in labels.items() if label.upper().split("-")[-1].replace("_", "") in _PEOPLE]
    if not found:
        listed = ", ".join(sorted(set(labels.values()))[:12])
        raise ModelError(
            f"none of its labels stands for people: {listed}",
            hint="Name a model for token classification (named-entity recognition) with a label such as PER or PERSON.",
            where=name,
        )
    return found


def find_people(
    rows: Iterable[tuple[int, Conversation]],
    count: int,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    reporter: Reporter,
) -> Named:
    """The rows whose texts name people. rows: each with its index; count: how many there are.

    model: a token-classification model; tokenizer: a fast one. Raises ModelError, and Stopped when asked to stop.
    """
    import torch

    people = torch.tensor(person_labels({int(index): label for index, label in model.config.id2label.items()}, name))
    limit = min(LONGEST, int(getattr(model.config, "max_position_embeddings", LONGEST) or LONGEST) - 2)
    hits: list[int] = []
    for some in in_batches(rows, BATCH, count, f"Looking for names with {name}", reporter):
        encoded = tokenizer(
            [_said(row) for _, row in some],
            truncation=True,
            max_length=limit,
            stride=min(OVERLAP, limit // 4),
            return_overflowing_tokens=True,
            return_special_tokens_mask=True,
            padding=True,
            return_tensors="pt",
        )
        windows = encoded.pop("overflow_to_sample_mapping")
        special = encoded.pop("special_tokens_mask")
        with torch.inference_mode():
            chosen = model(**encoded.to(model.device)).logits.argmax(-1).cpu()
        named = (torch.isin(chosen, people) & (special.cpu() == 0)).any(-1)
        hits += sorted({some[int(windows[window])][0] for window in torch.nonzero(named).flatten().tolist()})
    return Named(name, tuple(hits), count)


def _said(row: Conversation) -> str:
    texts = [str(turn.get("content") or "") for turn in row.messages]
    return "\n".join(texts) if texts else row.text
