"""The filters of made rows, the cheap ones first. Each says why it drops a row; thresholds come with rows on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from studio.core.text import shorten
from studio.data import language
from studio.data.near import Signatures, agree, near_pairs, plain
from studio.data.split import normal
from studio.making.quotes import find_quote, unsupported_numbers
from studio.making.recipes.base import Draft
from studio.making.records import Example, FilterFigures
from studio.making.spec import Filters

ORDER = ("answer", "parse", "length", "language", "quote", "numbers", "repeat", "near-duplicate", "leak", "judge", "balance")
"""All filters in their order; the first two and the last two are not here but where answers are read and rows are finished."""
EXAMPLES = 3
"""Rows shown on each side of a threshold."""
_SAME = 0.85
"""F1 of the words of two answers from which they are the same."""
_NEAR_MISS = 0.55
"""Likeness from which pairs are looked at, to show some just under the threshold."""


@dataclass(frozen=True)
class Drop:
    """Why a row is not kept."""

    filter: str
    reason: str
    score: float | None = None


@dataclass
class Figures:
    """What a filter has done so far."""

    threshold: float | None = None
    entered: int = 0
    dropped: int = 0
    scored: list[tuple[float, bool, str, str]] = field(default_factory=list)
    """Score, whether it was dropped, question, answer."""

    def record(self, name: str, high_is_bad: bool) -> FilterFigures:
        """As the report has them: the rows nearest to the threshold on each side."""
        bad = sorted((item for item in self.scored if item[1]), key=lambda item: item[0], reverse=not high_is_bad)
        good = sorted((item for item in self.scored if not item[1]), key=lambda item: item[0], reverse=high_is_bad)

        def examples(items: Sequence[tuple[float, bool, str, str]]) -> tuple[Example, ...]:
            return tuple(
                Example(score=round(score, 3), question=shorten(question, 300), answer=shorten(answer, 300))
                for score, _, question, answer in items[:EXAMPLES]
            )

        return FilterFigures(
            name=name, entered=self.entered, dropped=self.dropped, threshold=self.threshold, below=examples(bad),
            above=examples(good),
        )  # fmt: skip


@dataclass
class PassedDraft:
    """A row that passed, and where its quote stands: the index of the passage, begin, end."""

    draft: Draft
    quote: tuple[int, int, int] | None = None
    scores: dict[str, float] = field(default_factory=dict)


class Chain:
    """The filters of a job. Rows come in batches, and are compared with all that were kept before."""

    def __init__(
        self, filters: Filters, language: str = "", usual_language: str = "", against: Iterable[tuple[str, str]] = ()
    ) -> None:
        """language: which every row has to be in; without one it is that of the question or the passages that a row is made
        of, or usual_language where those do not tell."""
        self._filters, self._language, self._usual_language = filters, language, usual_language
        self.figures: dict[str, Figures] = {name: Figures() for name in ORDER}
        self.figures["near-duplicate"].threshold = self.figures["leak"].threshold = filters.similar
        self.figures["judge"].threshold = filters.judge
        self._rows: list[PassedDraft] = []
        self._held_out: list[tuple[str, str]] = list(against)
        self._seen: set[tuple[str, ...]] = set()

    def passed(self, drafts: Sequence[Draft]) -> tuple[list[PassedDraft], list[tuple[Draft, Drop]]]:
        """The rows of a batch that are kept, and the others with the reason."""
        kept: list[PassedDraft] = []
        dropped: list[tuple[Draft, Drop]] = []
        for draft in drafts:
            item, drop = PassedDraft(draft), None
            for name, test in (
                ("length", self._length), ("language", self._in_language), ("quote", self._quoted), ("numbers", self._numbers),
                ("repeat", self._repeated),
            ):  # fmt: skip
                self.figures[name].entered += 1
                reason = test(item)
                if reason:
                    self.figures[name].dropped += 1
                    drop = Drop(name, reason)
                    break
            if drop:
                dropped.append((draft, drop))
            else:
                kept.append(item)
        for name, find in (("near-duplicate", self._near), ("leak", self._leaks)):
            drops = find(kept)
            self.figures[name].entered += len(kept)
            self.figures[name].dropped += len(drops)
            dropped += [(kept[index].draft, drop) for index, drop in drops.items()]
            kept = [item for index, item in enumerate(kept) if index not in drops]
        self._rows += kept
        self._held_out += [(item.draft.question, item.draft.answer) for item in kept if item.draft.held_out]
        return kept, dropped

    def _length(self, item: PassedDraft) -> str:
        question, answer, limits = item.draft.question, item.draft.answer, self._filters
        if len(question) < limits.shortest_question:
            return f"the question has {len(question)} characters"
        if len(question) > limits.longest_question:
            return f"the question has {len(question):,} characters"
        return f"the answer has {len(answer):,} characters" if len(answer) > limits.longest_answer else ""

    def _in_language(self, item: PassedDraft) -> str:
        if not self._filters.language or item.draft.target:
            return ""
        texts = [passage.text for passage in item.draft.passages]
        wanted = self._language or language.of(item.draft.original) or language.of_most(texts) or self._usual_language
        found = language.of(item.draft.question) or language.of(item.draft.answer)
        return f"it is in `{found}`, not `{wanted}`" if found and wanted and found != wanted else ""

    def _quoted(self, item: PassedDraft) -> str:
        if not item.draft.needs_quote:
            return ""
        for index, passage in enumerate(item.draft.passages):
            found = find_quote(passage.text, item.draft.quote)
            if found:
                item.quote = (index, *found)
                return ""
        return f"the quote is not in the passage: {shorten(item.draft.quote, 80)}"

    def _numbers(self, item: PassedDraft) -> str:
        draft = item.draft
        if not draft.needs_quote:
            return ""
        texts = [" ".join((*passage.heading_path, passage.text)) for passage in draft.passages]
        wrong = unsupported_numbers(draft.answer, draft.question, *texts)
        return f"the answer has a number that is not in the passage: {wrong[0]}" if wrong else ""

    def _repeated(self, item: PassedDraft) -> str:
        draft = item.draft
        key = (*_scope(draft), normal(draft.question))
        if key in self._seen:
            return "the same question was made before"
        self._seen.add(key)
        return ""

    def _near(self, new: Sequence[PassedDraft]) -> dict[int, Drop]:
        """New rows that are much alike to an earlier one and answer the same."""
        every = [*(item.draft for item in self._rows), *(item.draft for item in new)]
        first = len(self._rows)
        drops: dict[int, Drop] = {}

        def alike(one: int, two: int, likeness: float) -> None:
            if two < first or (one >= first and one - first in drops) or two - first in drops:
                return
            left, right = every[one], every[two]
            if left.held_out != right.held_out or _scope(left) != _scope(right) or not _same(left.answer, right.answer):
                return
            bad = likeness >= self._filters.similar
            self.figures["near-duplicate"].scored.append((likeness, bad, right.question, f"like: {left.question}"))
            if bad:
                drops[two - first] = Drop("near-duplicate", f"much like: {shorten(left.question, 120)}", round(likeness, 3))

        _pairs([draft.question for draft in every], alike)
        return drops

    def _leaks(self, new: Sequence[PassedDraft]) -> dict[int, Drop]:
        """New training rows that ask what a held-out row asks."""
        training = [index for index, item in enumerate(new) if not item.draft.held_out]
        held_out = [*self._held_out, *((item.draft.question, item.draft.answer) for item in new if item.draft.held_out)]
        drops: dict[int, Drop] = {}
        if not training or not held_out:
            return drops
        exact = {normal(question) for question, _ in held_out}
        for index in training:
            if normal(new[index].draft.question) in exact:
                drops[index] = Drop("leak", "the same question is held out", 1.0)
                self.figures["leak"].scored.append((1.0, True, new[index].draft.question, new[index].draft.answer))
        questions = [new[index].draft.question for index in training] + [question for question, _ in held_out]
        part = np.arange(len(questions)) >= len(training)

        def alike(one: int, two: int, likeness: float) -> None:
            row, other = (one, two) if one < len(training) else (two, one)
            index = training[row]
            question, answer = held_out[other - len(training)]
            draft = new[index].draft
            if index in drops or not agree(draft.answer, answer):
                return
            bad = likeness >= self._filters.similar
            self.figures["leak"].scored.append((likeness, bad, draft.question, f"held out: {question}"))
            if bad:
                drops[index] = Drop("leak", f"much like a held-out question: {shorten(question, 120)}", round(likeness, 3))

        _pairs(questions, alike, part)
        return drops


def _same(one: str, two: str) -> bool:
    """Whether two answers say the same: `agree` alone would take "opens at nine" for "closes at six"."""
    left, right = Counter(normal(one).split()), Counter(normal(two).split())
    return agree(one, two) and 2 * (left & right).total() >= _SAME * (left.total() + right.total())


def _scope(draft: Draft) -> tuple[str, ...]:
    """What two rows must share for one to be a repeat of the other: the passage in their prompts, the kind of row."""
    context = "".join(passage.id for passage in draft.passages) if draft.in_context else ""
    return ("pair" if draft.rejected is not None else "row", context)


def _pairs(texts: Sequence[str], alike: Callable[[int, int, float], None], part: np.ndarray | None = None) -> None:
    if len(texts) < 2:
        return
    compared = [plain(text) for text in texts]
    signatures = Signatures()
    for text in compared:
        signatures.add(text)
    for one, two, likeness in near_pairs(signatures.table(), compared.__getitem__, similar=_NEAR_MISS, part=part):
        alike(one, two, likeness)
