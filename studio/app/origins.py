"""Use cases of provenance: where a row of a dataset comes from, and where the rows of a run come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.errors import StudioError
from studio.core.text import shorten
from studio.data.collected import CollectedRow
from studio.data.curation import row_origins, store, write
from studio.data.curation.store import DatasetVersion
from studio.data.curation.views import DeskRow
from studio.making import dataset as made_rows
from studio.making.records import Provenance
from studio.runs.records import origins_in

if TYPE_CHECKING:
    from studio.app.curation import Desk
    from studio.app.runs import Run

Facts = list[tuple[str, str]]
"""What is known of a row's origin, in words: a name and a value each."""


def of_row(desk: Desk, row: DeskRow) -> Facts:
    """Where a row of a desk comes from, if a model wrote it or a person corrected it; empty for rows of uploaded files."""
    added = desk.source_of(row)
    return _collected(added) if added else of_line(desk.item, row.file, row.line)


def of_line(item: DatasetVersion, file: str, line: int) -> Facts:
    """The same, by the file and line that the desk shows."""
    collected = write.collected_from(item, file, line)
    if collected:
        return _collected(collected)
    made = made_rows.provenance(item, file, line)
    return _of_made_row(*made) if made else []


def of_answers(run: Run, home: Path, lines: list[tuple[str, int]]) -> list[Facts]:
    """The same for rows of a run's datasets, by file and line as its evidence names them."""
    names = [name for name in (*run.spec.data.files, str(run.spec.data.holdout)) if store.is_reference(name)]
    items: list[DatasetVersion] = []
    for name in names:
        try:
            items.append(store.named(home, name))
        except StudioError:  # deleted since: the evidence is shown all the same
            continue
    origins = [(item, _lines(item)) for item in items]
    found: list[Facts] = []
    for file, line in lines:
        facts: Facts = []
        for item, known in origins:
            facts = facts or of_line(item, *known.get((Path(file).name, line), (Path(file).name, line)))
        found.append(facts)
    return found


def _lines(item: DatasetVersion) -> dict[tuple[str, int], tuple[str, int]]:
    """For rows of a version that edits made: its own file and line to the file and line they were first read from."""
    file = Path(item.files[0]).name if item.files else ""
    return {(file, number): (of.file, of.line) for number, of in enumerate(row_origins.origins_of(item), 1)}


def _of_made_row(of: Provenance, quote: str) -> Facts:
    served = f" (served as {of.served})" if of.served and of.served != of.teacher else ""
    found: Facts = [("Written by", f"{of.teacher}{served} at {of.host}")]
    seed = "" if of.seed is None else f", seed {of.seed}"
    found.append(("Prompt", f"{of.prompt}, temperature {of.temperature:g}{seed}"))
    for used in of.passages:
        page = f", page {used.page}" if used.page else ""
        found.append(("Passage", f"{used.document}{page} ({used.id})"))
    if quote:
        found.append(("Quote", shorten(quote, 400)))
    if of.parent:
        found.append(("Variant of", f"row {of.parent}"))
    found.append(("Cost", f"{of.cost:.6f} dollars"))
    scores = {name: f"{name} ({value:g})" for name, value in of.scores.items()}
    passed = [scores.pop(name, name) for name in of.filters]
    if passed or scores:
        found.append(("Filters passed", ", ".join([*passed, *scores.values()])))
    return found


def _collected(of: CollectedRow) -> Facts:
    run = f", run {of.run}" if of.run else ""
    what = "a correction of" if of.kind == "correction" else f"a {of.kind} from" if of.kind != "good answer" else "rated good:"
    found: Facts = [("Made of", f"{what} an answer of {of.model} ({of.origin}{run}), number {of.number} of the feedback")]
    if of.answer:
        found.append(("It had answered", shorten(of.answer, 400)))
    if of.index:
        found.append(("With passages of", of.index))
    if of.masked:
        found.append(("Masked", ", ".join(of.masked)))
    found.append(("Said by", of.by or "a client of the server"))
    return found


def of_run(run: Run) -> list[str]:
    """Where the rows of a run come from that a model wrote or people corrected, in sentences; the teacher's terms too."""
    return origins_in(run.folder.lock)


def held_out_of(item: DatasetVersion) -> DatasetVersion | None:
    """The newest version of the rows of whole documents that were held out when a teacher made these, also of edited ones."""
    made, folder = item.record.made, item.path.parent
    found = store.versions_of(folder.with_name(f"{folder.name}-held-out")) if made else []
    return next((other for other in reversed(found) if other.record.made and made and other.record.made.job == made.job), None)


def training_page(item: DatasetVersion) -> str:
    """The address of the page Train with this version, and with the rows that were held out for it."""
    held_out = held_out_of(item)
    return f"/train?data={item.key}" + (f"&holdout={held_out.key}" if held_out else "")
