"""Gather: all sources read, detected and checked in one stream, while only hashes and counts stay in memory."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from studio.core.errors import DataError, Stopped
from studio.core.files import sha256
from studio.core.text import plural, shorten
from studio.data.check import beginning, check
from studio.data.choices import columns_line
from studio.data.detect import SAMPLE, Detection, detect
from studio.data.gathered import Gathered
from studio.data.paths import value_at
from studio.data.read import Opened, opened
from studio.data.readers.json_values import TWICE
from studio.data.report import FileReport
from studio.data.rows import Conversation, Needs, Rejected, Row
from studio.data.settings import Data
from studio.data.shared import labels
from studio.data.sources import Source
from studio.data.unused import UnusedColumns
from studio.tracking.reporter import Reporter

_EVERY = 1_000


def gather(
    sources: list[Source],
    settings: Data,
    reporter: Reporter,
    keep: Callable[[bytes], object] | None = None,
    refused: Callable[[bytes], object] | None = None,
    strict: bool = True,
    needs: Needs = "conversations",
) -> Gathered:
    """Read, detect and check all sources. keep and refused take the JSON line of each usable and each rejected row.

    strict: columns that the settings name must be there, in at least one of the sources. needs: what the training method
    learns from; a file that has no such rows is refused.

    Raises DataError for a source as a whole, and Stopped when asked to.
    """
    gathered = Gathered()
    total = sum({source.path: source.bytes for source in sources}.values())
    done = 0
    passed_on: tuple[str, ...] = ()
    for place, source in enumerate(sources):
        if passed_on:
            source, passed_on = replace(source, remarks=(*passed_on, *source.remarks)), ()
        with opened(source, settings) as stream:
            left = settings.limit - gathered.rows if settings.limit else None
            rows = itertools.islice(stream.rows, left)
            sample, rows = beginning_of(rows, stream)
            if strict and source.in_collection and len(sources) > 1 and lacks_columns(sample, settings):
                gathered.skipped.append(source.name)
                passed_on = (*passed_on, *source.remarks)  # what else was not read is said with the first file that is
                continue
            detection = detect(sample, settings, strict=strict and len(sources) == 1)
            if needs == "labels":
                detection = labelled(detection, sample, source.name)
            refuse_unfit(detection, needs, source.name)

            def tell(position: Callable[[], int] = stream.position, before: int = done) -> None:
                if reporter.should_stop():
                    raise Stopped
                reporter.progress(before + position(), total, "Reading rows")

            before = (gathered.rows, gathered.rejected)
            unused = UnusedColumns(detection.columns.values())
            _take(check(rows, detection, settings, gathered.notes, unused, needs), gathered, keep, refused, tell)
            rows_here, rejected_here = gathered.rows - before[0], gathered.rejected - before[1]
            gathered.unused += unused.findings()
            gathered.files.append(_file_report(source, stream, detection, gathered, rows_here, rejected_here))
        if place + 1 == len(sources) or sources[place + 1].path != source.path:
            done += source.bytes
        if settings.limit and gathered.rows >= settings.limit:
            break
    if strict:
        _columns_were_found(sources, settings, gathered)
    return gathered


def refuse_unfit(detection: Detection, needs: Needs, file: str) -> None:
    """Raise DataError if rows read so have not what the training method learns from."""
    if needs == "pairs" and detection.format != "preference":
        raise DataError(
            f"these rows ({detection.format}) are no preference pairs, which the training method learns from",
            hint="Give rows with a prompt, a `chosen` and a `rejected` answer, or set training.method to sft.",
            where=file,
        )
    if needs == "prompts" and detection.format == "text":
        raise DataError(
            "these rows are plain text, and the training method needs prompts that can be answered",
            hint="Give rows with a question and an answer, or set training.method to text.",
            where=file,
        )
    if needs == "texts" and detection.format != "text":
        raise DataError(
            f"these rows ({detection.format}) are no plain text, which the training method learns from",
            hint="Give documents (.txt, .md, ...) or a column of texts with data.format: text, or set training.method to sft. "
            "Conversations are mixed in by data.replay and data.replay_from.",
            where=file,
        )


def labelled(detection: Detection, sample: Sequence[Row], file: str) -> Detection:
    """The detection with the column that says which answers are good, where it has none and only one column says so.

    Raises DataError where none does, or several do.
    """
    if detection.format == "preference" or "keep" in detection.columns:
        return detection
    candidates = labels(sample, set(detection.columns.values()))
    if len(candidates) == 1:
        reason = f"`{candidates[0]}` says which answers are good."
        return replace(detection, columns={**detection.columns, "keep": candidates[0]}, reasons=(*detection.reasons, reason))
    ways = "  or  ".join(columns_line({**detection.columns, "keep": name}) for name in candidates)
    raise DataError(
        f"these answers ({detection.format}) are not labelled good or bad, which the training method learns from: no column "
        f"holds both marks in every one of the first {plural(len(sample), 'row')}"
        if not candidates
        else f"it is not clear which column says whether an answer is good: {', '.join(f'`{name}`' for name in candidates)}",
        hint=f"Write under data: {ways}"
        if candidates
        else f"Name the column beside the others, {columns_line(detection.columns)}: its role is `keep`, and true, 1 or 👍 is "
        "good; or set training.method to sft.",
        where=file,
    )


def _take(
    checked: Iterator[Conversation | Rejected],
    gathered: Gathered,
    keep: Callable[[bytes], object] | None,
    refused: Callable[[bytes], object] | None,
    tell: Callable[[], None],
) -> None:
    for row in checked:
        if gathered.rows % _EVERY == 0:
            tell()
        gathered.rows += 1
        if not isinstance(row, Rejected):
            try:
                line = orjson.dumps(row.as_dict(), option=orjson.OPT_APPEND_NEWLINE)
            except orjson.JSONEncodeError:  # a date or bytes in a tool call, half a character in a name
                row = Rejected(row.file, row.line, "not text: it holds a value that JSON cannot", "", beginning(row.as_dict()))
            else:
                gathered.add(row)
                if keep:
                    keep(line)
                continue
        gathered.refuse(row)
        if refused:
            refused(rejected_line(row))
    tell()


def rejected_line(row: Rejected) -> bytes:
    """A rejected row as a line of `rejected.jsonl`."""
    values = {"file": row.file, "line": row.line, "column": row.column, "reason": row.reason, "text": row.text}
    try:
        return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        values["text"] = row.text.encode("utf-8", "replace").decode()
        return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def lacks_columns(sample: list[Row], settings: Data) -> bool:
    """Whether none of the columns that the settings name is in the sample."""
    names = settings.columns.values()
    return bool(names) and not any(value_at(row.values, name) is not None for row in sample for name in names)


def beginning_of(rows: Iterator[Row | Rejected], stream: Opened) -> tuple[list[Row], Iterator[Row | Rejected]]:
    """A sample of the first rows, and all rows again from the first. Raises DataError if no row can be read."""
    head: list[Row | Rejected] = []
    sample: list[Row] = []
    for row in rows:
        head.append(row)
        if isinstance(row, Row):
            sample.append(row)
        if len(sample) >= SAMPLE or len(head) >= 8 * SAMPLE:
            break
    name = stream.facts.name
    if not head:
        raise DataError("there are no rows in it", hint="Give a file with rows.", where=name)
    if not sample:
        first = next(row for row in head if isinstance(row, Rejected))
        hint = (
            "Rename one of the two keys, or remove it."
            if first.reason.startswith(TWICE)
            else "Does its content match its ending? Open it in an editor and look at that line."
        )
        raise DataError(
            f"none of its first {plural(len(head), 'row')} can be read; {first.reason}: {shorten(first.text, 60)}",
            hint="Give a file whose rows hold question and answer." if first.column else hint,
            where=f"{name}, line {first.line}",
        )
    return sample, itertools.chain(head, rows)


def _file_report(
    source: Source, stream: Opened, detection: Detection, gathered: Gathered, rows: int, rejected: int
) -> FileReport:
    before = next((file.sha256 for file in gathered.files if file.path == source.path), "")
    details: Mapping[str, str] = stream.facts.details
    return FileReport(
        name=source.name,
        path=source.path,
        kind=source.kind,
        container=source.container,
        bytes=source.bytes,
        sha256=before or _hash(source, gathered, rows - rejected),
        encoding=stream.facts.encoding,
        format=detection.format,
        columns=dict(detection.columns),
        confidence=detection.confidence,
        reasons=detection.reasons,
        runner_up=detection.runner_up,
        runner_up_confidence=detection.runner_up_confidence,
        details=dict(details),
        remarks=tuple(stream.facts.remarks),
        rows=rows,
        usable=rows - rejected,
        rejected=rejected,
    )


def _hash(source: Source, gathered: Gathered, usable: int) -> str:
    """SHA-256 of the file or folder; of the usable rows' hashes for a hub dataset, which has no one file."""
    path = Path(source.path)
    if path.exists():
        return sha256(path)
    return hashlib.sha256(gathered.hashes[len(gathered.hashes) - 4 * usable :].tobytes()).hexdigest()


def _columns_were_found(sources: list[Source], settings: Data, gathered: Gathered) -> None:
    """Of several files each may have columns of its own, but those that were named must be somewhere."""
    wanted = set(settings.columns.values())
    if wanted and not any(wanted <= set(file.columns.values()) for file in gathered.files):
        raise DataError(
            f"none of the {len(sources)} files has the columns {', '.join(f'`{name}`' for name in sorted(wanted))}",
            hint="Correct data.columns.",
            where="data.columns",
        )
