"""From tokens to batches: which rows make a step, how they are laid out for the model, and which positions are scored.

A batch is the rows of one optimizer step. It is cut into micro-batches only for memory: laid out flat (packed, no
padding) or padded on the right. Every loss is divided by the trained tokens of the whole batch, so the layout and the
size of a micro-batch change the speed and never the result.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from studio.training.schedule import steps_per_epoch

PADDING_LIMIT = 64
"""What a micro-batch costs however small it is, in tokens: so much padding is better than one more. Measured on a CPU; the
launches of a GPU's kernels cost more."""


class Tokens(Protocol):
    """Encoded rows, as `studio.data.encode` keeps them."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each row."""
        ...

    @property
    def trained(self) -> int:
        """Trained tokens in all rows."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> tuple[np.ndarray, np.ndarray]:
        """The token ids of a row, and for each whether it is learned (bool, or 0 and 1)."""
        ...


@dataclass(frozen=True)
class MicroBatch:
    """Rows computed at once. input_ids is [rows, longest], or [1, tokens] with `lengths` when laid out flat.

    scored holds the flat positions whose next token is learned, and targets those next tokens.
    """

    input_ids: np.ndarray
    scored: np.ndarray
    targets: np.ndarray
    rows: int
    tokens: int
    lengths: tuple[int, ...] | None = None
    position_ids: np.ndarray | None = None


@dataclass(frozen=True)
class Batch:
    """One optimizer step: its micro-batches, its trained tokens, and its tokens without padding."""

    micro_batches: tuple[MicroBatch, ...]
    trained: int
    tokens: int
    rows: int


class StepOrder:
    """The rows of every step of a run, in the order decided by the seed: an iterable of lists of row numbers.

    Each epoch is a new shuffle; the last step of an epoch takes what is left. Any step can be reached without the ones
    before it, which is what lets a run go on exactly where it was cut.
    """

    def __init__(self, rows: int, batch_size: int, steps: int, seed: int) -> None:
        self.rows, self.batch_size, self.steps, self.seed = rows, batch_size, steps, seed

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        return self.from_step(0)

    def from_step(self, done: int) -> Iterator[list[int]]:
        """The rows of every step after the first `done`."""
        per_epoch = steps_per_epoch(self.rows, self.batch_size)
        shuffled = np.empty(0, dtype=np.int64)
        for step in range(done, self.steps):
            epoch, index = divmod(step, per_epoch)
            if index == 0 or step == done:
                shuffled = np.random.default_rng((self.seed, epoch)).permutation(self.rows)
            yield shuffled[index * self.batch_size : (index + 1) * self.batch_size].tolist()


def best_fit(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `lengths` in as few groups of at most `budget` as best-fit decreasing finds; a longer one stands alone.

    Nothing is cut. Best-fit decreasing needs at most 11/9 of the fewest groups plus one (Johnson et al. 1974).
    """
    groups: list[list[int]] = []
    space: list[tuple[int, int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        fitting = bisect_left(space, (lengths[index], -1))
        if fitting == len(space):
            groups.append([index])
            left, group = budget - lengths[index], len(groups) - 1
        else:
            left, group = space.pop(fitting)
            groups[group].append(index)
            left -= lengths[index]
        if left > 0:
            insort(space, (left, group))
    return groups


def batch(tokens: Tokens, rows: Sequence[int], micro_batch: int, max_length: int, packed: bool, pad: int = 0) -> Batch:
    """The rows `rows` as one batch whose micro-batches hold at most `micro_batch` rows of `max_length` tokens each.

    Shorter rows are as many more as make no more tokens, padding counted.
    """
    items = [tokens[row] for row in rows]
    micro_batches = tuple(
        (pack if packed else pad_rows)([items[index] for index in group], pad)
        for group in _groups([len(ids) for ids, _ in items], micro_batch, max_length, packed)
    )
    return Batch(
        micro_batches,
        trained=sum(len(micro.targets) for micro in micro_batches),
        tokens=sum(micro.tokens for micro in micro_batches),
        rows=sum(micro.rows for micro in micro_batches),
    )


def _groups(lengths: Sequence[int], micro_batch: int, max_length: int, packed: bool) -> list[list[int]]:
    if packed:
        return best_fit(lengths, micro_batch * max_length)
    by_length = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    counts = side_by_side([lengths[index] for index in by_length], micro_batch * max_length)
    ends = np.cumsum(counts).tolist()
    return [by_length[end - count : end] for count, end in zip(counts, ends, strict=True)]


def side_by_side(lengths: Sequence[int], budget: int) -> list[int]:
    """How many rows, sorted from the longest, go into each padded grid of at most `budget` tokens; a longer one stands alone.

    A row joins a grid if that brings less padding than `PADDING_LIMIT`, else it begins one.
    """
    counts: list[int] = []
    longest = 0
    for length in lengths:
        if counts and (counts[-1] + 1) * longest <= budget and longest - length <= PADDING_LIMIT:
            counts[-1] += 1
        else:
            counts.append(1)
            longest = length
    return counts


def in_order_of_length(tokens: Tokens, micro_batch: int, max_length: int, packed: bool, pad: int = 0) -> Iterator[MicroBatch]:
    """All rows once, longest first, so that little is padded: how the held-out loss is measured."""
    lengths = np.asarray(tokens.lengths)
    by_length = np.argsort(-lengths, kind="stable")
    for group in _in_turn(lengths[by_length], micro_batch * max_length, packed):
        rows = [tokens[int(row)] for row in by_length[group]]
        yield pack(rows, pad) if packed else pad_rows(rows, pad)


def _in_turn(lengths: np.ndarray, budget: int, packed: bool) -> Iterator[slice]:
    """Sorted rows cut into micro-batches, one after the other."""
    start = 0
    for count in [] if packed else side_by_side(lengths.tolist(), budget):
        yield slice(start, start := start + count)
    while packed and start < len(lengths):
        sizes = np.cumsum(lengths[start : start + budget])
        count = max(1, int(np.searchsorted(sizes, budget, side="right")))
        yield slice(start, start := start + count)


def pack(items: Sequence[tuple[np.ndarray, np.ndarray]], pad: int = 0) -> MicroBatch:
    """Rows end to end, [1, tokens], with positions that begin anew in each row. No row predicts into the next."""
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
        lengths=lengths,
        position_ids=positions[None],
    )


def pad_rows(items: Sequence[tuple[np.ndarray, np.ndarray]], pad: int = 0) -> MicroBatch:
    """Rows under each other, [rows, longest], padded on the right: no real token can see what comes after it."""
    longest = max(len(ids) for ids, _ in items)
    grid = np.full((len(items), longest), pad, dtype=np.int64)
    learned = np.zeros((len(items), longest), dtype=bool)
    for index, (ids, mask) in enumerate(items):
        grid[index, : len(ids)] = ids
        learned[index, : len(ids)] = mask
    learned[:, 0] = False
    targets = np.flatnonzero(learned)
    return MicroBatch(grid, targets - 1, grid.reshape(-1)[targets], rows=len(items), tokens=sum(len(ids) for ids, _ in items))
