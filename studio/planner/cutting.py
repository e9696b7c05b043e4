"""Rows that are too long: what becomes of them, and how the plan counts texts that are cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from studio.core.text import count, plural
from studio.data.limits import Overlong
from studio.data.pieces import piece_lengths
from studio.planner import fitting
from studio.planner.case import Case, Fit
from studio.planner.draft import Draft
from studio.planner.rows import Rows
from studio.spec import RunSpec, edit

LONGEST = 2048
"""Tokens of a piece of text, unless the spec says: longer ones take memory and few texts need them."""
SHORTEST = 256
"""Tokens below which pieces are not made to save memory."""


def overlong(spec: RunSpec) -> Overlong:
    """What becomes of rows that are too long: texts are split where the method learns from texts, others are left out."""
    return spec.data.overlong or ("split" if spec.training.method.needs == "texts" else "drop")


def fitted(spec: RunSpec, case: Case) -> tuple[Case, Fit]:
    """The fastest way that fits, with the rows as it computes them; where texts are split, the longest pieces that fit."""
    if overlong(spec) != "split" or not len(case.rows) or case.rows.per_row > 1:
        return case, fitting.fit(spec, case)
    found = None
    for length in _lengths(spec, case):
        cut = replace(case, rows=split(case.rows, length))
        found = cut, fitting.fit(edit(spec, {"data.max_length": length}), cut)
        if found[1].memory.total <= case.machine.memory_budget:
            break
    assert found is not None  # there is one length at least
    return found


def _lengths(spec: RunSpec, case: Case) -> Iterator[int]:
    length = spec.data.max_length or max(16, min(case.rows.longest, case.positions, LONGEST))
    yield length
    while not spec.data.max_length and (length := length // 2) >= SHORTEST:
        yield length


def split(rows: Rows, length: int) -> Rows:
    """The rows with those texts in pieces that are longer than `length` tokens; conversations stay as they are."""
    trained = rows.trained_in_rows if rows.trained_in_rows is not None else rows.lengths
    texts = trained >= rows.lengths - 1
    pieces = [
        (piece, piece - (number > 0)) if text else (piece, own)
        for size, own, text in zip(rows.lengths.tolist(), trained.tolist(), texts.tolist(), strict=True)
        for number, piece in enumerate(piece_lengths(np.array([size]), length).tolist() if text else [size])
    ]
    lengths, learned = (np.array(values, dtype=np.int64) for values in zip(*pieces, strict=True))
    held_out = piece_lengths(rows.held_out, length)
    return replace(rows, lengths=lengths, trained=int(learned.sum()), trained_in_rows=learned, held_out=held_out)


def decide(draft: Draft, before: Rows, case: Case, chosen: Fit) -> None:
    """What becomes of over-long rows, and the length of the pieces. before: the rows uncut."""
    wanted = overlong(draft.spec)
    why = "nothing of a text is lost" if wanted == "split" else "a part of a conversation says something else"
    draft.settle("data.overlong", wanted, why, "truncate keeps the end of a row")
    cut = before.over(chosen.max_length)
    if wanted != "split" or not cut:
        return
    made = plural(len(case.rows) - len(before) + cut, "row")
    reason = f"{count(cut)} of {plural(len(before), 'row')} are longer texts, which are cut into {made}"
    draft.settle("data.max_length", chosen.max_length, reason, "longer pieces see more of a text at once and take more memory")
