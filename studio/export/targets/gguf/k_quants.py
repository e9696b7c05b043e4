"""Quantising a run's f16 GGUF file to a K-quant, with an importance matrix of its training data where that helps.

Whether it helps is measured on the very model: both files are made, and the one that is nearer to the merged model on
training rows which the matrix was not made of is kept.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from studio.core.text import count
from studio.data import encode
from studio.export import resources as room
from studio.export.llamacpp import architectures, runtime
from studio.export.merging.source import Source
from studio.export.targets.gguf import quantize
from studio.export.targets.gguf.importance import Importance, importance, sample
from studio.export.verification import answers
from studio.export.verification import checks as verify
from studio.export.verification.answers import Case, Forced
from studio.tracking.reporter import Reporter

HELPS = ("q5_k_m", "q4_k_m")
"""Formats that a matrix is tried for. At six bits it was measured not to help: see docs/export.md."""
TOKENS = 4096
"""The matrix is read from about so many tokens: the mean of so many squares is within some percent of the whole."""
COMPARED, ROWS = 1536, 96
"""Answer tokens of other training rows on which both files are compared, about; and at most so many rows."""
LEAST = 64
"""With fewer training rows than this there is too little to make a matrix of and to compare on."""


def quantised(source: Source, merged: Path, first: Path, file: Path, quant: str, reporter: Reporter) -> dict[str, Any]:
    """Quantise the f16 file `first` of the model folder `merged` into `file`. Returns what is to be said of the matrix."""
    threads = room.threads(source)
    reporter.progress(0, 1, "quantising")
    quantize.quantize(first, file, quant, threads)
    if quant not in HELPS:
        return {}
    rows = _rows(source)
    if rows is None:
        return {"used": False, "statement": "No importance matrix: the run's training rows are too few or not there."}
    if not quantize.takes_importance():
        return {"used": False, "statement": "No importance matrix: this build of cyllama takes none."}
    matrix, cases, expected = _read(source, merged, rows, reporter)
    other = first.with_name("with-matrix.gguf")
    quantize.quantize(first, other, quant, threads, matrix)
    without, using = (_far(one, cases, expected, threads, reporter) for one in (file, other))
    if using < without:
        shutil.move(other, file)
    other.unlink(missing_ok=True)
    return {
        "used": using < without,
        "tokens": matrix.tokens,
        "rows_compared": len(cases),
        "kl_without": without,
        "kl_with": using,
        "statement": _statement(matrix, len(cases), without, using),
    }


def _statement(matrix: Importance, rows: int, without: float, using: float) -> str:
    made = f"importance matrix of {count(matrix.tokens)} tokens of the training data"
    moved = f"KL to the merged model on {rows} other training rows {without:.3g} without, {using:.3g} with"
    return f"{made[0].upper()}{made[1:]} used: {moved}." if using < without else f"No {made}, which did not help: {moved}."


def _rows(source: Source) -> encode.Tokens | None:
    if source.train is None or not (source.train / "meta.json").exists():
        return None
    rows = encode.load(source.train)
    return rows if len(rows) >= LEAST else None


def _read(source: Source, merged: Path, rows: encode.Tokens, reporter: Reporter) -> tuple[Importance, list[Case], Forced]:
    """The matrix of some training rows, and what the merged model expects on others."""
    chosen = sample(rows.lengths, TOKENS)
    chosen = chosen[:: max(1, round(2 * len(chosen) / len(rows)))]  # at least every second row is left to compare on
    others = np.setdiff1d(np.arange(len(rows)), chosen)
    usual = float(np.minimum(rows.trained_in_rows, answers.POSITIONS).mean())
    wanted = min(ROWS, len(others), max(1, round(COMPARED / max(usual, 1))))
    others = others[np.linspace(0, len(others) - 1, wanted).round().astype(int)]
    cases = [case for case in (_case(*rows[place]) for place in others) if case.positions]
    model = verify.load_exact(source, merged)
    arch = architectures.layout(source.base_config).name
    matrix = importance(model, [rows[place][0].tolist() for place in chosen], arch, reporter)
    expected = answers.forced(answers.Transformers(model, None), cases, reporter)
    del model
    room.free()
    return matrix, cases, expected


def _case(ids: np.ndarray, mask: np.ndarray) -> Case:
    """A training row's answer tokens, teacher-forced."""
    ids, mask = ids[: answers.LONGEST_PROMPT], mask[: answers.LONGEST_PROMPT]
    positions = (np.flatnonzero(mask[1:])[: answers.POSITIONS]).tolist()
    end = positions[-1] + 2 if positions else len(ids)
    return Case("", [], ids[:end].tolist(), positions)


def _far(file: Path, cases: list[Case], expected: Forced, threads: int, reporter: Reporter) -> float:
    with runtime.opened(file, max(len(case.ids) for case in cases) + 1, threads) as model:
        return answers.distances([expected], model, cases, reporter)[0].kl
