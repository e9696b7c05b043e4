"""From a desk to a new version: its rows with the edits laid over them, in the product's own chat format."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import orjson

from studio.core.errors import DataError, Stopped
from studio.core.files import need_room, read_json_lines, write_text
from studio.core.messages import ChatMessage
from studio.core.plain import is_object
from studio.data import prepare
from studio.data.collected import FILE, CollectedRow, CollectedRows
from studio.data.curation import added, store
from studio.data.curation import edits as edit_records
from studio.data.curation.desk import Desk
from studio.data.curation.differences import VersionRow
from studio.data.curation.edits import Add, Content
from studio.data.curation.row_origins import FILE as ORIGINS
from studio.data.curation.row_origins import RowOrigin, origins_of
from studio.data.curation.store import DatasetVersion, VersionRecord
from studio.data.curation.views import DeskRow
from studio.data.settings import FormatName, ReadAs
from studio.tracking.reporter import Reporter, Silent

EDITS = "edits.jsonl"


def write_version(desk: Desk, only_approved: bool = False, who: str = "", why: str = "") -> DatasetVersion:
    """A new version of the dataset: the rows that are not excluded, or only the approved ones, as they are after the edits.

    Raises DataError if nothing would differ from the version that is curated, or no row would be left.
    """
    item = desk.item
    digest = hashlib.sha256()
    count = left_out = changed = 0
    kinds: dict[str, FormatName] = {}
    edits = list(desk.edits())
    additions = {edit.row: edit.source for edit in added.of(edits)}
    sources: list[CollectedRow] = []
    for row in desk.rows():
        if not _is_in(row, only_approved):
            left_out += 1
            continue
        digest.update(row.content.as_bytes() + b"\n")
        count += 1
        changed += row.edited is not None or row.id in additions
        sources += [additions[row.id]] if row.id in additions else []
        kinds[row.content.kind] = row.content.format
    if not count:
        raise DataError("no row would be left in the new version", hint="Approve rows, or exclude fewer.", where=item.title)
    if not left_out and not changed:
        raise DataError(f"nothing would differ from {item.reference}", hint="Edit or exclude rows first.", where=item.title)
    if len(kinds) > 1:
        raise DataError(
            f"the rows are of several kinds ({', '.join(sorted(kinds))}), which no one version holds",
            hint="Exclude all but one kind.",
            where=item.title,
        )
    need_room(item.path, 2 * item.bytes, "The new version")

    def fill(folder: Path, number: int) -> None:
        (folder / "files").mkdir()
        with (
            (folder / "files" / f"{item.name}-v{number}.jsonl").open("wb") as rows,
            (folder / ORIGINS).open("wb") as origins,
        ):
            for row in desk.rows():
                if _is_in(row, only_approved):
                    rows.write(row.content.as_bytes() + b"\n")
                    origins.write(_line(RowOrigin(file=row.file, line=row.line, status=row.status)))
        lines = [json.dumps(edit_records.as_line(edit), ensure_ascii=False) + "\n" for edit in edits]
        write_text(folder / EDITS, "".join(lines))

    settings = item.settings.copy()
    for name in settings.keys() - {"turns", "train_on"}:
        del settings[name]
    settings["format"] = next(iter(kinds.values()))
    record = VersionRecord(
        created=0.0, settings=settings, parent=item.version, edits=len(edits), rows=count, who=who, why=why,
        made=item.record.made, collected=CollectedRows.of(sources, item.record.collected),
    )  # fmt: skip
    return store.add_version(item.path.parent, item.title, digest.hexdigest(), record, fill)


def first_version(folder: Path, title: str, rows: Sequence[tuple[Content, CollectedRow]], why: str = "") -> DatasetVersion:
    """A dataset of rows that people made of a model's answers, each of its content once. Raises DataError for rows of
    several kinds, or none."""
    by_content = {content.digest: Add(row=content.digest, after=content, source=source) for content, source in rows}
    edits = list(by_content.values())
    kinds: dict[str, FormatName] = {edit.after.kind: edit.after.format for edit in edits}
    if len(kinds) != 1:
        raise DataError(
            "there are no rows" if not kinds else f"the rows are of several kinds ({', '.join(sorted(kinds))})",
            hint="Choose answers that make rows of one kind.",
            where=title,
        )
    lines = [edit.after.as_bytes() + b"\n" for edit in edits]

    def fill(version: Path, number: int) -> None:
        (version / "files").mkdir()
        (version / "files" / f"{folder.name}-v{number}.jsonl").write_bytes(b"".join(lines))
        origins = [_line(RowOrigin(file=FILE, line=edit.source.number)) for edit in edits]
        (version / ORIGINS).write_bytes(b"".join(origins))
        write_text(
            version / EDITS, "".join(json.dumps(edit_records.as_line(edit), ensure_ascii=False) + "\n" for edit in edits)
        )

    record = VersionRecord(
        created=0.0, settings=ReadAs(format=next(iter(kinds.values()))), rows=len(edits), why=why,
        collected=CollectedRows.of(edit.source for edit in edits),
    )  # fmt: skip
    return store.add_version(folder, title, hashlib.sha256(b"".join(lines)).hexdigest(), record, fill)


def _line(origin: RowOrigin) -> bytes:
    return orjson.dumps(origin.as_line(), option=orjson.OPT_APPEND_NEWLINE)


def collected_from(item: DatasetVersion, file: str, line: int) -> CollectedRow | None:
    """The rated answer that a row was made of, by the file and line that the desk shows, in this version or an earlier one."""
    if file != FILE:
        return None
    for version in store.versions_of(item.path.parent):
        for values in read_json_lines(version.path / EDITS):
            edit = edit_records.parse(values, str(version.path / EDITS)) if _adds(values) else None
            if isinstance(edit, Add) and edit.source.number == line:
                return edit.source
    return None


def _adds(values: object) -> bool:
    return is_object(values) and values.get("action") == "add"


def _is_in(row: DeskRow, only_approved: bool) -> bool:
    return row.status == "approved" if only_approved else row.status != "excluded"


def version_rows(item: DatasetVersion, reporter: Reporter | None = None) -> Iterator[VersionRow]:
    """The rows of a version as they were written, with where they came from. No check is run. Raises DataError, Stopped."""
    origins, reporter = origins_of(item), reporter or Silent()
    for index, row in enumerate(prepare.usable(item.data, needs="labels")):
        if index % 1000 == 0:
            if reporter.should_stop():
                raise Stopped
            reporter.progress(index, item.record.rows, "Reading rows")
        of = origins[index] if origins else row
        yield VersionRow(Content.of(row), of.file, of.line)


def export(desk: Desk, file: Path, kind: Literal["jsonl", "csv"], present: bool = False) -> int:
    """Write a version's rows to a file; how many. present: with the edits that are in no version yet.

    JSONL has messages (or text), file and line; CSV has question, answer, system, file and line, so it takes rows of one
    question and one answer only: for others it raises DataError.
    """
    count = 0
    aside = file.with_name(f".{file.name}.part")
    try:
        with aside.open("w", encoding="utf-8", newline="") as out:
            table = csv.writer(out) if kind == "csv" else None
            for row in desk.rows():
                if present and row.status == "excluded":
                    continue
                content = row.content if present else row.original
                if table is None:
                    values = {**orjson.loads(content.as_bytes()), "file": row.file, "line": row.line}
                    out.write(json.dumps(values, ensure_ascii=False) + "\n")
                else:
                    cells = _cells(row, content.messages, content.text)
                    if not count:
                        table.writerow((*cells, "file", "line"))
                    table.writerow((*cells.values(), row.file, row.line))
                count += 1
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    return count


def _cells(row: DeskRow, messages: tuple[ChatMessage, ...], text: str) -> dict[str, str]:
    """A row as the cells of a table."""
    if not messages:
        return {"text": text}
    if row.content.rejected is not None:
        raise DataError(
            f"row {row.number} is a preference pair", hint="Export as .jsonl.", where=f"{row.file}, line {row.line}"
        )
    roles = [str(turn["role"]) for turn in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]) or messages[-1].get("tool_calls"):
        raise DataError(
            f"row {row.number} is a conversation of {len(roles)} turns, which a table does not hold",
            hint="Export as .jsonl.",
            where=f"{row.file}, line {row.line}",
        )
    said = [str(turn.get("content") or "") for turn in messages]
    return {"question": said[-2], "answer": said[-1], "system": said[0] if len(said) == 3 else ""}
