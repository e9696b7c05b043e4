"""From tokens to batches: which rows make a step, how they are laid out for the model, and which positions are scored.

A row is one token sequence, or two where it is a preference pair: its preferred answer, then the rejected one. A batch is
the rows of one optimizer step. It is cut into micro-batches only for memory, never within a row: laid out flat (packed, no
padding) or padded on the right. Every loss is divided by the totals of the whole batch, so the layout and the size of a
micro-batch change the speed and never the result. Where answers to the same prompt are laid out flat, the prompt may stand
there once, in front of them all.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from studio.training.layouts import Item, MicroBatch, pack, pack_shared, pad_rows, shared_size
from studio.training.schedule import steps_per_epoch
from studio.training.totals import Totals

PADDING_LIMIT = 64
"""What a micro-batch costs however small it is, in tokens: so much padding is better than one more. Measured on a CPU; the
launches of a GPU's kernels cost more."""


class Tokens(Protocol):
    """Encoded sequences, as `studio.data.encode` keeps them."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each sequence."""
        ...

    @property
    def trained(self) -> int:
        """Trained tokens in all sequences."""
        ...

    @property
    def per_row(self) -> int:
        """Sequences that make one row: 2 for preference pairs, else 1."""
        ...

    @property
    def wanted(self) -> np.ndarray | None:
        """Whether each sequence's answer is a preferred one, bool [sequences]; None where answers are not labelled."""
        ...

    def __len__(self) -> int:
        """The number of sequences."""
        ...

    def __getitem__(self, sequence: int, /) -> tuple[np.ndarray, np.ndarray]:
        """The token ids of a sequence, and for each whether it is learned (bool, or 0 and 1)."""
        ...


@dataclass(frozen=True)
class Batch:
    """One optimizer step: its micro-batches, their totals, and its tokens without padding."""

    micro_batches: tuple[MicroBatch, ...]
    totals: Totals
    tokens: int

    @property
    def numbers(self) -> list[int]:
        """The numbers of all its sequences."""
        return [number for micro in self.micro_batches for number in micro.numbers.tolist()]

    @property
    def trained(self) -> int:
        """Trained tokens."""
        return self.totals.trained

    @property
    def rows(self) -> int:
        """Rows: preference pairs count once."""
        return self.totals.rows


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


def batch(
    tokens: Tokens, rows: Sequence[int], micro_batch: int, max_length: int, packed: bool, pad: int = 0, shared: bool = False
) -> Batch:
    """The rows `rows` as one batch whose micro-batches hold at most `micro_batch` rows of `max_length` tokens a sequence.

    Shorter rows are as many more as make no more tokens, padding counted. shared: of packed rows, a prompt that several
    sequences in turn begin with is laid out once.
    """
    budget = micro_batch * max_length * (tokens.per_row if packed else 1)
    numbers = sequences(tokens, rows)
    items = [[tokens[number] for number in row] for row in numbers]
    if shared:
        numbers, items = _by_prompt(numbers, items, budget)
    sizes = [[shared_size(row)] if shared else [len(ids) for ids, _ in row] for row in items]
    groups = best_fit([sum(row) for row in sizes], budget) if packed else _side_by_side_groups(sizes, budget)
    micro_batches = tuple(
        _laid_out([items[row] for row in group], packed, shared, pad, [numbers[row] for row in group]) for group in groups
    )
    return Batch(micro_batches, totals(tokens, micro_batches), tokens=sum(micro.tokens for micro in micro_batches))


def _laid_out(
    rows: Sequence[Sequence[Item]], packed: bool, shared: bool, pad: int, numbers: Sequence[Sequence[int]]
) -> MicroBatch:
    """Rows as one micro-batch."""
    if shared:
        return pack_shared(rows, [number for row in numbers for number in row])
    return (pack if packed else pad_rows)(
        [item for row in rows for item in row], pad, [each for row in numbers for each in row]
    )


def sequences(tokens: Tokens, rows: Iterable[int]) -> list[list[int]]:
    """The numbers of each row's sequences."""
    return [[row * tokens.per_row + answer for answer in range(tokens.per_row)] for row in rows]


def totals(tokens: Tokens, micro_batches: Iterable[MicroBatch]) -> Totals:
    """The totals of some micro-batches of `tokens` together."""
    rows = trained = trained_wanted = wanted = 0
    for micro in micro_batches:
        good = (
            np.ones(micro.rows, dtype=bool) if tokens.wanted is None else np.asarray(tokens.wanted[micro.numbers], dtype=bool)
        )
        rows, trained = rows + micro.rows, trained + len(micro.targets)
        trained_wanted += int(micro.scored_in_rows[good].sum())
        wanted += int(good.sum())
    return Totals(rows // tokens.per_row, trained, trained_wanted, wanted)


def _side_by_side_groups(lengths: Sequence[Sequence[int]], budget: int) -> list[list[int]]:
    """Rows that are padded to one length, by the lengths of each row's sequences."""
    longest = [max(row) for row in lengths]
    by_length = sorted(range(len(longest)), key=lambda index: (-longest[index], index))
    counts = side_by_side([longest[index] for index in by_length], budget)
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


def in_order_of_length(
    tokens: Tokens, micro_batch: int, max_length: int, packed: bool, pad: int = 0, shared: bool = False
) -> Iterator[MicroBatch]:
    """All rows once, longest first, so that little is padded: how the held-out loss is measured."""
    by_row = np.asarray(tokens.lengths).reshape(-1, tokens.per_row)
    sizes = by_row.sum(axis=1) if packed else by_row.max(axis=1)
    if shared:
        every = sequences(tokens, range(len(by_row)))
        sizes = np.array([shared_size([tokens[number] for number in row]) for row in every], dtype=np.int64)
    by_length = np.argsort(-sizes, kind="stable")
    budget = micro_batch * max_length * (tokens.per_row if packed else 1)
    for group in _in_turn(sizes[by_length], budget, packed):
        numbers = sequences(tokens, by_length[group].tolist())
        yield _laid_out([[tokens[number] for number in row] for row in numbers], packed, shared, pad, numbers)


def totals_of(tokens: Tokens) -> Totals:
    """The totals of all rows. A sequence's first token is never scored: nothing is before it."""
    trained = np.array([int(np.count_nonzero(tokens[number][1][1:])) for number in range(len(tokens))], dtype=np.int64)
    wanted = np.ones(len(tokens), dtype=bool) if tokens.wanted is None else np.asarray(tokens.wanted, dtype=bool)
    return Totals(len(tokens) // tokens.per_row, int(trained.sum()), int(trained[wanted].sum()), int(wanted.sum()))


def first_rows(tokens: Tokens, micro_batch: int, count: int, max_length: int, pad: int, seed: int) -> Iterator[MicroBatch]:
    """About so many padded micro-batches of rows drawn by the seed: a look at the data before the first step."""
    rows = next(iter(StepOrder(len(tokens) // tokens.per_row, micro_batch * count, 1, seed)))
    yield from batch(tokens, rows, micro_batch, max_length, False, pad).micro_batches


def _in_turn(lengths: np.ndarray, budget: int, packed: bool) -> Iterator[slice]:
    """Sorted rows cut into micro-batches, one after the other."""
    start = 0
    for count in [] if packed else side_by_side(lengths.tolist(), budget):
        yield slice(start, start := start + count)
    while packed and start < len(lengths):
        sizes = np.cumsum(lengths[start : start + budget])
        count = max(1, int(np.searchsorted(sizes, budget, side="right")))
        yield slice(start, start := start + count)


def _by_prompt(
    numbers: Sequence[Sequence[int]], items: Sequence[Sequence[Item]], budget: int
) -> tuple[list[list[int]], list[list[Item]]]:
    """Rows in turn whose prompts are the same put together, as many as make at most `budget` tokens; other rows as they are."""
    together: list[list[int]] = []
    rows: list[list[Item]] = []
    for row_numbers, row in zip(numbers, items, strict=True):
        joined = [*rows[-1], *row] if rows and _prompt(rows[-1][0]) == _prompt(row[0]) else []
        if joined and shared_size(joined) <= budget:
            rows[-1] = joined
            together[-1] = [*together[-1], *row_numbers]
        else:
            rows.append(list(row))
            together.append(list(row_numbers))
    return together, rows


def _prompt(item: Item) -> bytes:
    """What stands before the first learned token."""
    ids, mask = item
    return ids[: int(np.argmax(mask))].tobytes()
