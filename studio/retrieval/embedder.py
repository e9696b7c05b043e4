"""A sentence-embedding model: how it pools, what it puts before a text, and where it is, read from its own files.

`modules.json` lists its steps, `1_Pooling/config.json` says how tokens become one vector,
`config_sentence_transformers.json` what stands before questions and passages. Weights are safetensors, and no code of the
model's own is run. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal, TypeAlias

from studio.core.errors import ModelError
from studio.core.files import sha256
from studio.models import finding
from studio.models.settings import Model
from studio.retrieval import minilm
from studio.retrieval.records import EmbedderRecord

_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*/*.json", "*/*.safetensors")
_MODULES = {
    "sentence_transformers.models.Transformer": "transformer",
    "sentence_transformers.models.Pooling": "pooling",
    "sentence_transformers.models.Normalize": "normalize",
    "sentence_transformers.models.Dense": "dense",
}
Pooling: TypeAlias = Literal["mean", "cls", "last", "max"]
_QUERY, _PASSAGE = ("query", "question", "search_query"), ("passage", "document", "corpus", "search_document")
_POOLING: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
}
_E5 = ("query: ", "passage: ")
"""What models of the E5 family were trained with; their files do not say so."""


def locate(name: str) -> Path:
    """The folder of an embedding model: a local one, `minilm`, or a hub id whose files are downloaded. Raises ModelError."""
    if name == minilm.NAME and not Path(name).is_dir():
        return minilm.fetch()
    found = finding.find(Model(name=name))
    if found.folder is not None:
        return found.folder
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(found.path_or_id, revision=found.revision, allow_patterns=list(_FILES)))
    except Exception as problem:
        raise ModelError(
            f"it cannot be downloaded: {type(problem).__name__}", hint="Go online, or name a local folder.", where=name
        ) from None


def describe(name: str) -> tuple[EmbedderRecord, Path]:
    """What an embedding model is by its own files, and its folder. Raises ModelError for one that cannot be used."""
    folder = locate(name)
    config = _json(folder / "config.json")
    steps = _steps(folder, name)
    pooling_folder = next((path for kind, path in steps if kind == "pooling"), "")
    settings = _json(folder / "config_sentence_transformers.json")
    prompts = settings.get("prompts") or {}
    query, passage = _prefix(prompts, _QUERY), _prefix(prompts, _PASSAGE)
    if not query and not passage and "e5" in Path(name).name.lower().replace("_", "-").split("-"):
        query, passage = _E5
    dense = [path for kind, path in steps if kind == "dense"]
    width = int(config.get("hidden_size") or config.get("d_model") or config.get("dim") or 0)
    if dense:
        width = int(_json(folder / dense[-1] / "config.json").get("out_features", width))
    record = EmbedderRecord(
        name=name,
        revision=revision(folder),
        dimensions=width,
        pooling=_pooling(folder / pooling_folder / "config.json" if pooling_folder else None, name),
        normalize=settings.get("similarity_fn_name") != "dot" or any(kind == "normalize" for kind, _ in steps),
        query_prefix=query,
        passage_prefix=passage,
        most_tokens=_most_tokens(folder, config),
        layers=tuple(dense),
    )
    return record, folder


def revision(folder: Path) -> str:
    """SHA-256 over all that decides a model's vectors."""
    digest = hashlib.sha256()
    files = {file for pattern in _FILES for file in folder.glob(pattern) if file.is_file() and not file.name.startswith(".")}
    for file in sorted(files):
        digest.update(f"{file.relative_to(folder).as_posix()}\0{sha256(file)}\n".encode())
    return digest.hexdigest()


def require_same(built: EmbedderRecord, now: EmbedderRecord) -> None:
    """Raise ModelError if questions would be embedded otherwise than the passages of an index were."""
    if built.revision != now.revision:
        raise ModelError(
            f"the index was built with revision {built.revision[:12]} of {built.name}, and this is revision "
            f"{now.revision[:12]} of {now.name}",
            hint="Vectors of different models are not comparable. Build the index again, or use the model it was built with.",
            where="embedder",
        )


def _steps(folder: Path, name: str) -> list[tuple[str, str]]:
    """The steps that a model lists, as (kind, folder)."""
    if not (folder / "modules.json").exists():
        return [("transformer", ""), ("pooling", ""), ("normalize", "")]
    steps = []
    for step in json.loads((folder / "modules.json").read_text("utf-8")):
        kind = _MODULES.get(
            str(step.get("type", "")).replace("sentence_transformers.sentence_transformer.", "sentence_transformers.")
        )
        path = str(step.get("path", ""))
        if kind is None:
            raise ModelError(
                f"its step `{step.get('type')}` is not supported",
                hint="Use a model made of a transformer, pooling, dense layers and normalization.",
                where=name,
            )
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ModelError("its modules.json refers to a path outside its folder", hint="Download it again.", where=name)
        steps.append((kind, path))
    return steps


def _pooling(file: Path | None, name: str) -> Pooling:
    if file is None or not file.exists():
        return "mean"
    values = _json(file)
    if isinstance(values.get("pooling_mode"), str):
        values = {f"pooling_mode_{values['pooling_mode']}": True, f"pooling_mode_{values['pooling_mode']}_token": True} | {
            f"pooling_mode_{values['pooling_mode']}_tokens": True
        }
    chosen: list[Pooling] = [kind for key, kind in _POOLING.items() if values.get(key)]
    if len(chosen) != 1:
        raise ModelError(
            "its pooling is not mean, first, last or maximum",
            hint="Choose another embedding model.",
            where=f"{name}: {file.name}",
        )
    return chosen[0]


def _prefix(prompts: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(prompts[name]) for name in names if prompts.get(name)), "")


def _most_tokens(folder: Path, config: dict[str, Any]) -> int:
    values = _json(folder / "sentence_bert_config.json")
    most = values.get("max_seq_length") or config.get("max_position_embeddings") or 512
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert"):  # two positions are not for tokens
        most = min(int(most), int(config.get("max_position_embeddings", 514)) - 2)
    return min(int(most), 8_192)


def _json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text("utf-8")) if file.exists() else {}
    except ValueError as problem:
        raise ModelError(f"{file.name} cannot be read: {problem}", hint="Download the model again.", where=str(file)) from None
    return values if isinstance(values, dict) else {}
