"""A job's work, top to bottom: held-out rows first, then recipe by recipe: ask, read, filter, judge; then balance and report.

It keeps no position. Every answer is in the cache, so a job that was paused or killed asks everything again and pays only for
what was never answered.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from studio.core.text import shorten
from studio.data import language
from studio.making import judging
from studio.making.cached_model import Model
from studio.making.filters import ORDER, Chain, Drop, PassedDraft
from studio.making.recipes.base import Ask, Draft, Recipe, Unusable
from studio.making.records import (
    DroppedRow,
    MadeRow,
    PassageUse,
    Provenance,
    RecipeFigures,
)
from studio.making.sources import Sources
from studio.making.spec import MakingSpec
from studio.making.summary import MakingOutcome, report_of
from studio.remote.ceiling import CeilingReached
from studio.remote.completion import Completion

_PARSED = ("answer", "parse")
AnyModel = TypeVar("AnyModel", bound=Model, covariant=True)


@dataclass(frozen=True)
class Clients(Generic[AnyModel]):
    """The models that a job asks."""

    teacher: AnyModel
    student: AnyModel | None = None
    judge: AnyModel | None = None


Progress = Callable[[int, str], None]
"""Told after each answer: how many there were, and what is being done."""


class Work:
    """One pass over a job."""

    def __init__(
        self,
        spec: MakingSpec,
        sources: Sources,
        clients: Clients[Model],
        job: str,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> None:
        self._spec, self._sources, self._clients, self._job = spec, sources, clients, job
        self._progress, self._stop = progress, stop
        texts = [passage.text for passage in (*sources.material.passages, *sources.material.held_out)]
        self._chain = Chain(spec.filters, spec.language, language.of_most(texts[:200]), sources.against)
        self._figures = {recipe.name: RecipeFigures(recipe=recipe.name) for recipe in spec.recipes}
        self._made = MakingOutcome()
        self._asked = self._estimated = 0
        self._served: Counter[str] = Counter()

    def run(self) -> MakingOutcome:
        """Make the rows. When the ceiling is reached it ends with what is there; raises what else every request would meet."""
        try:
            for held_out in (True, False):
                for recipe in self._spec.recipes:
                    if self._stop():
                        self._made.stopped = True
                    elif recipe.takes == "passages" or not held_out:
                        self._make(recipe, held_out)
            self._made.stopped = self._made.stopped or self._stop()
        except CeilingReached as error:
            self._made.error = error
        self._balance()
        self._made.report = report_of(
            self._made, self._spec, self._sources, self._clients.teacher, self._job, self._figures, self._chain.figures,
            self._served, self._estimated,
        )  # fmt: skip
        return self._made

    def _make(self, recipe: Recipe, held_out: bool) -> None:
        rows = [row for row in self._made.rows if not row.held_out]
        asks = [ask for ask in recipe.asks(self._sources.material, rows, self._spec.style) if ask.held_out == held_out]
        answered, error = self._answers(recipe, asks)
        drafts: list[Draft] = []
        about: dict[int, tuple[Ask, Completion, int]] = {}
        for index in sorted(answered):  # answers come in any order; rows have the order of what was asked
            ask, completion = asks[index], answered[index]
            found = self._read(recipe, ask, completion)
            for draft in found:
                about[id(draft)] = (ask, completion, len(found))
            drafts += found
        kept, dropped = self._chain.passed(drafts)
        for draft, drop in dropped:
            ask, completion, share = about[id(draft)]
            self._drop(recipe, drop, ask, draft, completion.cost / share)
        if kept and not held_out and self._spec.filters.judge is not None:
            kept, error = self._judged(recipe, kept, about, error)
        for item in kept:
            ask, completion, share = about[id(item.draft)]
            self._made.rows.append(self._row(recipe, item, ask, completion, share))
        if error is not None:
            raise error

    def _answers(self, recipe: Recipe, asks: Sequence[Ask]) -> tuple[dict[int, Completion], CeilingReached | None]:
        answered: dict[int, Completion] = {}
        client = self._clients.student if asks and asks[0].of_student else self._clients.teacher
        assert client is not None
        figures = self._figures[recipe.name].model_dump()
        try:
            for item in client.complete_all((ask.request for ask in asks), self._stop):
                self._asked += 1
                figures["calls"] += 1
                if item.completion is None:
                    reason = item.error.message if item.error else "no answer"
                    self._drop(recipe, Drop("answer", reason), asks[item.index])
                else:
                    self._note(figures, item.completion, asks[item.index])
                    answered[item.index] = item.completion
                self._progress(self._asked, recipe.name)
        except CeilingReached as error:
            return answered, error
        finally:
            self._figures[recipe.name] = RecipeFigures.model_validate(figures)
        return answered, None

    def _note(self, figures: dict[str, float], completion: Completion, ask: Ask) -> None:
        figures["cached"] += completion.cached
        figures["prompt_tokens"] += completion.usage.prompt_tokens
        figures["completion_tokens"] += completion.usage.completion_tokens
        figures["cost"] += completion.cost
        self._estimated += completion.usage.estimated
        if not ask.of_student:
            self._served[completion.served_model] += 1

    def _read(self, recipe: Recipe, ask: Ask, completion: Completion) -> list[Draft]:
        for name in _PARSED:
            self._chain.figures[name].entered += 1
        if not completion.complete:
            self._drop(recipe, Drop("answer", f"the answer ended with `{completion.finish_reason}`"), ask, cost=completion.cost)
            return []
        value, problems = recipe.sifted(ask, completion.value)
        for problem in problems:
            self._chain.figures["parse"].entered += 1
            self._drop(recipe, Drop("parse", problem), ask)
        try:
            found = recipe.read(ask, value, completion.text, self._spec.style)
        except Unusable as error:
            self._drop(recipe, Drop("parse", str(error)), ask, cost=completion.cost)
            return []
        drafts = [draft.of(ask) for draft in found]
        figures = self._figures[recipe.name]
        self._figures[recipe.name] = figures.model_copy(update={"made": figures.made + len(drafts)})
        return drafts

    def _judged(
        self,
        recipe: Recipe,
        rows: list[PassedDraft],
        about: dict[int, tuple[Ask, Completion, int]],
        error: CeilingReached | None,
    ) -> tuple[list[PassedDraft], CeilingReached | None]:
        least = self._spec.filters.judge or 1
        figures = self._chain.figures["judge"]
        client = self._clients.judge or self._clients.teacher
        scores: dict[int, tuple[float, str]] = {}
        costs: dict[int, float] = {}
        try:
            requests = (judging.request(item.draft, item.draft.passages) for item in rows)
            for item in client.complete_all(requests, self._stop) if error is None else ():
                self._asked += 1
                self._progress(self._asked, f"judging {recipe.name}")
                if item.completion is not None:
                    costs[item.index] = item.completion.cost
                    found = judging.score(item.completion.value)
                    if found is not None:
                        scores[item.index] = found
        except CeilingReached as reached:
            error = reached
        passed = []
        total = self._figures[recipe.name]
        self._figures[recipe.name] = total.model_copy(update={"cost": total.cost + sum(costs.values())})
        for index, item in enumerate(rows):
            figures.entered += 1
            mark, reason = scores.get(index, (0.0, "the judge gave no scores"))
            if index in scores:
                figures.scored.append((mark, mark < least, item.draft.question, item.draft.answer))
            if mark >= least:
                item.scores["judge"] = mark
                passed.append(item)
                continue
            figures.dropped += 1
            ask, completion, share = about[id(item.draft)]
            drop = Drop("judge", shorten(reason, 200), mark or None)
            self._drop(recipe, drop, ask, item.draft, completion.cost / share)
        return passed, error

    def _row(self, recipe: Recipe, item: PassedDraft, ask: Ask, completion: Completion, share: int) -> MadeRow:
        draft, client = item.draft, self._clients.student if ask.of_student else self._clients.teacher
        assert client is not None
        passages = []
        for index, passage in enumerate(draft.passages):
            use = PassageUse(id=passage.id, sha256=passage.sha256, document=passage.document, page=passage.page)
            if item.quote and item.quote[0] == index:
                use = use.model_copy(update={"quote_start": item.quote[1], "quote_end": item.quote[2]})
            passages.append(use)
        tests = [name for name in ORDER if name not in ("judge", "balance") or name in item.scores]
        provenance = Provenance(
            teacher=client.endpoint.model,
            served=completion.served_model,
            host=client.endpoint.host,
            recipe=recipe.name,
            prompt=recipe.prompt,
            temperature=ask.request.temperature,
            seed=ask.request.seed,
            passages=tuple(passages),
            parent=draft.parent,
            cost=completion.cost / share,
            answer=ask.request.key(client.endpoint.base, client.endpoint.model),
            filters=tuple(tests),
            scores=item.scores,
            at=round(time.time(), 3),
        )
        return MadeRow(
            messages=draft.messages, question=draft.question, answer=draft.answer, rejected=draft.rejected, tools=draft.tools,
            target=draft.target, held_out=draft.held_out, refuses=draft.refuses, quote=draft.quote, provenance=provenance,
        )  # fmt: skip

    def _drop(self, recipe: Recipe, drop: Drop, ask: Ask, draft: Draft | None = None, cost: float = 0.0) -> None:
        if drop.filter in _PARSED:
            self._chain.figures[drop.filter].dropped += 1
        source = ask.passages[0].source if ask.passages else str(getattr(ask.subject, "source", "") or "")
        self._made.dropped.append(
            DroppedRow(
                recipe=recipe.name,
                filter=drop.filter,
                reason=drop.reason,
                score=drop.score,
                question=draft.question if draft else "",
                answer=draft.answer if draft else "",
                held_out=ask.held_out,
                source=source,
                cost=cost,
            )
        )

    def _balance(self) -> None:
        """Leave out what goes beyond the rarest label of a `labels` recipe."""
        for recipe in self._spec.recipes:
            if recipe.name != "labels":
                continue
            rows = [row for row in self._made.rows if row.provenance.recipe == "labels"]
            counts = Counter(row.target for row in rows)
            most = min([counts[label] for label in getattr(recipe, "labels", ())] + [getattr(recipe, "per_label", 0)])
            self._chain.figures["balance"].entered += len(rows)
            seen: Counter[str] = Counter()
            for row in rows:
                seen[row.target] += 1
                if seen[row.target] > most:
                    self._made.rows.remove(row)
                    self._chain.figures["balance"].dropped += 1
                    drop = DroppedRow(
                        recipe="labels", filter="balance", reason=f"more than the {most} rows of the rarest label",
                        question=row.question, answer=row.answer, cost=row.provenance.cost,
                    )  # fmt: skip
                    self._made.dropped.append(drop)
