"""What differs between two versions of a dataset: rows added, removed and changed, with the words that changed marked."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from studio.data import split
from studio.data.curation.edits import Content

Operation: TypeAlias = Literal["same", "removed", "added"]
_WORD = re.compile(r"\s+|\w+|[^\w\s]")
LONGEST = 4000
"""Words of a turn up to which words are compared; longer turns are shown as a whole before and after."""


@dataclass(frozen=True)
class VersionRow:
    """A row of a version, and where it stands in the file that was once uploaded."""

    content: Content
    file: str
    line: int


@dataclass(frozen=True)
class Segment:
    """A stretch of text that is in both versions, only in the older or only in the newer one."""

    operation: Operation
    text: str


@dataclass(frozen=True)
class TurnDifference:
    """A turn in both versions, word by word."""

    role: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class RowDifference:
    """A row that is not the same in both versions. before or after is None for one that is only in one of them."""

    before: VersionRow | None
    after: VersionRow | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """What became of the row."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def where(self) -> tuple[str, int]:
        """File and line of the row in the files that were uploaded."""
        row = self.after or self.before
        assert row is not None
        return row.file, row.line

    def turns(self) -> tuple[TurnDifference, ...]:
        """The row turn by turn, the words of the older and the newer version marked."""
        before, after = _turns(self.before), _turns(self.after)
        result: list[TurnDifference] = []
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else None
            new = after[index] if index < len(after) else None
            role = (new or old or ("", ""))[0]
            result.append(TurnDifference(role, tuple(word_differences(old[1] if old else "", new[1] if new else ""))))
        return tuple(result)


@dataclass(frozen=True)
class Difference:
    """What differs between two versions. rows lists removed, changed and added ones in the order of their files."""

    same: int
    rows: tuple[RowDifference, ...]

    def count(self, kind: str) -> int:
        """How many rows were added, removed or changed."""
        return sum(row.kind == kind for row in self.rows)


def differences(before: Iterable[VersionRow], after: Iterable[VersionRow]) -> Difference:
    """Compare two versions: equal rows first, then rows of the same source line, then rows that ask the same."""
    old, new = list(before), list(after)
    left = _unmatched(old, new, _digest)
    same = len(old) - len(left[0])
    pairs: list[tuple[int, int]] = []
    for key in (_origin, _question):
        left = _unmatched(old, new, key, left, pairs)
    rows = [RowDifference(old[one], new[two]) for one, two in pairs]
    rows += [RowDifference(old[index], None) for index in left[0]] + [RowDifference(None, new[index]) for index in left[1]]
    return Difference(same, tuple(sorted(rows, key=lambda row: row.where)))


def word_differences(before: str, after: str) -> list[Segment]:
    """Two texts as stretches that are in both or in one of them, cut between words."""
    if before == after:
        return [Segment("same", before)] if before else []
    one, two = _WORD.findall(before), _WORD.findall(after)
    if max(len(one), len(two)) > LONGEST:
        return [Segment("removed", before), Segment("added", after)]
    matcher = SequenceMatcher(None, one, two, autojunk=False)
    segments: list[Segment] = []
    for tag, from_one, to_one, from_two, to_two in _without_lone_marks(matcher.get_opcodes(), one):
        if tag == "equal":
            segments.append(Segment("same", "".join(one[from_one:to_one])))
            continue
        if to_one > from_one:
            segments.append(Segment("removed", "".join(one[from_one:to_one])))
        if to_two > from_two:
            segments.append(Segment("added", "".join(two[from_two:to_two])))
    return segments


_Stretch: TypeAlias = tuple[str, int, int, int, int]


def _without_lone_marks(stretches: Sequence[_Stretch], words: Sequence[str]) -> list[_Stretch]:
    """Stretches in which a mark between two changes counts as changed: of `anna.lee@shop.org.` a dot would stay otherwise."""
    joined: list[_Stretch] = []
    for index, (tag, from_one, to_one, from_two, to_two) in enumerate(stretches):
        between = bool(joined) and joined[-1][0] != "equal" and index + 1 < len(stretches)
        if tag == "equal" and between and not any(char.isalnum() or char.isspace() for char in "".join(words[from_one:to_one])):
            tag = "replace"
        if tag != "equal" and joined and joined[-1][0] != "equal":
            _, first_one, _, first_two, _ = joined[-1]
            joined[-1] = ("replace", first_one, to_one, first_two, to_two)
        else:
            joined.append((tag, from_one, to_one, from_two, to_two))
    return joined


def _unmatched(
    old: Sequence[VersionRow],
    new: Sequence[VersionRow],
    key: Callable[[VersionRow], object],
    left: tuple[list[int], list[int]] | None = None,
    pairs: list[tuple[int, int]] | None = None,
) -> tuple[list[int], list[int]]:
    """The indices of rows that find no partner with an equal key; partners go into `pairs`."""
    olds, news = left or (list(range(len(old))), list(range(len(new))))
    waiting: dict[object, deque[int]] = defaultdict(deque)
    for index in news:
        waiting[key(new[index])].append(index)
    alone: list[int] = []
    taken: set[int] = set()
    for index in olds:
        partners = waiting.get(key(old[index]))
        if partners:
            partner = partners.popleft()
            taken.add(partner)
            if pairs is not None:
                pairs.append((index, partner))
        else:
            alone.append(index)
    return alone, [index for index in news if index not in taken]


def _digest(row: VersionRow) -> object:
    return row.content.digest


def _origin(row: VersionRow) -> object:
    return row.file, row.line


def _question(row: VersionRow) -> object:
    return split.fingerprint(row.content.conversation())[1]


def _turns(row: VersionRow | None) -> list[tuple[str, str]]:
    if row is None:
        return []
    if not row.content.messages:
        return [("text", row.content.text)]
    turns = [(str(turn.get("role", "")), str(turn.get("content") or "")) for turn in row.content.messages]
    return turns + ([("rejected", str(row.content.rejected.get("content") or ""))] if row.content.rejected else [])
