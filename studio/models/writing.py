"""Write a model that was made from another one as a model folder: complete, or not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.files import folder_aside
from studio.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def write_folder(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    record: Record,
    name: str,
    out: Path,
    beside: Iterable[Path] = (),
) -> None:
    """The model, its tokenizer, and the record `name` of what was done. beside: files that come along."""
    with folder_aside(out) as aside:
        model.save_pretrained(aside, max_shard_size="4GB")
        tokenizer.save_pretrained(aside)
        for file in beside:
            (aside / file.name).write_bytes(file.read_bytes())
        record.write(aside / name)
        for file in aside.iterdir():
            file.chmod(0o644)
