"""Fragments of the desk: progress, the table of rows, one row with its editor, versions, what differs between two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.app import curation, origins
from studio.app.fragments.parts import badge, came_from, empty, joined, note, notice, section, when
from studio.core.html import Fragments
from studio.core.text import plural, shorten
from studio.data.curation.differences import Difference, RowDifference, TurnDifference
from studio.data.curation.masking import Masked
from studio.data.curation.store import DatasetVersion
from studio.data.curation.views import DeskRow, Progress
from studio.data.findings import Finding
from studio.processes.tasks import Task

if TYPE_CHECKING:
    from studio.data.curation.edits import Content

_html = Fragments("studio.app", "desk.html")
SHOWN = 220
"""Characters of a question or an answer in the table."""
DIFFERENCES = 100
"""Rows of a comparison that are shown."""
STATUSES = {"open": ("to see", "calm"), "approved": ("approved", "good"), "excluded": ("excluded", "bad")}
ROLES = {"user": "Question", "assistant": "Answer", "system": "System prompt", "tool": "Tool", "rejected": "Rejected answer"}
KEYS = (
    ("j", "next row"), ("k", "previous row"), ("a", "approve"), ("x", "exclude"), ("e", "edit"), ("m", "mask"), ("u", "undo"),
)  # fmt: skip


def heading(item: DatasetVersion) -> Markup:
    """Which version is on the desk."""
    made = f", from {plural(item.record.edits, 'edit')} of an earlier version" if item.record.parent else ""
    why = f": {item.record.why}" if item.record.why else ""
    return section(
        f"{item.title} v{item.number}",
        f"Added {when(item.created)}{made}{why}. Rows are never changed; edits are stored separately.",
    )


def progress(done: Progress) -> Markup:
    """How many rows are approved, excluded and still to see."""
    parts = [("good", done.approved), ("bad", done.excluded), ("", done.open)]
    widths = [(tone, 100 * count / done.total) for tone, count in parts if count]
    return _html("progress", widths, f"{plural(done.total, 'row')}: {done}")


def reading(task: Task) -> Markup:
    """How far the rows are read and checked."""
    return notice("The rows are being read and checked.", task.progress or "This happens once per version.", "calm")


def model_reading(task: Task | None, findings: Sequence[Finding] = ()) -> Markup:
    """How far a model is in reading the rows, or that it is done. findings: of the rows, by now."""
    if task is None:
        return note("Stopped: nothing of it is kept.")
    if task.error is not None:
        return notice(task.error.sentence, task.error.hint, "bad")
    if task.state == "running":
        return notice("The model is reading the rows.", task.progress or "Loading the model …", "calm")
    if task.kind == curation.NAMES:
        count = next((item.count for item in findings if item.check == curation.NAMES), 0)
        if not count:
            return notice("Looked for names: none were found.", "Names that the model misses may still be there.", "good")
        return notice(f"Looked for names: {plural(count, 'row')} with names.", "They are under Finding as “names”.", "good")
    return notice("Scored.", "Choose “hardest” or “surprising” under Finding: the worst rows come first.", "good")


def rows(items: Sequence[DeskRow], selected: int, total: int, start: int) -> Markup:
    """The table of rows; the selected one has the keyboard's commands."""
    if not items:
        return empty("No row matches", "Choose another finding or status, or clear the search.")
    shown = [
        {
            "number": item.number,
            "where": f"{item.file}, line {item.line:,}",
            "said": _said(item),
            "status": badge(*STATUSES[item.status]),
            "edited": badge("edited", "busy") if item.edited else "",
            "checks": item.checks,
            "selected": item.number == selected,
        }
        for item in items
    ]
    return _html("rows", shown, f"{start + 1:,} to {start + len(items):,} of {plural(total, 'row')}")


def _said(item: DeskRow) -> list[tuple[str, str]]:
    """The beginning of the last question and answer, or of the text."""
    content = item.content
    if not content.messages:
        return [("Text", shorten(content.text, 2 * SHOWN))]
    asked = next((turn for turn in reversed(content.messages) if turn["role"] == "user"), None)
    turns = [asked] if asked else []
    more = len([turn for turn in content.messages if turn["role"] != "system"]) - 2
    label = "Question" + (f" (after {plural(more, 'turn')})" if more > 0 else "")
    said = [(label, shorten(str(turn.get("content") or ""), SHOWN)) for turn in turns]
    return [*said, ("Answer", shorten(content.answer or "tool call", SHOWN))]


def editor(
    item: DeskRow,
    others: Sequence[DeskRow],
    mask: Masked | None,
    findings: dict[str, Finding],
    origin: Sequence[tuple[str, str]] = (),
) -> Markup:
    """One row, turn by turn, to be read and changed. others: rows that answer the same question otherwise; mask: the row
    with its personal data masked; origin: what is known of where it comes from."""
    turns = [
        {
            "role": turn["role"],
            "label": ROLES.get(turn["role"], turn["role"]),
            "content": turn["content"],
            "answers": turn["role"] == "assistant",
            "last": index == len(item.content.messages) - 1,
            "trained": turn.get("train") is not False,
            "calls": json.dumps(calls, ensure_ascii=False) if (calls := turn.get("tool_calls")) else "",
        }
        for index, turn in enumerate(item.content.messages)
    ]
    if not item.content.messages:
        turns = [
            {
                "role": "text",
                "label": "Text",
                "content": item.content.text,
                "answers": False,
                "last": True,
                "trained": True,
                "calls": "",
            }
        ]
    if item.content.rejected:
        rejected = {"role": "rejected", "label": ROLES["rejected"], "content": item.content.rejected.get("content") or ""}
        turns.append({**rejected, "answers": False, "last": False, "trained": True, "calls": ""})
    marks = [(findings[check].message if check in findings else check) for check in item.checks]
    if item.scored:
        marks.append(f"the base model's loss in the answer: {item.scored}")
    preview = _mask_preview(item, mask) if mask else ""
    answers = [(other.number, f"{other.file}, line {other.line:,}", shorten(other.content.answer, 400)) for other in others]
    changed = _changed(item) if item.edited else ""
    status = badge(*STATUSES[item.status])
    return _html("editor", item, status, marks, turns, answers, preview, changed, KEYS, came_from(origin))


def _mask_preview(item: DeskRow, mask: Masked) -> Markup:
    return _html("masking", ", ".join(mask.kinds), _turns(RowDifference(_row(item.content), _row(mask.content)).turns()))


def _changed(item: DeskRow) -> Markup:
    return _html("changed", _turns(RowDifference(_row(item.original), _row(item.content)).turns()))


def _row(content: Content) -> Any:
    from studio.data.curation.differences import VersionRow

    return VersionRow(content, "", 0)


def _turns(turns: Sequence[TurnDifference]) -> list[tuple[str, Sequence[Any]]]:
    """Turns with their stretches of text, those that did not change left out."""
    return [
        (ROLES.get(turn.role, turn.role.capitalize()), turn.segments)
        for turn in turns
        if any(segment.operation != "same" for segment in turn.segments)
    ]


def versions(items: Sequence[DatasetVersion], current: DatasetVersion) -> Markup:
    """The versions of a dataset, newest first, with what made each."""
    numbers = {item.version: item.number for item in items}
    shown: list[dict[str, Any]] = []
    for item in reversed(items):
        parent = (
            f"{plural(item.record.edits, 'edit')} of v{numbers[item.record.parent]}" if item.record.parent in numbers else ""
        )
        made = parent or ("edited" if item.record.parent else "written by a model" if item.record.made else "uploaded")
        shown.append(
            {
                "number": item.number, "key": item.key, "current": item.key == current.key, "made": made, "why": item.record.why,
                "when": when(item.created), "rows": plural(item.record.rows, "row") if item.record.rows else "",
                "reference": item.reference, "train": origins.training_page(item),
            }
        )  # fmt: skip
    return _html("versions", shown)


def difference(difference: Difference, before: DatasetVersion, after: DatasetVersion) -> Markup:
    """What differs between two versions, with the words that changed marked."""
    counts = [(kind, difference.count(kind)) for kind in ("added", "removed", "changed")]
    words = f"v{before.number} → v{after.number}: {difference.same:,} the same, " + ", ".join(
        f"{count:,} {kind}" for kind, count in counts
    )
    tones = {"added": "good", "removed": "bad", "changed": "busy"}
    shown: list[tuple[object, ...]] = []
    for item in difference.rows[:DIFFERENCES]:
        file, line = item.where
        shown.append((badge(item.kind, tones[item.kind]), f"{file}, line {line:,}", _turns(item.turns())))
    more = (
        note(f"{len(difference.rows) - DIFFERENCES:,} more: studio data diff shows all.")
        if len(difference.rows) > DIFFERENCES
        else ""
    )
    return joined(note(words), _html("differences", shown), more)
