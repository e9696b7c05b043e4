"""What a job comes to: its report, with what a person should know of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from studio.core.errors import StudioError
from studio.data.made_rows import MadeRows, Teacher
from studio.making.cached_model import Model
from studio.making.filters import EXAMPLES, ORDER, Figures
from studio.making.records import DroppedRow, MadeRow, MakingReport, RecipeFigures
from studio.making.sources import Sources
from studio.making.spec import MakingSpec


@dataclass
class MakingOutcome:
    """What a job has made. error: why it is not complete, if the ceiling was reached."""

    rows: list[MadeRow] = field(default_factory=list)
    dropped: list[DroppedRow] = field(default_factory=list)
    report: MakingReport | None = None
    error: StudioError | None = None
    stopped: bool = False


def report_of(
    outcome: MakingOutcome,
    spec: MakingSpec,
    sources: Sources,
    teacher: Model,
    job: str,
    recipes: Mapping[str, RecipeFigures],
    filters: Mapping[str, Figures],
    served: Mapping[str, int],
    estimated: int,
) -> MakingReport:
    """The report of what was made. served: how often each name answered; estimated: answers whose tokens were reckoned."""
    rows, dropped = outcome.rows, outcome.dropped
    figures = []
    for name, item in recipes.items():
        own = [row for row in rows if row.provenance.recipe == name]
        held_out = sum(row.held_out for row in own)
        figures.append(item.model_copy(update={"kept": len(own), "held_out": held_out}))
    used = [filters[name].record(name, high_is_bad=name != "judge") for name in ORDER if filters[name].entered]
    summary = MadeRows(
        job=job,
        teacher=Teacher(
            host=teacher.endpoint.host, model=teacher.endpoint.model, served=tuple(sorted(filter(None, served))),
            price=str(teacher.price), terms=spec.terms,
        ),
        recipes={item.recipe: item.kept for item in figures},
        prompts=tuple(sorted({row.provenance.prompt for row in rows})),
        documents=sources.documents,
        held_out_documents=sources.held_out_documents,
        passages=len({use.id for row in rows if not row.held_out for use in row.provenance.passages}),
        filters=tuple(f"{item.name} {item.threshold:g}" if item.threshold is not None else item.name for item in used),
        cost=sum(item.cost for item in figures),
        at=round(time.time(), 3),
    )  # fmt: skip
    return MakingReport(
        complete=outcome.error is None and not outcome.stopped,
        summary=summary,
        recipes=tuple(figures),
        filters=tuple(used),
        rows=sum(row.kind == "rows" and not row.held_out for row in rows),
        pairs=sum(row.kind == "pairs" for row in rows),
        held_out=sum(row.held_out for row in rows),
        refusals=sum(row.refuses for row in rows),
        dropped=len(dropped),
        spent=0.0,
        cost_per_row=summary.cost / len(rows) if rows and summary.cost else None,
        targets=dict(Counter(row.target for row in rows if row.target)),
        estimated_usage=estimated,
        cautions=tuple(_cautions(spec, sources, served, rows, dropped)),
    )


def _cautions(
    spec: MakingSpec, sources: Sources, served: Mapping[str, int], rows: Sequence[MadeRow], dropped: Sequence[DroppedRow]
) -> Iterable[str]:
    yield from sources.cautions
    if not spec.terms:
        yield "`terms` is empty: record what the teacher's terms of use say about training on its answers."
    others = {name for name in served if name and name != spec.teacher.model}
    if others:
        yield f"According to the API, {', '.join(sorted(others))} answered instead of {spec.teacher.model}."
    if spec.documents and rows and not any(row.refuses for row in rows):
        makes_refusals = any(recipe.name == "unanswerable" for recipe in spec.recipes)
        advice = "The report lists why those of `unanswerable` were not kept." if makes_refusals else "Add `unanswerable`."
        yield f"No row is a refusal: the model will invent answers that are not in the documents. {advice}"
    bare = any(recipe.name == "questions" and getattr(recipe, "context", "") == "none" for recipe in spec.recipes)
    if bare and rows:
        yield (
            "Rows without their passage teach the model to memorize these documents; it cannot know the held-out ones. Hold "
            "out other wordings of the same facts as well, or use `context: passage`."
        )
    lost = sum(item.filter == "quote" for item in dropped)
    if rows and lost > len(rows):
        yield f"More rows were dropped for a wrong quote ({lost}) than were kept: the teacher invents quotes; try another one."


def examples(dropped: Sequence[DroppedRow], each: int = EXAMPLES) -> dict[str, list[DroppedRow]]:
    """A few dropped rows of each filter, in the filters' order."""
    found: dict[str, list[DroppedRow]] = {name: [] for name in ORDER}
    for row in dropped:
        if len(found[row.filter]) < each:
            found[row.filter].append(row)
    return {name: rows for name, rows in found.items() if rows}
