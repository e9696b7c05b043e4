"""The reference of one run's exports: what base + adapter answer to the probe. Computed once, kept beside the exports."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.files import folder_aside, read_json, write_json
from studio.evaluation.report import ModelAnswer
from studio.export.merging.source import Source, source_tokenizer
from studio.export.resources import KEPT
from studio.export.verification import answers, evidence
from studio.export.verification.answers import Answer, Case, Forced, Reference
from studio.export.verification.evidence import Evidence
from studio.export.verification.probe import Probe
from studio.hardware import machine as machines
from studio.models.loading import free_memory
from studio.tracking.reporter import Reporter


class _Tuned:
    """Base + adapter, loaded when it is asked first."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @cached_property
    def sides(self) -> tuple[answers.Untuned, answers.Transformers]:
        """The base and base + adapter, which are one model."""
        model, tokenizer = tuned(self._source), source_tokenizer(self._source)
        return answers.Untuned(model, tokenizer), answers.Transformers(model, tokenizer)


def reference(source: Source, probe: Probe, reporter: Reporter) -> tuple[Reference, Probe]:
    """What base + adapter answer, the base held exactly as it was while training; and the probe with what they answer to the
    rows of which the run's report keeps no answer. Both are kept for the exports that follow."""
    model = _Tuned(source)
    found = _cached_or_new(source, probe, model, reporter)
    complete = probe.with_sets(partial(_answered, source, model, reporter))
    del model
    free_memory()
    return replace(found, evidence_tokens=max((item.tokens_needed for item in probe.sets), default=0)), complete


def _cached_or_new(source: Source, probe: Probe, model: _Tuned, reporter: Reporter) -> Reference:
    """The reference that is kept, or a new one."""
    folder = source.exports / KEPT / key(source, probe)
    if (folder / "reference.json").exists():
        return load(folder)
    base, both = model.sides
    cases = [answers.case(conversation, both.tokenizer) for conversation in probe.questions()]
    found = answers.ask(both, base, cases, both.tokenizer, reporter)
    save(found, folder)
    return found


def _answered(source: Source, model: _Tuned, reporter: Reporter, wanted: Evidence) -> Evidence:
    """A set with what base and base + adapter answer to it, where the report does not say."""
    if wanted.known:
        return wanted
    of = source.key(wanted.name, wanted.longest, [row.ids for row in wanted.rows])
    file = source.exports / KEPT / f"{wanted.name}-{of}.json"
    if not file.exists():
        said = [evidence.ask_rows(side, side.tokenizer, wanted, reporter) for side in model.sides]
        write_json(file, {name: list(map(asdict, side)) for name, side in zip(("base", "tuned"), said, strict=True)})
    kept = read_json(file)
    base, both = ([ModelAnswer(**answer) for answer in kept[side]] for side in ("base", "tuned"))
    return wanted.with_given(base, both)


def key(source: Source, probe: Probe) -> str:
    """What a reference depends on, as sixteen hex digits."""
    limits = (answers.KEPT, answers.POSITIONS, answers.LONGEST_PROMPT, answers.LONGEST_ANSWER)
    return source.key([conversation.as_dict() for conversation in probe.questions()], limits)


def tuned(source: Source) -> Any:
    """Base + adapter, as evaluation loads them."""
    from studio.models import loading

    return loading.attach_adapter(loading.load_base(source.model, machines.probe().device, source.base), source.adapter)


def save(reference: Reference, folder: Path) -> None:
    """Keep a reference in `folder`."""
    with folder_aside(folder) as aside:
        arrays = {
            f"{name}{place}": array
            for name in ("tokens", "logp")
            for place, array in enumerate(getattr(reference.forced, name))
        }
        np.savez(aside / "reference.npz", **arrays)  # names never clash with `file`
        values = {
            "cases": [asdict(case) for case in reference.cases],
            "answers": [asdict(answer) for answer in reference.answers],
            "effect": reference.effect,
        }
        write_json(aside / "reference.json", values)


def load(folder: Path) -> Reference:
    """The reference kept in `folder`."""
    values = read_json(folder / "reference.json")
    cases = [Case(**case) for case in values["cases"]]
    with np.load(folder / "reference.npz", allow_pickle=False) as arrays:
        tokens = [arrays[f"tokens{place}"] for place in range(len(cases))]
        logp = [arrays[f"logp{place}"] for place in range(len(cases))]
    return Reference(cases, Forced(tokens, logp), [Answer(**answer) for answer in values["answers"]], values["effect"])
