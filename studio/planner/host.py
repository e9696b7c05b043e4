"""The RAM a run takes beside a card, by stage: the largest counts, for they follow one another."""

from __future__ import annotations

from collections.abc import Iterator

from studio.export.resources import RUNTIME
from studio.hardware.memory import GIB, offloaded_bytes, width
from studio.hardware.peak import Memory
from studio.planner.case import Case
from studio.planner.disk import label, merges, own_width
from studio.planner.plan import Ram
from studio.runs.plan import TeacherEstimate
from studio.spec import ResolvedSpec

CUDA_PROCESS = 3 * GIB
"""RAM of a process with torch's CUDA libraries loaded; an estimate, generous."""


def ram_of(spec: ResolvedSpec, case: Case, memory: Memory, teacher: TeacherEstimate | None = None) -> Ram:
    """Bytes of RAM at the peak of each stage, and what is free.

    Encoded rows and weight files are mapped, not read: of a base that goes to a card only a tensor at a time is in RAM. A
    merged model is made there whole, and read back whole in the format the run used, on a card or not.
    """
    first = [("reading by the teacher", teacher.memory.total)] if teacher and not case.cuda else []
    return Ram((*first, *_stages(spec, case, memory)), case.machine.ram_free)


def _stages(spec: ResolvedSpec, case: Case, memory: Memory) -> Iterator[tuple[str, int]]:
    largest = max(case.dims.embedding, max(inputs * outputs for inputs, outputs in case.dims.linears.values()))
    waiting = offloaded_bytes(case.dims, memory.config)
    yield "training", CUDA_PROCESS + 2 * 2 * largest + waiting if case.cuda else memory.total
    every, own = case.dims.parameters, own_width(case)
    checked = every * width(spec.model.dtype)
    for target in spec.export:
        if target.kind == "merged":
            yield "export merged", max(every * width(target.dtype or spec.model.dtype), checked) + RUNTIME
        elif merges(target):
            yield f"export {label(target)}", every * own + RUNTIME
