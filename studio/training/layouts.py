"""How the sequences of a micro-batch are laid out for the model: end to end, below each other, or behind a shared prompt.

Every layout scores the same tokens, each as if its sequence stood alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NO_PROMPT = -1
"""A piece that begins at its sequence's beginning."""
Item = tuple[np.ndarray, np.ndarray]
"""A sequence: its token ids, and for each whether it is learned."""


@dataclass(frozen=True)
class MicroBatch:
    """Sequences computed at once. input_ids is [rows, longest], or [1, tokens] with `lengths` when laid out flat.

    scored holds the flat positions whose next token is learned, targets those next tokens, and scored_in_rows how many of
    them each sequence has, in order. numbers are the sequences' numbers in the data.
    """

    input_ids: np.ndarray
    scored: np.ndarray
    targets: np.ndarray
    rows: int
    tokens: int
    scored_in_rows: np.ndarray
    numbers: np.ndarray
    ends: np.ndarray
    """The flat position of each sequence's last token."""
    lengths: tuple[int, ...] | None = None
    """The pieces that are laid out flat: whole sequences, or a shared prompt and what follows it in each sequence."""
    prompts: tuple[int, ...] | None = None
    """For each piece the index of the piece that holds its prompt, or NO_PROMPT; None where no prompt is shared."""
    position_ids: np.ndarray | None = None


def pack(items: Sequence[Item], pad: int = 0, numbers: Sequence[int] = ()) -> MicroBatch:
    """Sequences end to end, [1, tokens], with positions that begin anew in each. None predicts into the next."""
    del pad
    lengths = tuple(len(ids) for ids, _ in items)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    learned = np.concatenate([mask for _, mask in items]).astype(bool)
    learned[starts] = False
    ids = np.concatenate([ids for ids, _ in items]).astype(np.int64)
    targets = np.flatnonzero(learned)
    positions = np.concatenate([np.arange(length, dtype=np.int64) for length in lengths])
    return MicroBatch(
        ids[None],
        targets - 1,
        ids[targets],
        rows=len(items),
        tokens=len(ids),
        scored_in_rows=np.add.reduceat(learned, starts, dtype=np.int64),
        numbers=_numbers(items, numbers),
        ends=starts + np.array(lengths, dtype=np.int64) - 1,
        lengths=lengths,
        position_ids=positions[None],
    )


def pack_shared(rows: Sequence[Sequence[Item]], numbers: Sequence[int] = ()) -> MicroBatch:
    """The same, where the sequences of a row that begin alike share that beginning: it stands once, before the rest of each.

    A sequence's position and target are those it has alone; the last state of the beginning predicts a token of each.
    """
    ids: list[np.ndarray] = []
    positions: list[np.ndarray] = []
    prompts: list[int] = []
    scored: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    ends: list[int] = []
    tokens = 0

    def put(piece: np.ndarray, first: int, prompt: int) -> int:
        """Lay out a piece whose first token has that position; returns where it begins."""
        nonlocal tokens
        ids.append(piece)
        positions.append(np.arange(first, first + len(piece), dtype=np.int64))
        prompts.append(prompt)
        tokens += len(piece)
        return tokens - len(piece)

    for row in rows:
        common = shared_prompt(row)
        begin = put(row[0][0][:common], 0, NO_PROMPT) if common else tokens
        prompt = len(ids) - 1 if common else NO_PROMPT
        for own, mask in row:
            start = put(own[common:], common, prompt)
            learned = np.flatnonzero(mask)
            learned = learned[learned > 0]
            scored.append(np.where(learned - 1 < common, begin + learned - 1, start + learned - 1 - common))
            targets.append(own[learned])
            ends.append(tokens - 1)
    everything = [item for row in rows for item in row]
    return MicroBatch(
        np.concatenate(ids).astype(np.int64)[None],
        np.concatenate(scored).astype(np.int64),
        np.concatenate(targets).astype(np.int64),
        rows=len(everything),
        tokens=sum(len(own) for own, _ in everything),
        scored_in_rows=np.array([len(each) for each in targets], dtype=np.int64),
        numbers=_numbers(everything, numbers),
        ends=np.array(ends, dtype=np.int64),
        lengths=tuple(map(len, ids)),
        prompts=tuple(prompts),
        position_ids=np.concatenate(positions)[None],
    )


def shared_prompt(row: Sequence[Item]) -> int:
    """How many tokens all sequences of a row begin with alike, before any of them is learned; each keeps one of its own."""
    if len(row) == 1:
        return 0
    first = row[0][0]
    common = min(min(int(np.argmax(mask)) if mask.any() else len(ids), len(ids) - 1) for ids, mask in row)
    for ids, _ in row[1:]:
        apart = np.flatnonzero(ids[:common] != first[:common])
        common = int(apart[0]) if len(apart) else common
    return common


def shared_size(row: Sequence[Item]) -> int:
    """Tokens of a row with what its sequences begin with counted once."""
    return sum(len(ids) for ids, _ in row) - (len(row) - 1) * shared_prompt(row)


def pad_rows(items: Sequence[Item], pad: int = 0, numbers: Sequence[int] = ()) -> MicroBatch:
    """Sequences under each other, [rows, longest], padded on the right: no real token can see what comes after it."""
    longest = max(len(ids) for ids, _ in items)
    grid = np.full((len(items), longest), pad, dtype=np.int64)
    learned = np.zeros((len(items), longest), dtype=bool)
    for index, (ids, mask) in enumerate(items):
        grid[index, : len(ids)] = ids
        learned[index, : len(ids)] = mask
    learned[:, 0] = False
    targets = np.flatnonzero(learned)
    return MicroBatch(
        grid,
        targets - 1,
        grid.reshape(-1)[targets],
        rows=len(items),
        tokens=sum(len(ids) for ids, _ in items),
        scored_in_rows=learned.sum(axis=1),
        numbers=_numbers(items, numbers),
        ends=np.array([index * longest + len(ids) - 1 for index, (ids, _) in enumerate(items)], dtype=np.int64),
    )


def _numbers(items: Sequence[Any], numbers: Sequence[int]) -> np.ndarray:
    return np.asarray(numbers if len(numbers) else range(len(items)), dtype=np.int64)
