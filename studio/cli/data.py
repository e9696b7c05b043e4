"""`studio data`: look at files before training on them, and keep and mend datasets in the library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from studio.cli import curation, data_settings, show
from studio.cli.options import Home, Json
from studio.cli.progress import reporting
from studio.core.text import plural, printable, size
from studio.data.report import DataReport, Removed
from studio.data.rows import Rejected

app = typer.Typer(help="Inspect data before training on it, and correct it in versions.", no_args_is_help=True)
app.command("add")(curation.add)
app.command("list")(curation.list_)
app.command("curate")(curation.curate)
app.command("diff")(curation.diff)
app.command("export")(curation.export)
app.command("delete")(curation.delete)


@app.command()
def inspect(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE…", help="Files, hub:owner/name, a dataset's NAME[@N], or a spec.")
    ] = None,
    spec: Annotated[Path | None, typer.Option(help="Use the data section of this spec.")] = None,
    columns: data_settings.Columns = None,
    format: data_settings.Format = None,
    roles: data_settings.Roles = None,
    turns: data_settings.Turns = None,
    settings: data_settings.Settings = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Detect the format, check and count the rows. Exit code 0: usable; 2: not usable."""
    from studio import spec as specs
    from studio.app import datasets
    from studio.core.errors import DataError

    if not files and not spec:
        raise DataError("no file was given", hint="studio data inspect FILE…, or --spec S", where="studio data inspect")
    changes = data_settings.changed(settings, columns, roles, format, turns)
    with data_settings.advising("inspect", files or [], spec, changes), reporting(json) as reporter:
        report = datasets.inspect_with(reporter, *(files or []), spec=specs.load(spec) if spec else None, home=home, **changes)
    if json:
        show.as_json(report.as_json())
    else:
        _show(report)
        for hint in report.hints:
            for line in data_settings.commands(hint, "inspect", files or [], spec, changes):
                show.say(f"→ Here: {line}")
        show.say("Usable." if report.usable else "Not usable as it is.", "bold green" if report.usable else "bold red")
    raise typer.Exit(0 if report.usable else 2)


def _show(report: DataReport) -> None:
    for file in report.files:
        show.heading(file.name)
        details = "".join(f", {name} {value}" for name, value in file.details.items())
        show.say(f"  {size(file.bytes)}, {file.encoding or 'binary'}{details}, {plural(file.rows, 'row')}")
        show.say(f"  {file.format} ({file.confidence:.0%} sure): {' '.join(file.reasons)}")
    totals, lengths = report.totals, report.lengths
    show.heading("Rows")
    rows = [(name, f"{number:,}") for name, number in totals.model_dump(exclude={"characters"}).items()]
    if lengths.max:
        rows.append(("characters: median, 90 %, longest", f"{lengths.p50:,}, {lengths.p90:,}, {lengths.max:,}"))
    show.table(("", ""), rows, right=(1,))
    if len(report.rejected.by_reason) > 1:
        kinds = report.rejected.by_reason.items()
        show.say("  rejected by kind: " + "; ".join(f"{count:,} × {kind}" for kind, count in kinds), "yellow")
    _listed("rejected", report.rejected.first, totals.rejected)
    _listed("left out", report.removed, totals.duplicates, shown=3)
    for remark in report.warnings:
        show.say(f"! {remark}", "yellow")
    for problem in report.problems:
        show.say(f"✗ {problem}", "red")
    for hint in report.hints:
        show.say(f"→ {hint}")


def _listed(what: str, items: Sequence[Rejected | Removed], count: int, shown: int = 10) -> None:
    for item in items[:shown]:
        show.say(f"  {what}: {item.file}, line {item.line}: {item.reason}", "yellow")
    if count > shown:
        show.say(f"  … and {count - shown:,} more; --json lists the first {len(items):,}", "yellow")


@app.command()
def desk(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE…", help="Files, hub:owner/name, or a dataset's NAME[@N].")
    ] = None,
    spec: Annotated[Path | None, typer.Option(help="Use the data section of this spec.")] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="A held-out file: also look for its rows among the training rows.")
    ] = None,
    regions: Annotated[
        list[str] | None, typer.Option("--region", metavar="CODE", help="Country whose phone and identity numbers to look for.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Count lengths by this model's tokenizer; without it they are estimated.")
    ] = None,
    losses: Annotated[
        bool, typer.Option("--losses", help="Also score rows with a model: the hardest and most surprising ones.")
    ] = False,
    names: Annotated[
        str | None,
        typer.Option("--names", metavar="MODEL", help="Also look for names of people with this token-classification model."),
    ] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="With --losses: rows to score, spread evenly.")] = 2000,
    settings: data_settings.Settings = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Check the content of the rows: repeats, phrases of other assistants, personal data, keys, markup and more."""
    from studio import spec as specs
    from studio.app import curation as library_curation
    from studio.app import datasets, scoring
    from studio.core.errors import DataError

    if not files and not spec:
        raise DataError("no file was given", hint="studio data desk FILE…, or --spec S", where="studio data desk")
    asked = specs.load(spec) if spec else None
    by = scoring.reader(model, asked, losses)
    if name := library_curation.meant(files or [], home):
        with reporting(json) as reporter, library_curation.desk(name, home, reporter, by) as opened:
            if by and losses:
                library_curation.score(opened, by, most, reporter)
            if names:
                library_curation.find_names(opened, names, reporter)
            curation.show_desk(opened, json)
        return
    changes = data_settings.changed(settings)
    if held_out:
        changes["holdout"] = str(held_out)
    if regions:
        changes["regions"] = regions
    with data_settings.advising("desk", files or [], spec, changes), reporting(json) as reporter:
        findings = datasets.findings_with(
            reporter, *(files or []), spec=asked, home=home, model=by, losses=most if losses else None, names=names, **changes
        )
    if json:
        show.as_json([finding.model_dump() for finding in findings])
        return
    show.findings(findings)


@app.command()
def preview(
    file: Annotated[str | None, typer.Argument(metavar="FILE", help="The data file, or a spec.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Whose tokenizer and chat template to use.", show_default="the spec's, else the starter's"),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="How many rows.")] = 3,
    spec: Annotated[Path | None, typer.Option(help="Use the data and model sections of this spec.")] = None,
    settings: data_settings.Settings = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the tokens of the first rows as the training code reads them, with the trained tokens marked."""
    from studio import spec as specs
    from studio.app import datasets
    from studio.core.errors import DataError

    if not file and not spec:
        raise DataError("no file was given", hint="studio data preview FILE, or --spec S", where="studio data preview")
    changes = data_settings.changed(settings)
    with data_settings.advising("preview", [file] if file else [], spec, changes):
        previews = list(datasets.preview(file, model, rows, specs.load(spec) if spec else None, home, **changes))
    if json:
        show.as_json([item.record().model_dump() for item in previews])
        return
    from rich.text import Text

    for item in previews:
        show.heading(
            f"{item.file}, line {item.line}: {len(item.pieces)} tokens, {item.trained} trained (green), control tokens bold"
        )
        text = Text()
        for place, piece in enumerate(item.pieces):
            shade = (
                ("black on green" if place % 2 else "black on bright_green") if piece.trained else ("dim" if place % 2 else "")
            )
            text.append(printable(piece.text).replace("\n", "⏎\n"), style=f"bold underline {shade}" if piece.control else shade)
        show.console().print(text)
        if not show.console().is_terminal:
            show.say("trained: " + "".join(piece.text for piece in item.pieces if piece.trained))
        if item.lookalikes:
            show.say(f"! plain text that looks like a control token and is not one: {', '.join(item.lookalikes)}", "yellow")
    for note in previews[0].notes if previews else ():
        show.say(f"! chat template: {note}", "yellow")
