"""Use case of merging adapters: several runs or adapter folders become one, which is evaluated and exported like any run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app.runs import Run
from studio.core import events
from studio.core.errors import JobError, SpecError
from studio.core.files import studio_home, write_json, write_text
from studio.core.text import plural, slug
from studio.runs import folder as folders
from studio.runs import lifecycle
from studio.runs.folder import RunFolder
from studio.runs.records import RunLock
from studio.spec import ResolvedSpec, edit, fingerprint

if TYPE_CHECKING:
    from studio.models.adapter_merge import MergeRecord, Method


@dataclass(frozen=True)
class MergeRequest:
    """What was asked for: at least two adapters as they are named, and how they are merged."""

    adapters: tuple[str, ...]
    method: Method = "cat"
    weights: tuple[float, ...] = ()
    """One for each; none: equal shares, whose sum is 1."""
    rank: int | None = None
    density: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Merged:
    """A merged adapter: its folder, its record, and the run that was made of it, if any."""

    folder: Path
    record: MergeRecord
    run: Run | None = None


def merge(request: MergeRequest, home: Path | None = None, out: Path | None = None, name: str | None = None) -> Merged:
    """Merge adapters into the folder `out`, or else into a new run that is not started yet: it has its adapter, and when it is
    started its evidence and exports are made.

    Such a run takes settings and exports from the first run among those given, and the held-out rows of them all. Raises
    SpecError for a request that means nothing, ModelError for adapters that cannot be merged.
    """
    from studio.models import adapter_merge
    from studio.models.adapter_merge import Adapter

    root = studio_home(home)
    weights = _weights(request)
    located = [_locate(given, root) for given in request.adapters]
    parents = [run for _, run in located if run is not None]
    _same_base(parents)
    adapters = [
        Adapter(path, run.id if run else given, weight)
        for (path, run), given, weight in zip(located, request.adapters, weights, strict=True)
    ]
    if out is None and not parents:
        raise SpecError(
            "none of these is a run, so there are no rows to evaluate the result on",
            hint="Name an output folder: --out FOLDER. `studio chat` and `studio serve` accept it.",
            where="--out",
        )
    if out is not None and out.exists():
        raise SpecError("the folder already exists", hint="Choose another folder.", where=str(out))

    def write(folder: Path) -> MergeRecord:
        return adapter_merge.merge(adapters, folder, request.method, request.rank, request.density, request.seed)

    if out is not None:
        return Merged(out, write(out))
    changes: dict[str, Any] = {
        "name": name or _name(adapters),
        "adapter.start_from": None,
        "adapter.kind": "lora",
        "adapter.ranks": {},
    }
    spec = edit(parents[0].resolved_spec(), changes, "merge")
    folder = folders.create(spec, root)
    try:
        record = write(folder.adapter)
        _fill(folder, spec, parents, record)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return Merged(folder.adapter, record, Run(folder))


def start(merged: Merged) -> None:
    """Start the run that was made of a merge: its evidence, then its exports. Returns at once."""
    if merged.run is not None:
        lifecycle.launch(merged.run.folder)


def summary(record: MergeRecord) -> str:
    """What was merged how, and what was lost, in a sentence."""
    from studio.models.adapter_merge import METHODS

    told = f"{record.method}: {METHODS[record.method]}. Rank {record.rank}"
    if record.method == "cat":
        return f"{told}, nothing lost"
    told += f" of {record.exact_rank}, which leaves out {record.error:.1%} of the update"
    if record.density is None:
        return told
    return f"{told}; {record.density:.0%} of each was kept, which changed the sum by {record.changed:.0%} of its norm"


def _weights(request: MergeRequest) -> list[float]:
    count = len(request.adapters)
    if count < 2:
        raise SpecError("there is nothing to merge", hint="Name at least two runs or adapter folders.", where="ADAPTER")
    if request.weights and len(request.weights) != count:
        raise SpecError(
            f"{plural(len(request.weights), 'weight')} for {plural(count, 'adapter')}",
            hint="Write one weight per adapter.",
            where="--weights",
        )
    if request.method in ("ties", "dare") and any(weight <= 0 for weight in request.weights):
        raise SpecError(f"{request.method} requires weights above 0", hint="Use cat or svd to subtract.", where="--weights")
    if request.density is not None and (request.method not in ("ties", "dare") or not 0 < request.density <= 1):
        raise SpecError(
            "a density is a share from 0 to 1, and only for ties and dare",
            hint="Leave it out, or choose --method ties.",
            where="--density",
        )
    if request.rank is not None and request.method == "cat":
        raise SpecError(
            "cat is exact, and its rank is the sum of the ranks", hint="Use --method svd for another.", where="--rank"
        )
    return list(request.weights) or [1 / count] * count


def _locate(reference: str, root: Path) -> tuple[Path, RunFolder | None]:
    """The adapter folder that a name stands for, and its run."""
    from studio.planner import starting

    return starting.locate(reference, root, "ADAPTER")


def _same_base(parents: Sequence[RunFolder]) -> None:
    models = [run.spec().model for run in parents]
    for run, model in zip(parents, models, strict=True):
        if (model.name, model.revision) != (models[0].name, models[0].revision):
            raise SpecError(
                f"{parents[0].id} was trained on {models[0].name}, and {run.id} on {model.name}",
                hint="Only adapters of one base can be merged.",
                where=run.id,
            )


def quantizations(merged: Merged, home: Path | None = None) -> str:
    """A warning where the runs held the base differently while they trained; empty if they did not."""
    held: dict[str, str] = {}
    for part in merged.record.parts:
        try:
            held[part.name] = str(folders.find(part.name, studio_home(home)).spec().model.quantization)
        except JobError:
            continue
    if len(set(held.values())) < 2:
        return ""
    return "trained on different quantizations of the base: " + ", ".join(f"{name} {how}" for name, how in held.items())


def _name(adapters: Sequence[object]) -> str:
    names = [slug(str(getattr(each, "name", "")).rpartition("/")[2].rpartition("-")[0] or "adapter") for each in adapters]
    return "-and-".join(names)[:60]


def _fill(folder: RunFolder, spec: ResolvedSpec, parents: Sequence[RunFolder], record: MergeRecord) -> None:
    """All that a run has when its training is done, so that starting it goes on with the evidence."""
    from studio.training.job import TrainingResult

    folder.data.mkdir()
    for name in ("report.json", "findings.json"):
        if (parents[0].data / name).exists():
            shutil.copyfile(parents[0].data / name, folder.data / name)
    held_out = {parent.id: _lines(parent.data / "held-out.jsonl") for parent in parents}
    every = dict.fromkeys(line for lines in held_out.values() for line in lines)
    write_text(folder.data / "held-out.jsonl", "".join(f"{line}\n" for line in every))
    own = [(name, lines) for name, lines in held_out.items() if 0 < len(set(lines)) < len(every)]
    files = [write_text(folder.data / f"{name}.jsonl", "".join(f"{line}\n" for line in lines)) for name, lines in own]
    rank = min(512, record.rank)
    also = [*spec.evaluation.also, *map(str, files)]
    spec = edit(spec, {"evaluation.also": also, "adapter.rank": rank, "adapter.alpha": rank}, "merge")
    folder.write_spec(spec)
    RunLock.read(parents[0].lock).model_copy(update={"fingerprint": fingerprint(spec), "start": None}).write(folder.lock)
    nothing = TrainingResult(0, 0.0, 0, 0, None, None, None, None, 0.0, 0, 0, False)
    write_json(folder.training, asdict(nothing))
    folder.event(events.Note(message=f"merged from {', '.join(part.name for part in record.parts)} by {record.method}"))


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text("utf-8").splitlines() if line] if file.exists() else []
