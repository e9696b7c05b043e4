"""The disk a run takes, by part."""

from __future__ import annotations

from studio.export.targets import AnyTarget
from studio.hardware.memory import optimizer_bytes
from studio.planner.case import Case
from studio.planner.plan import Disk
from studio.runs.plan import TeacherEstimate
from studio.spec import ResolvedSpec

CHECKPOINTS = 3
"""Checkpoints there may be at once: the best, the last, and the one being written."""
GGUF_BITS = {"f16": 16.0, "q8_0": 8.5, "q6_k": 6.6, "q5_k_m": 5.8, "q4_k_m": 5.0}
"""Bits a weight takes in a GGUF file: q8_0 is 8 and a 16-bit scale for 32; q4_k_m mixes 4.5 and 6.6 bits."""
TOKEN = 5
"""Bytes an encoded token takes: its id and its mask."""


def own_width(case: Case) -> int:
    """Bytes of a weight as the base model is published."""
    own = case.text.get("dtype") or case.text.get("torch_dtype") or case.config.get("dtype") or case.config.get("torch_dtype")
    return 4 if own == "float32" else 2


def label(target: AnyTarget) -> str:
    """An export in a few words: its kind, and its quantisation where it has one."""
    return f"{target.kind} {getattr(target, 'quant', '')}".strip()


def merges(target: AnyTarget) -> bool:
    """True if the target is made from the merged model."""
    return target.kind not in ("adapter", "gguf_adapter")


def disk_of(spec: ResolvedSpec, case: Case, trained: int, teacher: TeacherEstimate | None = None) -> Disk:
    """Bytes of the download, the encoded data, the checkpoints, the adapter and each export, and what is free."""
    every = case.dims.parameters
    tokens = case.rows.tokens + int(case.rows.held_out.sum())
    checkpoints = CHECKPOINTS * (4 * trained + optimizer_bytes(trained, spec.training.optimizer))
    items = [
        ("base model (download)", 0 if case.cached else own_width(case) * every),
        ("encoded data", TOKEN * tokens),
        ("checkpoints", checkpoints),
        ("adapter", 4 * trained),
        ("the teacher's probabilities", teacher.cache if teacher else 0),
        ("while cross-validating (one fold)", checkpoints + 4 * trained if spec.evaluation.folds else 0),
    ]
    for target in spec.export:
        items.append((f"export {label(target)}", target.size(case.dims, trained)))
    kinds = {target.kind for target in spec.export}
    if any(map(merges, spec.export)) and "merged" not in kinds:
        items.append(("while exporting (merged copy)", own_width(case) * every))
    if any("_k" in str(getattr(target, "quant", "")) for target in spec.export):  # llama.cpp makes K-quants from an f16 file
        items.append(("while exporting (f16 GGUF)", 2 * every))
    return Disk(tuple((name, size) for name, size in items if size), case.machine.disk_free)
