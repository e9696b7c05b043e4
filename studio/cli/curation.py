"""`studio data add, list, curate, diff, export` and `delete`: datasets of the library, mended in versions."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli import show
from studio.cli.options import Home, Json
from studio.cli.progress import reporting
from studio.core.errors import DataError, SpecError
from studio.core.files import studio_home
from studio.core.text import plural, shorten, size

if TYPE_CHECKING:
    from studio.app.curation import Batch, Desk, DeskRow
    from studio.data.curation.differences import RowDifference
    from studio.data.curation.store import DatasetVersion

Name = Annotated[str, typer.Argument(metavar="NAME[@N]", help="A dataset of the library, its newest version without @N.")]
_SHOWN = 20


class Status(StrEnum):
    """Rows by what was decided about them."""

    open = "open"
    approved = "approved"
    excluded = "excluded"
    edited = "edited"
    added = "added"


class WhichAnswer(StrEnum):
    """Which of several answers to one question is kept."""

    first = "first"
    last = "last"
    longest = "longest"


def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The files of the dataset.", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="Name of the dataset.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Add files to the library, as a dataset or a new version of one."""
    from studio.app import library

    item = library.add(studio_home(home), name, [(file.name, file) for file in files])
    show.as_json(_version(item)) if json else show.say(f"{item.title} v{item.number}: train it as {item.reference}")


def list_(home: Home = None, json: Json = False) -> None:
    """List the datasets of the library with their versions."""
    from studio.app import library

    items = library.versions(studio_home(home))
    show.damages(home, "datasets")
    if json:
        show.as_json([_version(item) for item in items])
        return
    rows = [
        (item.reference, item.title, f"{item.record.rows:,}" if item.record.rows else "–", size(item.bytes), _origin(item))
        for item in sorted(items, key=lambda item: (item.name, item.number))
    ]
    show.table(("version", "title", "rows", "size", "made of"), rows, right=(2, 3))
    if not items:
        show.say("The library is empty: studio data add FILE… --name NAME")


def curate(
    name: Name,
    finding: Annotated[
        str | None, typer.Option("--finding", metavar="CHECK", help="Rows with a finding of this check.")
    ] = None,
    status: Annotated[Status | None, typer.Option("--status", help="Rows with this status.")] = None,
    text: Annotated[str, typer.Option("--text", help="Rows that contain this text, ignoring case.")] = "",
    row: Annotated[list[str] | None, typer.Option("--row", metavar="ROW", help="One row, by number or id; repeatable.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All rows.")] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Mark the rows as good.")] = False,
    exclude: Annotated[bool, typer.Option("--exclude", help="Leave the rows out of the next version.")] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Replace personal data by tokens such as <EMAIL_1>.")] = False,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="With --mask: only EMAIL, IBAN, CARD …")
    ] = None,
    relabel: Annotated[str | None, typer.Option("--relabel", metavar="TEXT", help="Give the rows another answer.")] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="ROW", help="Keep this row's answer; exclude rows that contradict it.")
    ] = None,
    keep_answer: Annotated[
        WhichAnswer | None, typer.Option("--keep-answer", help="The same for all contradictions at once.")
    ] = None,
    join: Annotated[bool, typer.Option("--join", help="Make one conversation of the rows of --row, in that order.")] = False,
    edits: Annotated[Path | None, typer.Option("--edits", metavar="FILE", help="Apply the edits of a JSONL file.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last batch of edits.")] = False,
    why: Annotated[str, typer.Option("--why", help="The reason, stored with the edits.")] = "",
    write: Annotated[bool, typer.Option("--write", help="Write the edits as a new version.")] = False,
    only_approved: Annotated[bool, typer.Option("--only-approved", help="With --write: only rows that are approved.")] = False,
    most: Annotated[int, typer.Option("--limit", min=1, help="Maximum number of rows listed.")] = _SHOWN,
    home: Home = None,
    json: Json = False,
) -> None:
    """List rows of a dataset and correct them by edits; the rows never change. --write creates a new version."""
    from studio.app import curation

    query = curation.Query(
        check=finding or "", status=status.value if status else "", text=text, rows=tuple(row or ()), every=every
    )
    with reporting(json) as reporter, curation.desk(name, home, reporter) as desk:
        if finding and finding not in {item.check for item in desk.findings()}:
            there = ", ".join(item.check for item in desk.findings()) or "none"
            raise DataError(f"no check `{finding}` found anything", hint=f"Findings: {there}.", where="--finding")
        actions: dict[str, Any] = {
            "--approve": approve and (lambda: desk.approve(query, why)),
            "--exclude": exclude and (lambda: desk.exclude(query, why)),
            "--mask": mask and (lambda: desk.mask(query, [item.upper() for item in kind or ()], why)),
            "--relabel": relabel is not None and (lambda: desk.relabel(query, relabel or "", why)),
            "--keep": keep is not None and (lambda: desk.keep_answer(keep or "", why)),
            "--keep-answer": keep_answer and (lambda: desk.keep_answers(keep_answer.value, query if query else None, why)),
            "--join": join and (lambda: desk.join(row or [], why)),
            "--edits": edits and (lambda: desk.apply(curation.read_edits(edits), str(edits))),
            "--undo": undo and desk.undo,
        }
        chosen = {option: do for option, do in actions.items() if do}
        if len(chosen) > 1:
            raise SpecError("only one action at a time", hint=f"Give one of {', '.join(chosen)}.", where="studio data curate")
        batch = next(iter(chosen.values()))() if chosen else None
        listed = [] if batch else list(desk.rows(query, most=most))
        count = 0 if batch else desk.count(query)
        made = curation.write_version(desk, only_approved, why) if write else None
        if json:
            show.as_json(
                {
                    "dataset": desk.item.reference,
                    "progress": {**asdict(desk.progress()), "open": desk.progress().open},
                    "batch": asdict(batch) if batch else None,
                    "count": count,
                    "rows": [_row(item) for item in listed],
                    "written": _version(made) if made else None,
                }
            )
            return
        if batch:
            show.say(_done(batch, undo))
        else:
            _list(listed, count)
        show.say(f"{plural(desk.progress().total, 'row')}: {desk.progress()}")
        if made:
            show.say(
                f"{made.title} v{made.number}: {plural(made.record.rows, 'row')}; train it as {made.reference}", "bold green"
            )


def _done(batch: Batch, undone: bool) -> str:
    if undone:
        return f"taken back: {plural(batch.count, 'edit')} ({batch.action})"
    unchanged = f"; {plural(batch.unchanged, 'row')} had nothing to change" if batch.unchanged else ""
    return f"{batch.action}: {plural(batch.count, 'edit')}{unchanged}"


def _list(rows: list[DeskRow], count: int) -> None:
    for item in rows:
        marks = f"  [{', '.join(item.checks)}]" if item.checks else ""
        edited = ", edited" if item.edited else ""
        scored = f"  {item.scored}" if item.scored else ""
        show.say(f"#{item.number} {item.file}, line {item.line}: {item.status}{edited}{marks}{scored}", "bold")
        for turn in item.content.messages or ({"role": "text", "content": item.content.text},):
            show.say(f"    {turn['role']}: {shorten(str(turn.get('content') or ''), 160)}")
    if count > len(rows):
        show.say(f"… and {plural(count - len(rows), 'row')} more: --limit, --finding, --text, --status")


def diff(
    first: Annotated[str, typer.Argument(metavar="NAME[@N]", help="The older version; alone, it is compared with its parent.")],
    second: Annotated[str | None, typer.Argument(metavar="[NAME@M]", help="The newer version.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="Maximum number of rows shown.")] = _SHOWN,
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare two versions: rows added, removed and changed, with changed words marked."""
    from studio.app import curation

    after = curation.find(second or first, home)
    before = curation.find(first, home) if second else curation.parent_of(after)
    with reporting(json) as reporter:
        difference = curation.compare(before, after, reporter)
    counts = {kind: difference.count(kind) for kind in ("added", "removed", "changed")}
    if json:
        rows = [_difference(item) for item in difference.rows]
        show.as_json({"before": before.reference, "after": after.reference, "same": difference.same, **counts, "rows": rows})
        return
    show.heading(f"{before.reference} → {after.reference}")
    show.say(f"{difference.same:,} the same, " + ", ".join(f"{count:,} {kind}" for kind, count in counts.items()))
    for item in difference.rows[:most]:
        _show_difference(item)
    if len(difference.rows) > most:
        show.say(f"… and {len(difference.rows) - most:,} more: --limit, or --json for all")


def _show_difference(item: RowDifference) -> None:
    from rich.text import Text

    from studio.core.text import printable

    styles = {"same": "", "removed": "red strike", "added": "green bold"}
    marks = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}
    plain = not show.console().is_terminal
    file, line = item.where
    show.say(f"{item.kind}: {file}, line {line}", "bold")
    for turn in item.turns():
        text = Text(f"    {turn.role}: ")
        for segment in turn.segments:
            before, after = marks[segment.operation] if plain else ("", "")
            text.append(before + printable(segment.text) + after, styles[segment.operation])
        show.console().print(text)


def export(
    name: Name,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="A .jsonl or .csv file.")],
    with_edits: Annotated[bool, typer.Option("--with-edits", help="Include edits that are in no version yet.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Write a version's rows to a file, each with the file and line it came from."""
    from studio.app import curation

    with reporting(json) as reporter, curation.desk(name, home, reporter) as desk:
        count = curation.export(desk, to, with_edits)
        if json:
            show.as_json({"dataset": desk.item.reference, "file": str(to), "rows": count})
        else:
            show.say(f"{plural(count, 'row')} of {desk.item.reference} in {to}")


def delete(
    name: Annotated[str, typer.Argument(metavar="NAME@N", help="A version of a dataset.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete it even if completed runs were trained on it.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Delete a version of a dataset; names the runs that use it."""
    from studio.app import curation

    if "@" not in name:
        raise DataError("a version is deleted by its number", hint=f"Write {name}@N; studio data list shows them.", where=name)
    done = curation.delete(name, home, yes)
    show.as_json(asdict(done)) if json else show.say(f"deleted {name}, {size(done.freed)} freed")


def _version(item: DatasetVersion) -> dict[str, Any]:
    return {
        "reference": item.reference,
        "title": item.title,
        "name": item.name,
        "number": item.number,
        "sha256": item.sha256,
        "created": item.created,
        "rows": item.record.rows or None,
        "edits": item.record.edits,
        "parent": item.record.parent or None,
        "why": item.record.why,
        "files": list(item.files),
    }


def _origin(item: DatasetVersion) -> str:
    if not item.record.parent:
        return ", ".join(Path(file).name for file in item.files)
    why = f": {item.record.why}" if item.record.why else ""
    return f"{plural(item.record.edits, 'edit')} of an earlier version{why}"


def _row(item: DeskRow) -> dict[str, Any]:
    return {
        "number": item.number,
        "id": item.id,
        "file": item.file,
        "line": item.line,
        "status": item.status,
        "edited": item.edited is not None,
        "digest": item.content.digest,
        "checks": list(item.checks),
        **({"loss": item.loss, "loss_without_question": item.bare} if item.loss is not None else {}),
        **item.content.model_dump(mode="json", exclude_defaults=True),
    }


def _difference(item: RowDifference) -> dict[str, Any]:
    file, line = item.where
    turns = [{"role": turn.role, "segments": [asdict(part) for part in turn.segments]} for turn in item.turns()]
    return {"kind": item.kind, "file": file, "line": line, "turns": turns}


def show_desk(desk: Desk, json: bool) -> None:
    """What the checks found in a version, and how far its curation is."""
    left, progress = desk.left(), desk.progress()
    if json:
        show.as_json(
            {
                "dataset": desk.item.reference,
                "progress": {**asdict(progress), "open": progress.open},
                "findings": [{**item.model_dump(mode="json"), "open": left.get(item.check, 0)} for item in desk.findings()],
            }
        )
        return
    show.heading(f"{desk.item.title} v{desk.item.number}")
    show.findings(desk.findings(), left)
    show.say(f"{plural(progress.total, 'row')}: {progress}", "bold")
