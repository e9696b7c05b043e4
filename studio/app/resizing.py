"""Use case of resizing: a model folder with an embedding for each token of its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.errors import DoesNotFit, ModelError, SpecError
from studio.core.files import bytes_in, need_room, studio_home
from studio.core.text import size, slug
from studio.models.settings import Model

if TYPE_CHECKING:
    from studio.models.resizing import ResizedModel


@dataclass(frozen=True)
class Resized:
    """A resized model's folder and its record."""

    folder: Path
    record: ResizedModel
    summary: str


def resize(name: str, home: Path | None = None, tokenizer: str = "", out: Path | None = None) -> Resized:
    """Write a model (folder or hub id) with as many embeddings as its tokenizer, or the one in the folder `tokenizer`, needs.

    Raises SpecError, ModelError for what cannot be resized, DoesNotFit where disk or RAM are too small. The model named stays
    as it is.
    """
    from studio import worker

    worker.set_environment()
    from studio.models import loading, resizing, tokenizers

    target = out or studio_home(home) / "models" / f"{slug(Path(name).name)}-resized"
    if target.exists():
        raise SpecError("the folder already exists", hint="Name another folder: --out FOLDER.", where=str(target))
    found = loading.find(Model(name=name))
    spoken = tokenizers.unchecked(loading.find(Model(name=tokenizer)) if tokenizer else found)
    if found.config.get("quantization_config"):
        raise ModelError("its weights are quantized, and cannot be resized", hint="Resize the 16-bit model.", where=name)
    wanted = resizing.needed(spoken, int((found.config.get("text_config") or found.config)["vocab_size"]), name)
    target.parent.mkdir(parents=True, exist_ok=True)
    if found.folder is not None:
        _require_room(bytes_in(found.folder), target.parent)
    dtype = loading.stored_dtype(found.config)
    model = loading.load_base(
        Model(name=name, quantization="none", dtype=dtype, attention="sdpa"), "cpu", found, as_stored=True
    )
    before = resizing.resize(model, wanted)
    record = resizing.ResizedModel(
        base=found.name,
        before=before,
        embeddings=wanted,
        tokens=max(spoken.get_vocab().values()) + 1,
        tied=model.get_output_embeddings().weight is model.get_input_embeddings().weight,
    )
    resizing.write(model, spoken, record, found.folder, target)
    loading.tokenizer(loading.find(Model(name=str(target))))  # what is written can be planned and loaded
    return Resized(target, record, resizing.summary(record))


def _require_room(weights: int, folder: Path) -> None:
    """Raise DoesNotFit where disk or RAM cannot hold the model once more."""
    from studio.hardware import machine

    need_room(folder, weights, "The resized model")
    _, free = machine.memory()
    if weights > free:
        raise DoesNotFit(
            f"the model takes {size(weights)} of RAM while it is resized, and {size(free)} are free",
            hint="Close other programs, or resize it on a machine with more RAM.",
            where="RAM",
        )
