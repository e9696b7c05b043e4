"""Use case of pruning: a run's model, or any model, without the layers it needs least; of a run, a run that heals it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app.runs import Run
from studio.core import events
from studio.core.errors import JobError, SpecError
from studio.core.files import studio_home
from studio.core.text import parameters, plural, slug
from studio.models.settings import Model
from studio.runs import folder as folders
from studio.runs import lifecycle
from studio.runs.folder import RunFolder
from studio.spec import edit, parse, with_full_paths

if TYPE_CHECKING:
    from studio.data.rows import Conversation
    from studio.models.pruning import PrunedModel
    from studio.models.tokens import Tokenizer

HARD = 0.5
"""How much the rows' own answers count beside the unpruned model when a pruned one is healed."""
TOKENS = 16_384
"""Tokens of the rows that tell which layers matter: means over so many hardly move any more."""


@dataclass(frozen=True)
class Pruned:
    """A pruned model's folder, its record, and the run that heals it, if any."""

    folder: Path
    record: PrunedModel
    run: Run | None = None

    @property
    def summary(self) -> str:
        """What was left out, and how much smaller it is, in a sentence."""
        record = self.record
        left = ", ".join(f"{layer} (similarity {record.similarity[layer]:.3f})" for layer in record.dropped)
        smaller = 1 - record.parameters / record.parent_parameters
        return (
            f"left out {plural(len(record.dropped), 'layer')} of {record.layers}: {left}; {parameters(record.parameters)} "
            f"parameters instead of {parameters(record.parent_parameters)} ({smaller:.0%} fewer)"
        )


def prune(
    reference: str,
    layers: int,
    home: Path | None = None,
    rows: str = "",
    out: Path | None = None,
    name: str | None = None,
    heal: bool = True,
) -> Pruned:
    """Leave `layers` decoder layers out of a run's merged model, or of a model, and write the rest as a model folder.

    Which, is decided on the run's training rows, or on those of the file `rows`. A new run is made that heals the smaller model
    on the same rows by distillation from the unpruned one; it is not started yet. Raises SpecError, ModelError for what cannot
    be pruned.
    """
    from studio import worker

    worker.set_environment()
    root = studio_home(home)
    parent = _run(reference, root)
    if parent is None and not rows:
        raise SpecError(
            "there is no run of this name; for a model, rows are required to choose the layers",
            hint="Name a run, or add a file of rows for the model's task: --rows FILE.",
            where=reference,
        )
    if parent is not None and not rows and not (parent.data / "train.jsonl").exists():
        raise SpecError("this run has no training rows", hint="Name a file with rows: --rows FILE.", where=parent.id)
    label = parent.spec().name if parent else reference
    target = out or root / "models" / f"{slug(Path(label).name)}-minus-{layers}"
    if target.exists():
        raise SpecError("the folder already exists", hint="Name another folder: --out FOLDER.", where=str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pruning-") as scratch:
        record = _write(parent, reference, layers, rows, target, Path(scratch))
    if not heal:
        run = None
    elif parent is not None and (parent.data / "train.jsonl").exists():
        run = _healing(parent, target, record, name, root)
    else:
        run = _healing_model(reference, target, record, name, rows, root)
    return Pruned(target, record, run)


def start(pruned: Pruned) -> None:
    """Start the run that heals a pruned model. Returns at once."""
    if pruned.run is not None:
        lifecycle.launch(pruned.run.folder)


def _run(reference: str, root: Path) -> RunFolder | None:
    try:
        run = folders.find(reference, root)
    except JobError:
        return None
    if not (run.adapter / "adapter_config.json").exists():
        raise SpecError(f"run {run.id} has no trained adapter", hint="Wait until it is trained, or resume it.", where=reference)
    return run


def _write(parent: RunFolder | None, reference: str, layers: int, rows: str, out: Path, scratch: Path) -> PrunedModel:
    """Merge, measure, leave out, write."""
    from studio import pipeline
    from studio.data import prepare, render
    from studio.data.settings import Data
    from studio.export.merging.merge import saved_dtype
    from studio.export.targets.merged_model import merged_folder
    from studio.models import loading, pruning
    from studio.models.dims import model_dims
    from studio.tracking.reporter import Silent

    if parent is not None:
        prepared = pipeline.reopen(parent)
        source, tokenizer, spec = pipeline.export_source(parent, prepared), prepared.tokenizer, prepared.spec
        where, dtype, train_on = str(merged_folder(source, source.onto(None), scratch, Silent())), saved_dtype(source, None), ""
        train_on, base = spec.data.train_on, spec.model.name
    else:
        found = loading.find(Model(name=reference))
        where, dtype, train_on, base = reference, loading.stored_dtype(found.config), "assistant", reference
        tokenizer = loading.tokenizer(found, None)
    found = loading.find(Model(name=where))
    model = loading.load_base(Model(name=where, quantization="none", dtype=dtype, attention="sdpa"), "cpu", found)  # pyright: ignore[reportArgumentType]
    asked = prepare.load_questions(rows, Data(train=rows)) if rows else prepare.conversations(_rows_of(parent))
    similarity = pruning.similarity(model, _ids(asked, tokenizer, render, train_on))
    dropped = similarity.least_needed(layers)
    before = sum(weights.numel() for weights in model.parameters())
    pruning.drop(model, dropped)
    record = pruning.PrunedModel(
        parent=parent.id if parent else reference,
        base=base,
        layers=len(similarity.by_layer),
        dropped=dropped,
        similarity=similarity.by_layer,
        tokens=similarity.tokens,
        parameters=sum(weights.numel() for weights in model.parameters()),
        parent_parameters=before,
    )
    pruning.write(model, tokenizer, record, dtype, out)
    model_dims(loading.find(Model(name=str(out))).config)  # what is written can be planned and loaded
    return record


def _rows_of(parent: RunFolder | None) -> Path:
    assert parent is not None
    return parent.data / "train.jsonl"


def _ids(
    rows: Iterator[Conversation] | list[Conversation], tokenizer: Tokenizer, render: Any, train_on: str
) -> Iterator[list[int]]:
    """The token ids of rows, until there are `TOKENS` of them."""
    tokens = 0
    for row in rows:
        ids = [int(token) for token in render.encode(row, tokenizer, train_on).ids]
        yield ids
        tokens += len(ids)
        if tokens >= TOKENS:
            return


def _healing(parent: RunFolder, folder: Path, record: PrunedModel, name: str | None, root: Path) -> Run:
    """A run with the parent's settings on the smaller model, and with its very rows, taught by the parent."""
    asked = with_full_paths(parent.asked_spec())
    changes: dict[str, Any] = {
        "name": name or folder.name[:80],
        "model.name": str(folder),
        "model.revision": None,
        "adapter.start_from": None,
    }
    if asked.training.method.needs != "labels" and not asked.evaluation.folds:  # bad answers are not to be learned
        changes["training.method"] = {"kind": "distil", "teacher": parent.id, "hard": HARD, "baseline": "off"}
    run = folders.create(edit(asked, changes, "prune"), root)
    run.data.mkdir()
    for part in ("report.json", "findings.json", "train.jsonl", "held-out.jsonl"):
        if (parent.data / part).exists():
            shutil.copyfile(parent.data / part, run.data / part)
    run.event(events.Note(message=f"heals {record.parent} without {plural(len(record.dropped), 'layer')}"))
    return Run(run)


def _healing_model(reference: str, folder: Path, record: PrunedModel, name: str | None, rows: str, root: Path) -> Run:
    """A run on the smaller model and the rows of a file, taught by the model it was made from."""
    method = {"kind": "distil", "teacher": reference, "hard": HARD, "baseline": "off"}
    values = {"name": name or folder.name[:80], "model": {"name": str(folder)}, "data": {"train": rows}}
    spec = with_full_paths(parse({**values, "training": {"method": method}}, "prune"))
    run = folders.create(spec, root)
    run.event(events.Note(message=f"heals {record.parent} without {plural(len(record.dropped), 'layer')}"))
    return Run(run)
