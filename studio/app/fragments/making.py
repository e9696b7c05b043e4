"""Fragments of making rows: what is sent where, a plan with its samples, how far a job is, its report, dropped rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from markupsafe import Markup

from studio.app import keys, making
from studio.app.fragments.parts import (
    TONES,
    badge,
    command,
    details,
    empty,
    error,
    facts,
    figures,
    joined,
    links,
    note,
    notice,
    progress,
    spaced,
    table,
    verbatim,
)
from studio.app.fragments.parts import sample as framed
from studio.app.making import JobStatus, MadeRow, MakingJob, MakingPlan, MakingReport, MakingSpec
from studio.core.text import count, dollars, duration, plural, shorten
from studio.making.records import DroppedRow, Example
from studio.processes.tasks import Task
from studio.remote.endpoint import Endpoint, key_name

_TONES = {**TONES, "running": "busy", "planned": "calm", "paused": "warn", "ceiling": "warn"}
NONE = empty(
    "No rows have been made yet",
    "Choose documents and a teacher above and plan, or try the example, which needs no key.",
)


def label(job: MakingJob) -> str:
    """A job in a list."""
    return f"{job.id}: {job.status.state}"


def sent(spec: MakingSpec | None) -> Markup:
    """What leaves this machine, and what it costs."""
    if spec is None:
        return Markup("")
    teacher, price = spec.teacher, making.price(spec.teacher)
    if teacher.local:
        cost = "it costs nothing" if price and price.free else f"the price is yours: {price}"
        told = note(f"The teacher is on this machine: nothing leaves it, and {cost}.")
    else:
        told = notice(
            f"Passages of {', '.join(spec.documents) or 'no documents'} are sent to {teacher.host}.",
            f"Price: {price}." if price else "Its price is unknown: fill in both prices.",
            tone="warn",
        )
    return joined(told, _key(teacher))


def _key(teacher: Endpoint) -> Markup:
    """Where the teacher's key comes from, and where one is saved."""
    source, host = keys.source(key_name(teacher.url)), urlsplit(teacher.url).netloc
    if source:
        return note(f"Its key is {keys.SOURCES[source]}.")
    needed = "No key is saved for it" if teacher.local else "No key is saved for it, so it will most likely refuse"
    return joined(note(f"{needed}."), links([("Save a key", f"/settings?host={quote(host)}", False)]))


def working(task: Task | None) -> Markup:
    """A plan that is being made."""
    if task is None:
        return Markup("")
    if task.error is not None:
        return error(task.error)
    return progress(0, 0, task.progress or "Requesting three samples") if task.state == "running" else Markup("")


def status(job: MakingJob) -> Markup:
    """How far a job is: state, requests, time and money left, what went wrong, what came of it."""
    now = job.status
    left = making.seconds_left(now, time.time())
    ceiling = f"of {dollars(now.ceiling)}" if now.ceiling else "no ceiling"
    rest = f"{duration(left)} left" if left else (f"took {duration(now.seconds)}" if now.seconds else "")
    shown = [badge(now.state, _TONES.get(now.state, "calm"))]
    if now.state == "running":
        of = f": {count(now.done)} of {count(now.total)} requests" if now.total else ""
        shown.append(progress(now.done, now.total, now.what + of))
        if now.waiting:
            shown.append(note(f"No answer at present: {now.waiting}."))
    if now.done:
        items = [("Requests", f"{count(now.done)} of {count(now.total)}", rest), ("Paid", dollars(now.spent), ceiling)]
        shown.append(figures(items))
    if now.error is not None and now.state != "done":
        shown.append(error(now.error.error()))
    return spaced(*shown)


def plan(plan: MakingPlan) -> Markup:
    """What a job will take, and the real samples."""
    rows = [
        (item.recipe, count(item.calls), count(item.answered), count(item.prompt_tokens),
         f"{count(item.completion_low)} to {count(item.completion_high)}", count(item.rows))
        for item in plan.recipes
    ]  # fmt: skip
    columns = ("Recipe", "Requests", "Cached", "Tokens in", "Tokens out", "Rows, unfiltered")
    pairs = [("Price", plan.price), ("Estimated cost", f"{dollars(plan.cost_low)} to {dollars(plan.cost_high)}")]
    if plan.answered:
        pairs.append(("In the cache", f"{plan.answered_sentence} The estimated cost is that of the others."))
    if plan.documents:
        pairs += [
            ("Passages for training rows", count(plan.passages)),
            ("Held-out documents", ", ".join(plan.held_out_documents) or "none"),
        ]
    samples = [
        framed(
            f"Sample: {sample.recipe}",
            sample.source,
            *(_row(row) for row in sample.rows),
            notice("Dropped", sample.problem) if sample.problem else "",
            details("Prompt", verbatim(sample.prompt)),
        )
        for sample in plan.samples
    ]
    return spaced(
        facts(pairs), table(columns, rows, "Estimate by recipe", figures=(1, 2, 3, 4, 5), narrow=True), *samples,
        *(notice(caution) for caution in plan.cautions),
    )  # fmt: skip


def _row(row: MadeRow) -> Markup:
    pairs = [("Question", row.question), ("Answer", row.answer)]
    if row.quote:
        pairs.append(("Quote", row.quote))
    if row.rejected is not None:
        pairs.append(("Rejected", row.rejected))
    return facts(pairs)


def report(report: MakingReport, now: JobStatus, keys: Mapping[str, str]) -> Markup:
    """From requests to rows, what each filter dropped, and where the rows are. keys: of datasets, as their pages take them."""
    per_row = f"{dollars(report.cost_per_row)} per row" if report.cost_per_row else ""
    items = [
        ("Rows", count(report.rows), plural(report.refusals, "refusal")),
        ("Held-out rows", count(report.held_out), plural(len(report.summary.held_out_documents), "document")),
        ("Dropped", count(report.dropped), "listed below"),
        ("Paid", dollars(report.spent), per_row),
    ]
    if report.pairs:
        items.insert(2, ("Preference pairs", count(report.pairs), ""))
    recipes = [
        (item.recipe, count(item.calls), count(item.cached), count(item.made), count(item.kept - item.held_out),
         count(item.held_out), f"{item.cost:.4f}")
        for item in report.recipes
    ]  # fmt: skip
    columns = ("Recipe", "Requests", "Cached", "Rows", "Kept", "Held out", "USD")
    filters = [
        (item.name, count(item.entered), count(item.dropped), "–" if item.threshold is None else f"{item.threshold:g}")
        for item in report.filters
    ]
    sides = [
        details(
            f"Around the threshold of {item.name}",
            joined(
                _side("Just dropped", item.below),
                _side("Just kept", item.above),
            ),
        )
        for item in report.filters
        if item.below or item.above
    ]
    shown = [
        ("Review the rows", f"/dataset?key={quote(keys.get(now.dataset, ''), safe='')}", True),
        ("Held-out rows", f"/dataset?key={quote(keys.get(now.held_out_dataset, ''), safe='')}", False),
        ("Preference pairs", f"/dataset?key={quote(keys.get(now.pairs_dataset, ''), safe='')}", False),
    ]
    there = [
        item for item, name in zip(shown, (now.dataset, now.held_out_dataset, now.pairs_dataset), strict=True) if name in keys
    ]
    if now.dataset in keys:
        held_out_key = keys.get(now.held_out_dataset, "")
        measured = f"&holdout={quote(held_out_key, safe='')}" if held_out_key else ""
        there.insert(1, ("Train on the rows", f"/train?data={quote(keys[now.dataset], safe='')}{measured}", False))
    held_out = f" --set data.holdout={now.held_out_dataset}" if now.held_out_dataset else ""
    train = command(f"studio train SPEC.yaml --set data.train={now.dataset}{held_out}") if now.dataset else ""
    return spaced(
        figures(items), links(there) if there else "", note(report.summary.sentence),
        note(f"The teacher's terms: {report.summary.teacher.terms or 'not recorded'}"), train,
        table(columns, recipes, "From requests to rows", figures=(1, 2, 3, 4, 5, 6), narrow=True),
        table(("Filter", "Rows in", "Dropped", "Threshold"), filters, "Filters", figures=(1, 2, 3), narrow=True),
        *sides, *(notice(caution) for caution in report.cautions),
    )  # fmt: skip


def _side(title: str, rows: Sequence[Example]) -> Markup:
    if not rows:
        return Markup("")
    return table(("Score", "Question", "Answer"), [(row.score, row.question, row.answer) for row in rows], title, narrow=True)


def dropped(rows: Mapping[str, Sequence[DroppedRow]]) -> Markup:
    """A few dropped rows of each filter, with the reason."""
    return joined(
        *(
            details(
                f"Dropped by {name}",
                table(
                    ("Reason", "Question", "Source"),
                    [(row.reason, shorten(row.question, 200), row.source) for row in some],
                    f"Dropped by {name}",
                    narrow=True,
                ),
            )
            for name, some in rows.items()
        )
    )
