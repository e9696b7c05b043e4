"""General rows for a run: how many is decided before its rows are encoded, for the plan counts them too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from studio.data import prepare, replay
from studio.data.report import DataReport
from studio.evaluation.sets import question_sets
from studio.models.dims import model_dims
from studio.planner import learning
from studio.spec import RunSpec


class _HasConfig(Protocol):
    @property
    def config(self) -> dict[str, Any]: ...


def mix_in(data: Path, requested: RunSpec, base_model: _HasConfig, home: Path) -> int:
    """Write the general rows of a run into its data folder, once; returns how many there are. None asks what is evaluated."""
    file, held_out = data / replay.NAME, data / "held-out.jsonl"
    if not file.exists():
        split = DataReport.read(data / "report.json").split
        rows = split.train if split else 0
        share, _ = learning.replay(requested, model_dims(base_model.config), rows)
        if share:
            kept_apart = list(prepare.conversations(held_out)) if held_out.exists() else []
            sets = question_sets(kept_apart, requested.evaluation, requested.data, requested.model.name, home)
            avoid = [row for each in sets for row in each.rows]
            texts = requested.training.method.needs == "texts"
            characters = sum(len(row.text) for row in prepare.conversations(data / "train.jsonl")) if texts else None
            replay.write(file, requested.data, share, rows, requested.training.seed, avoid, characters)
    return replay.count(file)
