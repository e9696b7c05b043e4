"""Use case of planning: what would this run need and decide? Trains nothing, keeps nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import data_sources
from studio.core.files import studio_home
from studio.core.text import plural
from studio.spec import RunSpec, as_spec
from studio.tracking.reporter import Silent

if TYPE_CHECKING:
    from studio.data.report import DataReport
    from studio.planner.plan import Plan

CHECKED = 10_000
"""Rows whose content a plan checks: as many take two CPU seconds. The run itself checks more of them."""


def plan(spec: RunSpec | str | Path | Mapping[str, Any], gpu: str | None = None, home: str | Path | None = None) -> Plan:
    """The plan of a spec: decisions with reasons, memory by part, counts, time. Raises StudioError.

    spec: a `RunSpec`, the path of a YAML file, or a mapping.
    gpu plans for a GPU you do not have, e.g. "RTX 3060". home is where runs are kept: earlier ones correct the estimates.
    """
    from studio import planner
    from studio.data import desk_report, encode, prepare, replay
    from studio.hardware import machine
    from studio.models import loading
    from studio.runs import judging
    from studio.runs.run_history import measured_runs

    spec = data_sources.pinned(as_spec(spec), home)
    planner.refuse_without_teacher(spec)
    judging.refuse(spec, studio_home(home))
    located = data_sources.located(spec, home)
    found = loading.find(spec.model, planning=True)
    with tempfile.TemporaryDirectory(prefix="studio-plan-") as folder:
        data = Path(folder)
        report = prepare.prepare(located, spec.training.seed, data, needs=spec.training.method.needs)
        checked = desk_report.check_rows(data / "train.jsonl", tuple(spec.data.regions), Silent(), CHECKED)
        tokenizer = loading.tokenizer(found, spec.model.chat_template) if found.has_tokenizer else None
        replayed = planner.mix_in(data, spec, found, studio_home(home))
        general = data / replay.NAME
        if tokenizer is None:
            files = (data / "train.jsonl", data / "held-out.jsonl", spec.training.method.needs)
            rows = planner.rows_by_characters(*files, general if replayed else None, replayed)
        else:
            parts: list[Any] = []
            for name in ("train", "held-out"):
                file = data / f"{name}.jsonl"
                there = file.exists() and file.stat().st_size
                tokens, needs = data / f"{name}.tokens", spec.training.method.needs
                also = general if name == "train" and replayed else None
                encoded = (
                    encode.encode_file(file, tokenizer, spec.data.train_on, tokens, needs=needs, replay=also) if there else None
                )
                parts.append(encoded)
            rows = replace(planner.rows_for(spec, parts[0], parts[1]), replayed=replayed)
        rows = replace(rows, held_out_from=planner.held_out_from(spec.data, planner.made_rows(spec, studio_home(home))))
        spec = planner.settled(spec, planner.start_folder(spec, studio_home(home)), found.config)
        teacher = planner.teacher(spec, studio_home(home), tokenizer, "fp32", planning=True)
        device, earlier = machine.probe(gpu, studio_home(home)), measured_runs(studio_home(home))
        made = planner.resolve(spec, device, found, rows, earlier, teacher)
        said = (*_left_out(report), *report.warnings, *checked.summary())
        return replace(made, warnings=(*said, *made.warnings))


def _left_out(report: DataReport) -> Iterator[str]:
    """Rows that are not trained on, by kind."""
    totals = report.totals
    if totals.duplicates:
        yield f"{totals.duplicates:,} of {plural(totals.rows, 'row')} repeat an earlier one and are left out"
    if totals.rejected:
        kinds = ", ".join(f"{count:,} × {kind}" for kind, count in report.rejected.by_reason.items())
        yield f"{totals.rejected:,} of {plural(totals.rows, 'row')} cannot be used: {kinds}"
    if report.split and report.split.leaked:
        yield f"{plural(report.split.leaked, 'training row')} left out: the held-out file asks the same"
