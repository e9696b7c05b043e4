"""The memory model against peaks that others published: `published.json` has the rows, their sources, what was assumed."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from studio.hardware import peak
from studio.hardware.memory import GIB
from studio.hardware.memory_config import MemoryConfig, TrainerTraits
from studio.models.dims import model_dims

TABLE: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text("utf-8"))
NOT_COUNTED = {"allocated": ("CUDA context", "fragmentation"), "reserved": ("CUDA context",), "process": ()}
"""The parts of an estimate that a kind of measurement does not see."""


def estimated(row: dict[str, Any]) -> int:
    source = TABLE["sources"][row["source"]]
    config = MemoryConfig(
        quantization=row["quantization"],
        double_quantization=row["double"],
        attention=row.get("attention", "sdpa"),
        rank=row["rank"],
        targets=tuple(row["targets"]),
        dora=row.get("dora", False),
        dropout=row["dropout"],
        optimizer=row["optimizer"],
        rows=row["batch"],
        length=row["length"],
        checkpointing=row["checkpointing"],
        answer_rows=1,
        answer_length=1,
        trainer=TrainerTraits(**source["code"]),
    )
    found = peak.estimate(model_dims(TABLE["models"][row["model"]]), config)
    return found.total - sum(found.of(name) for name in NOT_COUNTED[source["counts"]])


def errors(source: str | None = None) -> list[float]:
    """Relative errors, negative where too little was predicted."""
    unit = {"GB": 1e9, "GiB": GIB}
    rows = [row for row in TABLE["rows"] if source in (None, row["source"])]
    return [estimated(row) / (row["measured"] * unit[row["unit"]]) - 1 for row in rows]


def test_published_peaks_are_met_within_ten_percent_in_the_median_and_hardly_ever_missed_by_more() -> None:
    found = errors()
    assert len(found) >= 50
    assert median(map(abs, found)) <= 0.10
    assert sum(error < -0.10 for error in found) <= 0.05 * len(found)


@pytest.mark.parametrize("source", TABLE["sources"])
def test_each_source_is_met_within_ten_percent_in_the_median(source: str) -> None:
    assert median(map(abs, errors(source))) <= 0.10


def test_no_measurement_counts_twice() -> None:
    """Two configs with the same settings, counts of weights and peak are one measurement."""
    shown = [json.dumps({key: value for key, value in row.items() if key != "config"}, sort_keys=True) for row in TABLE["rows"]]
    assert len(set(shown)) == len(shown)


def test_every_row_says_where_it_is_from_and_what_was_assumed() -> None:
    used = {row["source"] for row in TABLE["rows"]}
    assert used == set(TABLE["sources"])
    assert all(source["url"].startswith("https://") and source["assumed"] for source in TABLE["sources"].values())
