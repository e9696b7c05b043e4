"""Fragments of data: the library, what was found in the files, rows, lengths, conversations, tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from studio.app.file_preview import FirstRows
from studio.app.fragments.parts import (
    badge,
    empty,
    figures,
    joined,
    note,
    notice,
    progress,
    section,
    sentence,
    table,
    text,
    when,
)
from studio.app.library import Users
from studio.app.preview_records import PreviewRecord
from studio.core.html import Fragments
from studio.core.messages import ChatMessage
from studio.core.text import plural, size
from studio.data.curation.store import DatasetVersion
from studio.data.findings import Finding
from studio.data.report import DataReport
from studio.data.rows import Conversation

_html = Fragments("studio.app", "data.html")
ROLES = {"user": "Person", "assistant": "Answer (trained)", "system": "System prompt", "tool": "Tool"}
MAX_TOKENS = 2000
"""Tokens of a row that are shown."""
TONES = {"error": "bad", "warning": "warn", "info": "calm"}
"""How a finding of that severity looks."""


def library(items: Sequence[Any]) -> Markup:
    """The datasets with their versions."""
    if not items:
        return empty("No datasets yet", "Upload a spreadsheet, a chat log or a text, or try one of the samples.")
    rows = [
        (
            _html("dataset_link", item),
            f"v{item.number}",
            ", ".join(name.rsplit("/", 1)[-1] for name in item.files),
            size(item.bytes),
            when(item.created),
        )
        for item in items
    ]
    datasets = len({item.key.partition("/")[0] for item in items})
    caption = f"{plural(datasets, 'dataset')}, {plural(len(items), 'version')}"
    return table(("Dataset", "Version", "Files", "Size", "Added"), rows, caption, figures=(3,), narrow=True)


def heading(item: DatasetVersion) -> Markup:
    """Which version it is, and where its rows come from that a model or people wrote."""
    made, collected = item.record.made, item.record.collected
    words = [made.sentence, made.terms_sentence] if made else []
    words += [collected.sentence] if collected else []
    title = section(item.title, f"Version {item.number}, added {when(item.created)}")
    return joined(title, *(note(sentence(said)) for said in words))


def head(report: DataReport) -> Markup:
    """Whether the data can be used, and the counts."""
    totals = report.totals
    usable = badge("usable", "good") if report.usable else badge("not usable yet", "bad")
    words = "Training can start on this data." if report.usable else "Resolve the findings below first."
    problems = [notice(sentence(problem), tone="bad") for problem in report.problems]
    counts = figures(
        [
            ("Usable rows", f"{totals.usable:,}", f"of {totals.rows:,} read"),
            ("Rejected", f"{totals.rejected:,}", "listed below" if totals.rejected else "none"),
            ("Repeated", f"{totals.duplicates:,}", "left out" if totals.duplicates else "none"),
            ("Same question, other answer", f"{totals.conflicts:,}", "listed below" if totals.conflicts else "none"),
        ]
    )
    return _html("head", usable, words, counts, problems)


def checking(said: str, bytes: int) -> Markup:
    """How far the check of all rows is. said: the last line that the check printed, with its share where it is known."""
    share = said.rpartition(": ")[2]
    done = float(share.removesuffix("%")) / 100 if share.endswith("%") else 0.0
    if not done:
        return progress(0.0, 0.0, "Checking every row …")
    return progress(done, 1.0, f"Reading the files: {size(bytes * done)} of {size(bytes)}")


def users(users: Users) -> Markup:
    """The runs that use a version, before it is deleted."""
    named = [*users.unfinished, *users.finished]
    if not named:
        return note("No run uses this version.")
    words = f"{plural(len(named), 'run')} used this version: {', '.join(named[:5])}" + (" and others" if named[5:] else "")
    what = (
        "It cannot be deleted while a run still uses it."
        if users.unfinished
        else "If it is deleted, their results stay, but they cannot be run again."
    )
    return notice(f"{words}.", what, "warn")


def stopped() -> Markup:
    """The check was stopped."""
    return notice("The check was stopped.", "Load the page again to check the rows.")


def detected(report: DataReport, titles: dict[str, str]) -> Markup:
    """How each file was read, and why. titles: what a layout is called, by its name."""
    rows: list[Sequence[Any]] = []
    for file in report.files:
        roles = ", ".join(f"{role}: {column}" for role, column in file.columns.items())
        facts = [size(file.bytes), file.encoding, file.container, *file.details.values()]
        rows.append(
            (
                _html("with_small", file.name, ", ".join(str(fact) for fact in facts if fact)),
                _html("with_small", titles.get(file.format, file.format), f"{file.confidence:.0%} certain"),
                roles or "–",
                " ".join([*file.reasons, *file.remarks]),
                f"{file.usable:,} of {file.rows:,}",
            )
        )
    columns = ("File", "Layout", "Columns", "Why", "Usable rows")
    return joined(section("How it was read"), table(columns, rows, "How it was read", (4,)))


def findings(report: DataReport, most: int = 100) -> Markup:
    """What the checks found, and every row that is left out or worth a look, with its file and line."""
    rows = [(item.file, f"{item.line:,}", item.reason, item.text) for item in report.rejected.first]
    rows += [(item.file, f"{item.line:,}", item.reason, "") for item in report.removed]
    for item in report.conflicts:
        (file, line), (other, other_line) = item.places
        rows.append((file, f"{line:,}", f"Another answer is in {other}, line {other_line:,}.", ""))
    found = report.findings
    checked = [finding(item) for item in found]
    said = [item.message for item in found]
    files = tuple(file.name for file in report.files)
    checked += [
        notice(words if words.startswith(files) else sentence(words))  # a file's name keeps its small letter
        for words in report.warnings
        if not any(part in words for part in said)
    ]
    if not rows and not checked:
        return joined(section("Findings"), note("Nothing to report: every row can be used."))
    listed = table(("File", "Line", "What", "Row"), rows[:most], "Findings by row", (1,)) if rows else ""
    more = note(f"{len(rows) - most:,} more are in the report of a run.") if len(rows) > most else ""
    return joined(section("Findings"), *checked, listed, more)


def finding(item: Finding) -> Markup:
    """What one check found, with its first examples."""
    examples = item.examples
    where = ", ".join(f"{example.file} line {example.line:,}" for example in examples[:3] if example.line)
    message = f"{item.message}: {plural(item.count, item.unit or 'row')}"
    limits = f"Not checked: {item.not_covered}." if item.not_covered else ""
    return notice(sentence(message), limits, TONES.get(item.severity, "warn"), f"First: {where}" if where else "")


def lengths(report: DataReport) -> Markup:
    """The lengths of rows as bars; each bar holds the rows up to twice the length of the one before."""
    counts = report.lengths
    histogram = counts.histogram
    if not histogram:
        return Markup("")
    most, wide = max(count for _, count in histogram), 100 / len(histogram)
    bars = [
        {
            "title": f"{plural(count, 'row')} up to {bound:,} characters",
            "x": index * wide + wide * 0.08,
            "y": 40 - 36 * count / most,
            "width": wide * 0.84,
            "height": 36 * count / most,
        }
        for index, (bound, count) in enumerate(histogram)
    ]
    words = (
        f"Half of the rows have up to {counts.p50:,} characters, nine in ten up to {counts.p90:,}, the longest {counts.max:,}."
    )
    ends = (f"{histogram[0][0]:,}", f"{histogram[-1][0]:,}") if len(histogram) > 1 else ()
    return joined(section("Lengths", words), _html("lengths", bars, words, ends))


def samples(report: DataReport, most: int = 4) -> Markup:
    """A few rows as the conversations they become."""
    shown = [conversation(item) for item in report.samples[:most]]
    title = section("Samples", "Rows as the model will see them.")
    return joined(title, _html("samples", shown) if shown else note("No rows to show."))


def conversation(item: Conversation) -> Markup:
    """One row as chat bubbles, with its file and line."""
    where = f"{item.file}, line {item.line:,}" if item.file else ""
    if item.text:
        return _html("conversation", [("system", "Text (trained)", item.text[:4000])], where)
    turns = [
        (turn.get("role", ""), ROLES.get(turn.get("role", ""), turn.get("role", "")), _content(turn)) for turn in item.messages
    ]
    return _html("conversation", turns, where)


def _content(turn: ChatMessage) -> str:
    calls = turn.get("tool_calls")
    return json.dumps(calls, ensure_ascii=False) if calls and not turn["content"] else turn["content"]


def tokens(previews: Iterable[PreviewRecord]) -> Markup:
    """Rows token by token; what is trained is marked by colour and underline."""
    shown: list[Markup] = []
    notes: dict[str, None] = {}
    for item in previews:
        notes.update(dict.fromkeys(item.notes))
        every = item.tokens
        cut = f" The first {MAX_TOKENS:,} of {len(every):,} are shown." if len(every) > MAX_TOKENS else ""
        name = item.file.rsplit("/", 1)[-1]
        words = f"{name}, line {item.line:,}: {plural(len(every), 'token')}, {item.trained:,} trained (green, underlined); control tokens have a frame.{cut}"
        listed = [{**token.model_dump(), "lines": token.text.split("\n")} for token in every[:MAX_TOKENS]]
        shown.append(_html("tokens", {"tokens": listed}, words))
        if found := item.lookalikes:
            said = f"Plain text that looks like a control token and is not one (dotted): {', '.join(found)}"
            shown.append(
                notice(said, "It is learned as characters. Remove it from the rows if it is left over from a template.")
            )
    said = [note(f"Chat template: {words}.") for words in notes]
    return joined(*said, *shown) if shown else note("No rows to show.")


def raw_rows(preview: FirstRows) -> Markup:
    """The first rows of a file before anything is made of them."""
    columns = preview.columns[:12]
    cells = [[text(row.get(name, "")) for name in columns] for row in preview.rows]
    return table(columns, cells, "The first rows as they are in the file") if columns else Markup("")
