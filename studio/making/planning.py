"""The plan of a job: a few real answers, and from them the calls, tokens and cost of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.making import judging
from studio.making.cached_model import CachedModel
from studio.making.filters import Chain
from studio.making.recipes.base import Ask, Draft, Recipe, Style, Unusable
from studio.making.records import MadeRow, MakingPlan, PlannedRecipe, Provenance, RecipeFigures, Sample
from studio.making.sources import Sources
from studio.making.spec import MakingSpec
from studio.making.work import Clients, Work
from studio.remote.answers import Answers
from studio.remote.client import Client
from studio.remote.completion import Completion
from studio.remote.endpoint import Price
from studio.remote.prices import price_of

SAMPLES = 3
_BYTES_A_TOKEN = 3.5
_TOKENS_A_ROW = (30, 150)
"""Of an answer, where none was asked for: at least and at most."""
_SPREAD = (0.7, 1.5)
"""How far answers may be from the samples' mean."""
_USUAL_QUESTION, _USUAL_ANSWER = 80, 150
"""Characters, where no row has been made."""
_LOOKED_AT = 200
"""Passages from which the length of requests for scores is reckoned."""


def plan(
    spec: MakingSpec,
    sources: Sources,
    price: Price,
    teacher: Client | None,
    samples: int = SAMPLES,
    answers: Answers | None = None,
) -> MakingPlan:
    """The plan. teacher: asked for the samples; without one the figures are reckoned from lengths alone. answers: what is in
    them, before the samples are requested, costs nothing."""
    style = spec.style
    cached = _cached(spec, sources, price, answers)
    asked = _samples(spec, sources, samples if teacher else 0)
    taken: list[Sample] = []
    completions: list[tuple[Recipe, Ask, Completion]] = []
    for recipe, ask in asked:
        assert teacher is not None
        completion = teacher.answer(ask.request)
        completions.append((recipe, ask, completion))
        taken.append(_sample(spec, recipe, ask, completion, style))
    planned: list[PlannedRecipe] = []
    originals = unjudged = cached.unjudged
    for recipe in spec.recipes:
        item, rows = _planned(spec, recipe, sources, cached, originals, completions, _yield(recipe, taken, asked))
        originals += rows if recipe.takes != "rows" else 0  # no variants are made of variants
        unjudged += rows if recipe.name != "preferences" else 0
        planned.append(item)
    if spec.filters.judge is not None:
        asks = [ask for _, ask, _ in completions]
        prompt = _judge_tokens(sources, [(row, ask) for sample, ask in zip(taken, asks, strict=True) for row in sample.rows])
        planned.append(
            PlannedRecipe(
                recipe="judge", calls=cached.judged + unjudged, answered=cached.judged, prompt_tokens=round(unjudged * prompt),
                completion_low=unjudged * 40, completion_high=unjudged * judging.MAX_TOKENS // 2, rows=0,
            )
        )  # fmt: skip
    prices = {item.recipe: price for item in planned}
    for name, endpoint in (("preferences", spec.student), ("judge", spec.judge)):
        if name in prices and endpoint is not None:
            prices[name] = price_of(endpoint)
    low = sum(prices[item.recipe].cost(item.prompt_tokens, item.completion_low) for item in planned)
    high = sum(prices[item.recipe].cost(item.prompt_tokens, item.completion_high) for item in planned)
    return MakingPlan(
        recipes=tuple(planned),
        price=str(price),
        cost_low=low,
        cost_high=high,
        documents=sources.documents,
        held_out_documents=sources.held_out_documents,
        passages=len(sources.material.passages),
        held_out_passages=len(sources.material.held_out),
        samples=tuple(taken),
        samples_cost=sum(item.cost for _, _, item in completions),
        cautions=tuple(_cautions(spec, sources)),
    )


def _judge_tokens(sources: Sources, rows: Sequence[tuple[MadeRow, Ask]]) -> float:
    """Tokens of a request for scores: of the samples' rows with their passages; without samples, of a usual row with each of
    the first passages."""
    drafts = [(Draft(row.question, row.answer, row.messages, refuses=row.refuses), ask.passages) for row, ask in rows]
    if not drafts:
        usual = Draft("q" * _USUAL_QUESTION, "a" * _USUAL_ANSWER, ())
        drafts = [(usual, (passage,)) for passage in sources.material.passages[:_LOOKED_AT]] or [(usual, ())]
    asked = [judging.request(draft, passages).messages for draft, passages in drafts]
    return sum(_size(messages) for messages in asked) / len(asked) / _BYTES_A_TOKEN


def _size(messages: Sequence[Mapping[str, Any]]) -> int:
    return sum(len(str(message["content"]).encode()) for message in messages)


@dataclass(frozen=True)
class _Cached:
    """What of a job's work is in the cache of answers."""

    teacher: CachedModel | None = None
    recipes: Mapping[str, RecipeFigures] = field(default_factory=dict)
    judged: int = 0
    """Rows whose scores are there."""
    unjudged: int = 0
    """Rows that are there and whose scores are not."""


def _cached(spec: MakingSpec, sources: Sources, price: Price, answers: Answers | None) -> _Cached:
    """Does the work over with the answers that are there: so requests for variants of rows and for scores are known, too."""
    if answers is None:
        return _Cached()
    teacher, judge = CachedModel(spec.teacher, price, answers), CachedModel(spec.judge or spec.teacher, price, answers)
    student = CachedModel(spec.student, price, answers) if spec.student else None
    report = Work(spec, sources, Clients(teacher, student, judge), "", lambda done, what: None, lambda: False).run().report
    assert report is not None
    judged = len(judge.answered)
    return _Cached(teacher, {item.recipe: item for item in report.recipes}, judged, judge.asked - judged)


def _samples(spec: MakingSpec, sources: Sources, count: int) -> list[tuple[Recipe, Ask]]:
    """Requests to try: of each recipe one, then more of the first. All of them are made later anyway."""
    found: list[tuple[Recipe, Ask]] = []
    more: list[tuple[Recipe, Ask]] = []
    for recipe in spec.recipes:
        if recipe.takes == "rows":
            continue
        asks = [ask for ask in recipe.asks(sources.material, (), spec.style) if not ask.held_out]
        found += [(recipe, ask) for ask in asks[:1]]
        step = max(1, len(asks) // count) if count else 1
        more += [(recipe, ask) for ask in asks[1::step]]
    return (found + more)[:count]


def _sample(spec: MakingSpec, recipe: Recipe, ask: Ask, completion: Completion, style: Style) -> Sample:
    prompt = str(ask.request.messages[-1]["content"])
    source = ask.passages[0].source if ask.passages else str(getattr(ask.subject, "text", ask.subject) or "")
    try:
        if not completion.complete:
            raise Unusable(f"the answer ended with `{completion.finish_reason}`")
        value, problems = recipe.sifted(ask, completion.value)
        drafts = [draft.of(ask) for draft in recipe.read(ask, value, completion.text, style)]
    except Unusable as error:
        return Sample(recipe=recipe.name, source=source, prompt=prompt, problem=str(error))
    kept, dropped = Chain(spec.filters, spec.language).passed(drafts)
    provenance = Provenance(
        teacher=spec.teacher.model, served=completion.served_model, host=spec.teacher.host, recipe=recipe.name,
        prompt=recipe.prompt, temperature=ask.request.temperature, seed=ask.request.seed,
        cost=completion.cost / max(1, len(drafts)),
    )  # fmt: skip
    rows = tuple(
        MadeRow(
            messages=item.draft.messages, question=item.draft.question, answer=item.draft.answer, tools=item.draft.tools,
            target=item.draft.target, refuses=item.draft.refuses, quote=item.draft.quote, provenance=provenance,
        )
        for item in kept
    )  # fmt: skip
    said = (*(f"parse: {problem}" for problem in problems), *(f"{drop.filter}: {drop.reason}" for _, drop in dropped))
    problem = "; ".join(said)
    return Sample(recipe=recipe.name, source=source, prompt=prompt, rows=rows, problem=problem)


def _yield(recipe: Recipe, samples: Sequence[Sample], requests: Sequence[tuple[Recipe, Ask]]) -> float:
    """Rows in the samples of a recipe, by those that were expected; 1 without samples."""
    own = [(len(sample.rows), ask.expected) for sample, (one, ask) in zip(samples, requests, strict=True) if one is recipe]
    return sum(rows for rows, _ in own) / sum(expected for _, expected in own) if own else 1.0


def _planned(
    spec: MakingSpec,
    recipe: Recipe,
    sources: Sources,
    cached: _Cached,
    originals: int,
    completions: Sequence[tuple[Recipe, Ask, Completion]],
    share: float,
) -> tuple[PlannedRecipe, int]:
    """What a recipe will take, and the training rows that are still to be made by it. originals: rows still to be made before
    it, of which it makes variants; share: rows in an answer by those that are expected, as the samples have it; without samples
    that is taken from the answers in the cache."""
    known = cached.teacher
    figures = cached.recipes.get(recipe.name, RecipeFigures(recipe=recipe.name))
    if recipe.takes == "rows":
        every: list[Ask] = []
        calls, rows = recipe.estimate(sources.material, figures.calls + originals)
        answered = min(calls, figures.cached)
        expected = rows * answered / calls if calls else 0
        new = rows - expected
    else:
        every = list(recipe.asks(sources.material, (), spec.style))
        calls, rows = len(every), sum(ask.expected for ask in every)
        left = [ask for ask in every if known is None or known.key(ask.request) not in known.answered]
        answered = calls - len(left)
        expected = rows - sum(ask.expected for ask in left)
        new = sum(ask.expected for ask in left if not ask.held_out)
    own = [(ask, completion) for one, ask, completion in completions if one is recipe]
    sizes = [_size(ask.request.messages) for ask in every]
    prompt = (sum(sizes) / len(sizes) if sizes else 1200) / _BYTES_A_TOKEN
    per_call = rows * share / calls if calls else 1
    low, high = (min(recipe.max_tokens, per_call * tokens + 10) for tokens in _TOKENS_A_ROW)
    if own:
        mean = sum(completion.usage.completion_tokens for _, completion in own) / len(own)
        largest = max(completion.usage.completion_tokens for _, completion in own)
        low, high = mean * _SPREAD[0], min(recipe.max_tokens, max(largest, mean * _SPREAD[1]))
        prompt = sum(completion.usage.prompt_tokens for _, completion in own) / len(own)
    elif answered and figures.cached:
        mean = figures.completion_tokens / figures.cached
        low, high = mean * _SPREAD[0], min(recipe.max_tokens, mean * _SPREAD[1])
        prompt = figures.prompt_tokens / figures.cached
        share = figures.made / figures.cached * answered / expected
    rows = round(rows * share)
    left_calls = calls - answered
    item = PlannedRecipe(
        recipe=recipe.name, calls=calls, answered=answered, prompt_tokens=round(left_calls * prompt),
        completion_low=round(left_calls * low), completion_high=round(left_calls * high), rows=rows,
    )  # fmt: skip
    return item, round(new * share)


def _cautions(spec: MakingSpec, sources: Sources) -> list[str]:
    found = list(sources.cautions)
    if not spec.terms:
        found.append("Read what the teacher's terms of use say about training on its answers, and record it in `terms`.")
    if spec.documents and not sources.held_out_documents:
        found.append("No document is held out: nothing will show whether the tuned model can answer beyond these rows.")
    if spec.documents and not any(recipe.name == "unanswerable" for recipe in spec.recipes):
        found.append("No recipe makes refusals: the model will invent answers that are not in the documents.")
    return found
