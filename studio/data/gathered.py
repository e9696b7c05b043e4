"""What stays in memory of all rows: hashes, places and counts. A million rows take about 60 MB."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from studio.core.errors import DataError
from studio.core.text import plural
from studio.data import split
from studio.data.answers import AnswerCounts
from studio.data.choices import quoted
from studio.data.findings import Example, Finding
from studio.data.notes import Notes
from studio.data.report import (
    LISTED,
    Conflict,
    DataReport,
    FileReport,
    Rejections,
    Removed,
    Totals,
    kind_of_reason,
    lengths_of,
)
from studio.data.rows import Conversation, Rejected
from studio.data.settings import Data
from studio.data.shared import BAD, EXCLUDED, FOR_EVALUATION

SAMPLES = 5


@dataclass
class Gathered:
    """What is known of all usable rows: per row four hashes, file, line and length (48 bytes), and counts of the rest."""

    hashes: array[int] = field(default_factory=lambda: array("Q"))
    lines: array[int] = field(default_factory=lambda: array("Q"))
    origins: array[int] = field(default_factory=lambda: array("I"))
    lengths: array[int] = field(default_factory=lambda: array("I"))
    files: list[FileReport] = field(default_factory=list[FileReport])
    notes: Notes = field(default_factory=Notes)
    rows: int = 0
    rejected: int = 0
    excluded: int = 0
    """Of the rejected rows those that are sound and left out on purpose."""
    skipped: list[str] = field(default_factory=list[str])
    """Files of a folder or archive that have none of the columns the settings name."""
    unused: list[Finding] = field(default_factory=list[Finding])
    """What stands in columns that play no role."""
    reasons: Counter[str] = field(default_factory=Counter[str])
    first_of_reason: dict[str, Rejected] = field(default_factory=dict[str, Rejected])
    first_rejected: list[Rejected] = field(default_factory=list[Rejected])
    remarks: list[str] = field(default_factory=list[str])
    """What was done with the rows beside removing some."""
    turns: int = 0
    samples: dict[int, Conversation] = field(default_factory=dict[int, Conversation])
    answers: AnswerCounts = field(default_factory=AnswerCounts)
    _largest: int = 1 << 64
    """The hash of a row below which it becomes one of the samples."""

    @property
    def table(self) -> np.ndarray:
        """Hashes as uint64 [rows, 4]: whole row, question, prompt, answer."""
        return np.frombuffer(self.hashes, dtype=np.uint64).reshape(-1, 4) if self.hashes else np.zeros((0, 4), np.uint64)

    def location(self, row: int) -> tuple[str, int]:
        """File and line of a usable row."""
        return self.files[self.origins[row]].name, self.lines[row]

    def add(self, conversation: Conversation) -> None:
        """Take a usable row into the counts."""
        hashes = split.fingerprint(conversation)
        self.hashes.extend(hashes)
        self.lines.append(conversation.line)
        self.origins.append(len(self.files))
        messages = conversation.messages
        if len(messages) == 2:  # nearly every row, of a million
            size = len(messages[0]["content"]) + len(messages[1]["content"])
        else:
            size = sum([len(turn["content"]) for turn in messages]) if messages else len(conversation.text)
        self.lengths.append(size if size < 0xFFFFFFFF else 0xFFFFFFFF)
        self.turns += len(messages) or 1
        if conversation.rejected is not None or conversation.good is not None:
            self.answers.add(conversation)
        if hashes[0] < self._largest:  # the smallest hashes: a choice that no order of rows changes
            self._sample(hashes[0], conversation)

    def _sample(self, mark: int, conversation: Conversation) -> None:
        self.samples[mark] = conversation
        if len(self.samples) > SAMPLES:
            self.samples.pop(max(self.samples))
        if len(self.samples) == SAMPLES:
            self._largest = max(self.samples)

    def refuse(self, row: Rejected) -> None:
        """Take a rejected row into the counts."""
        self.rejected += 1
        self.excluded += row.excluded
        kind = kind_of_reason(row.reason)
        self.reasons[kind] += 1
        self.first_of_reason.setdefault(kind, row)
        if len(self.first_rejected) < LISTED:
            self.first_rejected.append(row)

    def first_of_each(self) -> np.ndarray:
        """For each usable row, the first row that is exactly equal to it; itself if it is no duplicate."""
        return split.first_of_each(self.table[:, 0])

    def same_as(self, row: int, first: int) -> Removed:
        """A duplicate as the report lists it."""
        (file, line), (other, there) = self.location(row), self.location(first)
        return Removed(file=file, line=line, reason=f"the same as line {there}" + (f" of {other}" if other != file else ""))

    def leaked(self, row: int) -> Removed:
        """A training row that the held-out file asks about, as the report lists it."""
        file, line = self.location(row)
        return Removed(file=file, line=line, reason="its question is in the held-out file")

    def problem(self, settings: Data) -> DataError | None:
        """Why these rows cannot be used, if they cannot: none is left, or too large a share was rejected."""
        where = ", ".join(dict.fromkeys(file.name for file in self.files))
        faulty = self.rejected - self.excluded
        share = faulty / self.rows if self.rows else 0.0
        if share <= settings.max_rejected and self.lines:
            return None
        if share <= settings.max_rejected:
            reasons = " or ".join(kind for kind in EXCLUDED if kind in self.reasons)
            marked = f": all {plural(self.excluded, 'row')} are {reasons}" if self.excluded else ""
            return DataError(f"no row can be used{marked}", hint="Give a file with rows to learn from.", where=where)
        return DataError(
            f"{faulty:,} of {plural(self.rows, 'row')} ({share:.1%}) cannot be used, and at most "
            f"{settings.max_rejected:.1%} may be so: "
            + "; ".join(self._counted(kind, count) for kind, count in self.reasons.most_common(3)),
            hint=self._advice(settings),
            where=where,
        )

    def report(self, settings: Data) -> DataReport:
        """The report on these rows, before any split."""
        table = self.table
        first = self.first_of_each()
        repeated = np.flatnonzero(first != np.arange(len(first))).tolist()
        pairs = split.conflicting(table[:, 2], table[:, 3])
        totals = Totals(
            rows=self.rows,
            usable=len(table),
            rejected=self.rejected,
            duplicates=len(repeated),
            conflicts=len(pairs),
            turns=self.turns,
            characters=sum(self.lengths),
        )
        return DataReport(
            files=tuple(self.files),
            totals=totals,
            rejected=Rejections(by_reason=dict(self.reasons.most_common()), first=tuple(self.first_rejected)),
            removed=tuple(self.same_as(row, int(first[row])) for row in repeated[:LISTED]),
            conflicts=tuple(Conflict(places=(self.location(one), self.location(two))) for one, two in pairs[:LISTED]),
            findings=(
                *self._not_read(),
                *self._left_out(),
                *self.answers.findings(),
                *self.unused,
                *self.notes.findings(len(table)),
            ),
            lengths=lengths_of(np.frombuffer(self.lengths, dtype=np.uint32) if self.lengths else ()),
            samples=tuple(self.samples[key] for key in sorted(self.samples)),
            remarks=(*self.remarks, *self._limited(settings)),
        )

    def _limited(self, settings: Data) -> tuple[str, ...]:
        return (f"Only the first {plural(self.rows, 'row')} were read (data.limit).",) if settings.limit else ()

    def _not_read(self) -> tuple[Finding, ...]:
        """Files that were passed over because they lack the columns that the settings name."""
        if not self.skipped:
            return ()
        message = "files without the columns that data.columns names are not read"
        examples = tuple(Example(file=name, line=0) for name in self.skipped[:LISTED])
        count = len(self.skipped)
        return (Finding(check="files", severity="warning", message=message, count=count, unit="file", examples=examples),)

    def _left_out(self) -> tuple[Finding, ...]:
        """Sound rows that are left out because a column marks them as bad, for evaluation, or without weight."""
        findings: list[Finding] = []
        for reason, does in EXCLUDED.items():
            first = self.first_of_reason.get(reason)
            if first is None:
                continue
            example = Example(file=first.file, line=first.line, column=first.column, text=first.text[:80])
            count = self.reasons[reason]
            message = f"rows that `{first.column}` {does} are left out"
            if reason == FOR_EVALUATION:
                message += "; to evaluate on them, write them into a file of their own and name it in data.holdout"
            check = "marked_bad" if reason == BAD else "left_out"
            share = count / self.rows
            findings.append(
                Finding(check=check, severity="warning", message=message, count=count, share=share, examples=(example,))
            )
        return tuple(findings)

    def _advice(self, settings: Data) -> str:
        """What to do about the most frequent reason."""
        kind = next((kind for kind, _ in self.reasons.most_common() if kind not in EXCLUDED), "")
        if kind == "unknown role":
            said = [row.reason for row in self.first_rejected if kind_of_reason(row.reason) == kind]
            unknown = {reason.split("`")[1]: "user" if reason.endswith("message 1") else "assistant" for reason in said}
            roles = settings.roles | unknown
            line = "roles: {" + ", ".join(f"{quoted(name)}: {role}" for name, role in list(roles.items())[:4]) + "}"
            return f"Say under data: who is who, e.g. {line} (roles are system, user, assistant, tool)."
        if kind == "roles out of order":
            said = [row.reason for row in self.first_rejected if kind_of_reason(row.reason) == kind]
            if all("(system) follows user" in reason for reason in said):
                return "If `system` is the assistant there, write under data: roles: {system: assistant}."
            if all("(tool) follows" in reason for reason in said):
                return "Write the calls into the answers before those results, as `tool_calls`, or leave the results out."
            return (
                "Write under data: turns: join  (neighbouring turns of one speaker become one, a greeting may come first)  or  "
                "turns: keep  (as they stand, if the model's template takes them)."
            )
        return "Repair those rows, correct data.format or data.columns, or raise data.max_rejected."

    def _counted(self, kind: str, count: int) -> str:
        first = self.first_of_reason[kind]
        column = f", column {first.column}" if first.column else ""
        return f"{count:,} × {kind} (first: {first.file}, line {first.line}{column})"
