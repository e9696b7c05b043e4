"""What a check is, and running checks over rows as a stream."""

from __future__ import annotations

import importlib.util
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from studio.core.errors import Stopped
from studio.core.text import shorten
from studio.data.findings import Example, Finding, Severity
from studio.data.rows import Conversation
from studio.tracking.reporter import Reporter, Silent

SHOWN = 80
"""Characters of an example."""
LISTED = 3
"""Examples of a finding."""
_EVERY = 1_000


@dataclass(frozen=True)
class Options:
    """What the checks are told besides the rows."""

    regions: tuple[str, ...] = ()
    """Countries (ISO 3166, such as `DE`) whose phone numbers and national ids are looked for."""
    count_tokens: Callable[[Sequence[str]], Sequence[int]] | None = None
    """Counts the tokens of some texts by the model's tokenizer; without it they are estimated."""


@dataclass(frozen=True, slots=True)
class Said:
    """A row as checks look at it."""

    row: Conversation
    whole: str
    """All that is said in it."""
    spoken: str
    """The same without the system prompt, which many rows share."""
    question: str
    """The last turn of the user, or nothing."""
    answer: str
    """What the row teaches: its last answer, or its plain text."""
    ascii: bool
    """Whether all of it is plain ASCII, which rules much out at once."""
    options: Options
    held_out: bool = False
    """Whether it is a row of the held-out file; only checks that look across the split see those."""

    @classmethod
    def of(cls, row: Conversation, options: Options | None = None, held_out: bool = False) -> Said:
        """The texts of a row."""
        if row.messages:
            texts = [str(turn.get("content") or "") for turn in row.messages]
            whole = "\n".join(texts)
            spoken = whole[len(texts[0]) + 1 :] if row.messages[0]["role"] == "system" else whole
            question = next(
                (text for turn, text in zip(row.messages[-2::-1], texts[-2::-1], strict=True) if turn["role"] == "user"), ""
            )
            answer = texts[-1]
        else:
            whole, spoken, question, answer = row.text, row.text, "", row.text
        return cls(row, whole, spoken, question, answer, whole.isascii(), options or Options(), held_out)


class Texts:
    """What all rows say, packed: three times as small as Python keeps it."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])
        self._asked = array("I")

    def add(self, said: Said) -> None:
        """Take the texts of one more row."""
        for text in (said.spoken[: len(said.spoken) - len(said.answer)], said.answer):
            self._bytes += text.encode("utf-8", "replace")
            self._ends.append(len(self._bytes))
        self._asked.append(len(said.question))

    def question(self, index: int) -> str:
        """The last question of a row, or its plain text."""
        before = self._bytes[self._ends[2 * index] : self._ends[2 * index + 1]].decode().rstrip("\n")
        return before[len(before) - self._asked[index] :] if self._asked[index] else self.answer(index)

    def answer(self, index: int) -> str:
        """The answer, or the plain text, of a row."""
        return self._bytes[self._ends[2 * index + 1] : self._ends[2 * index + 2]].decode()

    def spoken(self, index: int) -> str:
        """All that is said in a row, without its system prompt."""
        return self._bytes[self._ends[2 * index] : self._ends[2 * index + 2]].decode()


@dataclass(frozen=True)
class CheckResult:
    """The rows that a look at all rows found, by index from 0, in order."""

    rows: Sequence[int]
    shown: Callable[[int], str] | None = None
    """What an example shows of a row; otherwise its text."""
    message: str = ""
    """Put in place of the check's own, with the figures of this dataset."""


class Scan(Protocol):
    """A check that has to see all rows before it knows."""

    def add(self, said: Said) -> None:
        """See one more row."""
        ...

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """What is so of which rows. Raises Stopped when asked to stop."""
        ...


@dataclass(frozen=True)
class Check:
    """One check. Either `look` is asked of each row alone, or a `scan` sees all rows and is then asked."""

    name: str
    severity: Severity
    message: str
    """What is so of a row that is found, as the beginning of a sentence."""
    not_covered: str
    """What the check does not look for."""
    look: Callable[[Said], str] | None = None
    """The text in a row that shows what the check looks for, or nothing."""
    scan: Callable[[], Scan] | None = None
    across: bool = False
    """Whether the scan also sees the rows of a held-out file."""
    package: str = ""
    """The module that it needs, if it is one that may be missing."""


@dataclass
class _Hits:
    rows: array[int] = field(default_factory=lambda: array("I"))
    texts: list[str] = field(default_factory=list[str])


def findings(
    rows: Iterable[Conversation],
    checks: Iterable[Check],
    options: Options | None = None,
    held_out: Iterable[Conversation] = (),
    reporter: Reporter | None = None,
) -> list[Finding]:
    """What the checks find in some rows, the most frequent first."""
    return [finding for finding, _ in findings_with_rows(rows, checks, options, held_out, reporter)]


def findings_with_rows(
    rows: Iterable[Conversation],
    checks: Iterable[Check],
    options: Options | None = None,
    held_out: Iterable[Conversation] = (),
    reporter: Reporter | None = None,
) -> list[tuple[Finding, Sequence[int]]]:
    """The same, each with the indices of all rows it concerns (from 0, in order).

    held_out: the rows of the held-out file, if it is one of its own. A check whose package is missing is named as a
    finding of no rows. Raises Stopped when the reporter is asked to stop.
    """
    options, reporter = options or Options(), reporter or Silent()
    checks, missing = _available(checks)
    looks = [(check, check.look, _Hits()) for check in checks if check.look is not None]
    scans = [(check, check.scan()) for check in checks if check.scan is not None]
    texts, origins = Texts(), _Origins()
    for row in rows:
        if len(origins) % _EVERY == 0 and reporter.should_stop():
            raise Stopped
        said = Said.of(row, options)
        index = origins.add(row)
        for _, look, hits in looks:
            if shown := look(said):
                hits.rows.append(index)
                if len(hits.texts) < LISTED:
                    hits.texts.append(shown)
        if scans:
            texts.add(said)
            for _, scan in scans:
                scan.add(said)
    across = [scan for check, scan in scans if check.across]
    for row in held_out if across else ():
        said = Said.of(row, options, held_out=True)
        texts.add(said)
        for scan in across:
            scan.add(said)
    results: list[tuple[Finding, Sequence[int]]] = []
    for check, _, hits in looks:
        results.append((_finding(check, hits.rows, len(origins), origins.examples(hits.rows, hits.texts)), hits.rows))
    for done, (check, scan) in enumerate(scans):
        reporter.progress(done, len(scans), "Comparing rows")
        found = scan.result(texts, reporter)
        shown = [(found.shown or texts.spoken)(index) for index in found.rows[:LISTED]]
        results.append(
            (_finding(check, found.rows, len(origins), origins.examples(found.rows, shown), found.message), found.rows)
        )
    results = sorted((item for item in results if item[0].count), key=lambda item: -item[0].count)
    return [*results, *((finding, ()) for finding in missing)]


class _Origins:
    """File and line of each row, packed."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._files, self._lines = array("I"), array("Q")

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, row: Conversation) -> int:
        """Take one more row; gives its index."""
        self._files.append(self._names.setdefault(row.file, len(self._names)))
        self._lines.append(row.line)
        return len(self._lines) - 1

    def examples(self, rows: Sequence[int], texts: Sequence[str]) -> tuple[Example, ...]:
        """The first rows with what shows the finding in each."""
        names = list(self._names)
        return tuple(
            Example(file=names[self._files[index]], line=self._lines[index], text=shorten(text, SHOWN))
            for index, text in zip(rows, texts, strict=False)
        )


def _available(checks: Iterable[Check]) -> tuple[list[Check], list[Finding]]:
    able: list[Check] = []
    missing: list[Finding] = []
    for check in checks:
        if not check.package or importlib.util.find_spec(check.package):
            able.append(check)
            continue
        message = f"not looked for, because the package {check.package} is not installed"
        missing.append(Finding(check=check.name, severity="info", message=message, count=0, not_covered=check.not_covered))
    return able, missing


def _finding(check: Check, indices: Sequence[int], rows: int, examples: tuple[Example, ...], message: str = "") -> Finding:
    return Finding(
        check=check.name,
        severity=check.severity,
        message=message or check.message,
        count=len(indices),
        share=len(indices) / rows if rows else 0.0,
        examples=examples,
        not_covered=check.not_covered,
    )
