"""From a job to datasets of the library: its rows, those of held-out documents, its preference pairs, with provenance."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import orjson

from studio.core.errors import DataError
from studio.core.files import write_text
from studio.core.plain import object_or_empty
from studio.core.records import json_lines
from studio.core.text import slug
from studio.data.curation import store
from studio.data.curation.store import DatasetVersion, VersionRecord
from studio.data.settings import ReadAs
from studio.making.folder import JobFolder
from studio.making.records import JobStatus, MadeRow, Provenance

PROVENANCE = "provenance.jsonl"
"""Beside the files of a version: where each row comes from, a line a row, in the rows' order."""


def write(job: JobFolder, title: str = "") -> JobStatus:
    """Put a job's rows into the library as versions of datasets, and note their names in its status.

    Rows of held-out documents and preference pairs become datasets of their own. The same rows again are the same versions.
    Raises DataError if there are no rows.
    """
    report = job.report
    rows = list(job.rows())
    if report is None or not rows:
        raise DataError("this job has made no rows yet", hint=f"Run it: studio make resume {job.id}", where=job.id)
    title = title or job.spec.name
    training = [row for row in rows if row.kind == "rows" and not row.held_out]
    held_out = [row for row in rows if row.kind == "rows" and row.held_out]
    pairs = [row for row in rows if row.kind == "pairs"]
    changes: dict[str, str] = {}
    for field, name, some in (
        ("dataset", title, training),
        ("held_out_dataset", f"{title} held out", held_out),
        ("pairs_dataset", f"{title} pairs", pairs),
    ):  # fmt: skip
        if some:
            changes[field] = _version(job, name, some).reference
    status = job.status.model_copy(update=changes)
    job.set_status(status)
    return status


def _version(job: JobFolder, title: str, rows: Sequence[MadeRow]) -> DatasetVersion:
    report = job.report
    assert report is not None
    lines = [orjson.dumps(row.values) for row in rows]
    digest = hashlib.sha256(b"\n".join(lines)).hexdigest()
    name = slug(title)

    def fill(folder: Path, number: int) -> None:
        (folder / "files").mkdir()
        (folder / "files" / f"{name}-v{number}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        provenance = [{"row": row.id, "quote": row.quote, **row.provenance.as_line()} for row in rows]
        write_text(folder / PROVENANCE, "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in provenance))

    settings = ReadAs(format="preference" if rows[0].kind == "pairs" else "messages")
    counts = Counter(row.provenance.recipe for row in rows)
    recipes = {recipe: counts[recipe] for recipe in report.summary.recipes if counts[recipe]}
    made = report.summary.model_copy(update={"recipes": recipes})
    record = VersionRecord(created=0.0, settings=settings, rows=len(rows), why=f"made by {job.id}", made=made)
    return store.add_version(job.home / "datasets" / name, title, digest, record, fill)


def provenance(item: DatasetVersion, file: str, line: int) -> tuple[Provenance, str] | None:
    """Where a row comes from, with the quote that bears it out, by the file and line that the desk shows, also in versions
    that edits made; None for rows that no job made."""
    for version in store.versions_of(item.path.parent):
        kept = version.path / PROVENANCE
        if kept.exists() and any(Path(name).name == file for name in version.files):
            for number, (where, values) in enumerate(json_lines(kept, Provenance.label), 1):
                if number == line:
                    known = object_or_empty(values)
                    of = Provenance.from_json({name: known[name] for name in known if name not in ("row", "quote")}, where)
                    return of, str(known.get("quote") or "")
    return None
