"""Use cases of drafting a run in a form: datasets by name instead of paths, plans kept, what is missing, starting it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from studio import spec as specs
from studio.app import cli_subprocess, library, queue
from studio.app.runs import Run
from studio.core.errors import SpecError
from studio.data.settings import ReadAs
from studio.runs.plan import PlanRecord
from studio.spec import RunSpec

_plans: OrderedDict[tuple[str, str], PlanRecord] = OrderedDict()
_lock = threading.Lock()
KEEP = 64


def build(
    name: str, model: str, data: list[str], fields: Mapping[str, object], exports: Sequence[Mapping[str, object]], home: Path
) -> RunSpec:
    """A spec from what a form holds. data are keys of the library, or names as a spec has them. Raises SpecError.

    What was confirmed of how a dataset is read is taken over, unless the form says otherwise.
    """
    if not data:
        raise SpecError(
            "no training data is chosen", hint="Choose a dataset, or upload one on the Data page.", where="data.train"
        )
    known = {item.key: item for item in library.versions(home)}
    train: list[str] = []
    settings: dict[str, Any] = {}
    for item in data:
        found = known.get(item)
        train.append(found.reference if found else item)
        settings.update({f"data.{field}": value for field, value in (found.settings if found else ReadAs()).items()})
    values: dict[str, Any] = {
        "name": name.strip() or "run",
        "data.train": train if len(train) > 1 else train[0],
        **settings,
        **fields,
    }
    if model.strip():
        values["model.name"] = model.strip()
    if exports:
        values["export"] = exports
    spec = specs.parse(specs.nested(values))
    library.refuse_outside(spec, home)
    return spec


def read_yaml(text: str, home: Path) -> RunSpec:
    """A spec from pasted or uploaded YAML. Raises SpecError."""
    spec = specs.parse_text(text, "YAML")
    library.refuse_outside(spec, home)
    return spec


def data_keys(spec: RunSpec, home: Path) -> list[str]:
    """A spec's training files as keys of the library where they are whole datasets, else as they are."""
    left = list(spec.data.files)
    found: list[str] = []
    known = library.versions(home)
    references = {item.reference: item.key for item in known}
    while left:
        if left[0] in references:
            found.append(references[left.pop(0)])
            continue
        item = next((item for item in known if tuple(left[: len(item.files)]) == item.files), None)
        found.append(item.key if item else left[0])
        left = left[len(item.files) if item else 1 :]
    return found


def plan(spec: RunSpec, home: Path, gpu: str = "") -> PlanRecord:
    """The plan of a spec; kept, because a form asks for the same one again and again. Raises StudioError."""
    key = (specs.fingerprint(spec), gpu)
    with _lock:
        if key in _plans:
            _plans.move_to_end(key)
            return _plans[key]
    made = cli_subprocess.plan(spec, home, gpu)
    with _lock:
        _plans[key] = made
        while len(_plans) > KEEP:
            _plans.popitem(last=False)
    return made


def start(spec: RunSpec, home: Path, who: str = "") -> Run:
    """Put the run into the queue; it starts as soon as the device is free. Raises StudioError."""
    library.refuse_outside(spec, home)
    return queue.submit(spec, home, who)
