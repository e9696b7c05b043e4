"""What the plan knows of the data: how many rows, how long, how much of them is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from studio.core.files import read_json_lines
from studio.data.rows import Conversation, Needs, answers
from studio.evaluation.more_rows import HeldOutFrom
from studio.training.batches import side_by_side

CHARACTERS = 3.5
"""Characters a token stands for in the estimate without a tokenizer: English text has about 4, code and others fewer."""
MARKS = 5
"""Tokens a chat template spends on each message, in the estimate without a tokenizer."""
PROMPTED = 3
"""Tokens that are not learned in any conversation; a plain text, which is shortened from its beginning, has fewer."""
LOOKED_AT = 2000
"""Held-out rows at which the longest answer is looked for."""


class Encoded(Protocol):
    """Encoded rows, as `studio.data.encode` keeps them."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each row."""
        ...

    @property
    def trained_in_rows(self) -> np.ndarray:
        """Trained tokens in each row."""
        ...

    @property
    def per_row(self) -> int:
        """Sequences that make one row."""
        ...

    @property
    def wanted(self) -> np.ndarray | None:
        """Whether each sequence's answer is a preferred one; None where answers are not labelled."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the chat template writes them."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> tuple[np.ndarray, np.ndarray]:
        """The token ids of a row, and which of them are learned."""
        ...


@dataclass(frozen=True)
class Rows:
    """What was found in the encoded rows. lengths are tokens in each training sequence, `held_out` those of held-out ones.

    A row is one sequence, or two where it is a preference pair.
    """

    lengths: np.ndarray = field(repr=False)
    trained: int
    """Trained tokens in all training rows."""
    held_out: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    answer: int = 0
    """Tokens of the longest reference answer among the held-out rows; among all where none are held out."""
    estimated: bool = False
    """True if tokens were estimated from characters."""
    trained_in_rows: np.ndarray | None = field(default=None, repr=False)
    """Trained tokens of each training sequence, where rows were counted one by one."""
    per_row: int = 1
    """Sequences that make one row."""
    good: int = 0
    """Training answers that are labelled good; of labelled ones."""
    bad: int = 0
    notes: tuple[str, ...] = ()
    """What a person should know of how the chat template writes them."""
    held_out_from: HeldOutFrom = "share"
    """Where the held-out rows come from."""
    replayed: int = 0
    """Rows among the training rows that are general ones, mixed in."""
    answers: int = 1
    """Sequences that are computed for each: the sampled answers to its prompt, else 1."""
    usual: float = 1.0
    """The share of `lengths` that is likely to be reached, where answers are sampled."""
    encoded: Encoded | None = field(default=None, repr=False, compare=False)
    """The training rows themselves, where they are encoded."""
    expected: Any = field(default=None, repr=False)
    """What the rows' own answers say about a verifier (`sampling.Expected`); None where none is needed."""

    @property
    def longest_answer(self) -> int:
        """Tokens of a sampled answer at most; 0 where none are sampled."""
        return int(self.trained_in_rows[0]) if self.answers > 1 and self.trained_in_rows is not None else 0

    def __len__(self) -> int:
        return len(self.lengths) // self.per_row

    @property
    def longest_in_rows(self) -> np.ndarray:
        """Tokens of the longest sequence of each training row."""
        return self.lengths.reshape(-1, self.per_row).max(axis=1) if len(self.lengths) else self.lengths

    def within(self, length: int, dropping: bool) -> np.ndarray:
        """Tokens of each sequence when rows over `length` are dropped, or else shortened to it."""
        fits = np.repeat(self.longest_in_rows <= length, self.per_row)
        return self.lengths[fits] if dropping else self.lengths.clip(max=length)

    @property
    def tokens(self) -> int:
        """Tokens in all training rows."""
        return int(self.lengths.sum())

    @property
    def longest(self) -> int:
        """Tokens of the longest row, held-out rows included."""
        return max((int(part.max()) for part in (self.lengths, self.held_out) if len(part)), default=0)

    @property
    def scored(self) -> float:
        """The share of the tokens that is trained."""
        return self.trained / self.tokens if self.tokens else 1.0

    def trained_within(self, length: int, dropping: bool) -> int:
        """Trained tokens left when rows over `length` are dropped, or else shortened to it."""
        fits = np.repeat(self.longest_in_rows <= length, self.per_row)
        if dropping and self.trained_in_rows is not None:
            return int(self.trained_in_rows[fits].sum())
        return round(int(self.lengths[fits].sum() if dropping else self.lengths.clip(max=length).sum()) * self.scored)

    def none_shortened_to(self, length: int) -> bool:
        """Whether the last answer alone of every conversation takes up `length`, so that none can be shortened to it."""
        if self.encoded is None or self.trained_in_rows is None or self.per_row > 1 or self.over(length) < len(self):
            return False
        if (self.lengths - self.trained_in_rows < PROMPTED).any() or (self.trained_in_rows < length).any():
            return False
        return all(_last_stretch(self.encoded[row][1]) >= length for row in range(len(self.encoded)))

    def over(self, length: int) -> int:
        """Training rows longer than `length`."""
        return int((self.longest_in_rows > length).sum())


def rows(train: Encoded | None, held_out: Encoded | None = None) -> Rows:
    """What the encode step found in the training and held-out rows; None where a part is empty."""
    trained = np.asarray(train.trained_in_rows) if train is not None else np.zeros(0, dtype=np.int64)
    return Rows(
        lengths=np.asarray(train.lengths, dtype=np.int64) if train is not None else np.zeros(0, dtype=np.int64),
        trained=int(trained.sum()),
        trained_in_rows=trained,
        held_out=np.asarray(held_out.lengths, dtype=np.int64) if held_out is not None else np.zeros(0, dtype=np.int64),
        answer=_longest_answer(asked) if (asked := held_out if held_out is not None else train) is not None else 0,
        per_row=train.per_row if train is not None else 1,
        good=int(np.count_nonzero(train.wanted)) if train is not None and train.wanted is not None else 0,
        bad=int(np.count_nonzero(~np.asarray(train.wanted))) if train is not None and train.wanted is not None else 0,
        notes=train.notes if train is not None else (),
        encoded=train,
    )


def rows_by_characters(
    train: Path, held_out: Path, needs: Needs = "conversations", replay: Path | None = None, replayed: int = 0
) -> Rows:
    """The same from the conversations alone, where the tokenizer is not on this machine: about 3.5 characters a token."""
    lengths, trained, _ = _count(train, needs)
    general, general_trained, _ = _count(replay, needs) if replay else ([], 0, 0)
    others, _, answer = _count(held_out, needs)
    return Rows(
        lengths=np.asarray(lengths + general, np.int64),
        trained=trained + general_trained,
        held_out=np.asarray(others, np.int64),
        answer=answer,
        estimated=True,
        per_row=2 if needs == "pairs" else 1,
        replayed=replayed,
    )


def _count(file: Path, needs: Needs) -> tuple[list[int], int, int]:
    """Tokens of each sequence, trained tokens together, and the longest answer."""
    lengths: list[int] = []
    trained = longest = 0
    conversations = map(Conversation.from_dict, read_json_lines(file))
    for row in (side for whole in conversations for side in answers(whole, needs)):
        if not row.messages:
            lengths.append(_tokens(row.text) + 1)
            trained += lengths[-1]
            continue
        sizes = [_tokens(str(m.get("content") or "") + str(m.get("tool_calls") or "")) + 1 for m in row.messages]
        lengths.append(sum(sizes) + MARKS * len(row.messages) + _tokens(str(row.tools) if row.tools else ""))
        trained += sum(size for size, m in zip(sizes, row.messages, strict=True) if m.get("role") == "assistant")
        longest = max(longest, sizes[-1])
    return lengths, trained, longest


def _tokens(text: str) -> int:
    return -(-len(text) * 10 // round(CHARACTERS * 10))


def _longest_answer(rows: Encoded) -> int:
    """The longest last stretch of learned tokens."""
    return max((_last_stretch(rows[row][1]) for row in range(min(len(rows), LOOKED_AT))), default=0)


def _last_stretch(learned: np.ndarray) -> int:
    """Tokens of the last stretch that is learned: of the last answer."""
    places = np.flatnonzero(np.asarray(learned).astype(bool))
    gaps = np.flatnonzero(np.diff(places) > 1)
    return len(places) - (int(gaps[-1]) + 1 if len(gaps) else 0)


def padding_share(
    lengths: np.ndarray, batch_size: int, micro_batch: int, token_budget: int = 0, seed: int = 0, batches: int = 200
) -> float:
    """The share of computed tokens that would be padding without packing, on a sample of shuffled batches.

    The rows of a batch sorted by length, cut into micro-batches, each padded to its longest: of `micro_batch` rows, as other
    trainers do it; or with `token_budget` of as many as the trainer puts into so many tokens.
    """
    if not len(lengths):
        return 0.0
    order = np.random.default_rng(seed).permutation(len(lengths))
    real = computed = 0
    for start in range(0, min(len(order), batches * batch_size), batch_size):
        batch = np.sort(lengths[order[start : start + batch_size]])[::-1]
        real += int(batch.sum())
        counts = side_by_side(batch.tolist(), token_budget) if token_budget else [micro_batch] * -(-len(batch) // micro_batch)
        starts = np.cumsum([0, *counts[:-1]])
        computed += sum(int(batch[at]) * len(batch[at : at + count]) for at, count in zip(starts, counts, strict=True))
    return 1 - real / computed if computed else 0.0


def most_tokens(lengths: Sequence[int] | np.ndarray, count: int) -> int:
    """Tokens of the `count` longest rows together: the most one batch can hold."""
    values = np.asarray(lengths)
    if count >= len(values):
        return int(values.sum())
    return int(np.partition(values, len(values) - count)[len(values) - count :].sum())
