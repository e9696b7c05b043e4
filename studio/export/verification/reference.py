"""The reference of one run's exports: what base + adapter answer to the probe. Computed once, kept beside the exports."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.files import folder_aside, read_json, write_json
from studio.export.merging.source import Source, source_tokenizer
from studio.export.verification import answers
from studio.export.verification.answers import Answer, Case, Forced, Reference
from studio.export.verification.probe import Probe
from studio.hardware import machine as machines
from studio.models.loading import free_memory
from studio.tracking.reporter import Reporter

FOLDER = ".reference"


def reference(source: Source, probe: Probe, reporter: Reporter) -> Reference:
    """What base + adapter answer, the base held exactly as it was while training. Kept for the exports that follow."""
    found = _found(source, probe, reporter)
    return replace(found, room=probe.evidence.room) if probe.evidence else found


def _found(source: Source, probe: Probe, reporter: Reporter) -> Reference:
    """The reference that is kept, or a new one."""
    folder = source.exports / FOLDER / key(source, probe)
    if (folder / "reference.json").exists():
        return load(folder)
    tokenizer = source_tokenizer(source)
    model = tuned(source)
    cases = [answers.case(conversation, tokenizer) for conversation in probe.asked()]
    found = answers.ask(answers.Transformers(model, tokenizer), answers.Untuned(model, tokenizer), cases, tokenizer, reporter)
    save(found, folder)
    del model
    free_memory()
    return found


def key(source: Source, probe: Probe) -> str:
    """What a reference depends on, as sixteen hex digits."""
    limits = (answers.KEPT, answers.POSITIONS, answers.LONGEST_PROMPT, answers.LONGEST_ANSWER)
    return source.key([conversation.as_dict() for conversation in probe.asked()], limits)


def tuned(source: Source) -> Any:
    """Base + adapter, as evaluation loads them."""
    from studio.models import loading

    return loading.attach_adapter(loading.load_base(source.model, machines.probe().device, source.base), source.adapter)


def save(found: Reference, folder: Path) -> None:
    """Keep a reference in `folder`."""
    with folder_aside(folder) as aside:
        arrays = {
            f"{name}{place}": array for name in ("tokens", "logp") for place, array in enumerate(getattr(found.forced, name))
        }
        np.savez(aside / "reference.npz", **arrays)  # names never clash with `file`
        values = {
            "cases": [asdict(case) for case in found.cases],
            "answers": [asdict(answer) for answer in found.answers],
            "effect": found.effect,
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
