"""The plan of a job: a few real answers, and from them the calls, tokens and cost of all."""

from __future__ import annotations

from collections.abc import Sequence

from studio.making import judging
from studio.making.filters import Chain
from studio.making.recipes.base import Ask, Recipe, Style, Unusable
from studio.making.records import MadeRow, MakingPlan, PlannedRecipe, Provenance, Sample
from studio.making.sources import Sources
from studio.making.spec import MakingSpec
from studio.remote.client import Client
from studio.remote.completion import Completion
from studio.remote.endpoint import Price

SAMPLES = 3
_BYTES_A_TOKEN = 3.5
_TOKENS_A_ROW = (30, 150)
"""Of an answer, where none was asked for: at least and at most."""
_SPREAD = (0.7, 1.5)
"""How far answers may be from the samples' mean."""


def plan(spec: MakingSpec, sources: Sources, price: Price, teacher: Client | None, samples: int = SAMPLES) -> MakingPlan:
    """The plan. teacher: asked for the samples; without one the figures are reckoned from lengths alone."""
    style = spec.style
    asked = _samples(spec, sources, samples if teacher else 0)
    taken: list[Sample] = []
    completions: list[tuple[Recipe, Ask, Completion]] = []
    for recipe, ask in asked:
        assert teacher is not None
        completion = teacher.answer(ask.request)
        completions.append((recipe, ask, completion))
        taken.append(_sample(spec, recipe, ask, completion, style))
    planned, low, high, rows = [], 0.0, 0.0, 0
    for recipe in spec.recipes:
        item = _planned(recipe, sources, rows, completions, _yield(recipe, taken, asked))
        share = len(sources.material.passages) / max(1, len(sources.material.passages) + len(sources.material.held_out))
        if recipe.name != "preferences":  # variants are made of training rows only
            rows += round(item.rows * (share if recipe.takes == "passages" else 1))
        planned.append(item)
        if recipe.name != "preferences":  # those are asked of the student
            low += price.cost(item.prompt_tokens, item.completion_low)
            high += price.cost(item.prompt_tokens, item.completion_high)
    if spec.filters.judge is not None:
        item = PlannedRecipe(
            recipe="judge", calls=rows, prompt_tokens=rows * 400, completion_low=rows * 40,
            completion_high=rows * judging.MAX_TOKENS // 2, rows=0,
        )  # fmt: skip
        planned.append(item)
        low += price.cost(item.prompt_tokens, item.completion_low)
        high += price.cost(item.prompt_tokens, item.completion_high)
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
        drafts = [draft.of(ask) for draft in recipe.read(ask, completion.value, completion.text, style)]
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
    problem = "; ".join(f"{drop.filter}: {drop.reason}" for _, drop in dropped)
    return Sample(recipe=recipe.name, source=source, prompt=prompt, rows=rows, problem=problem)


def _yield(recipe: Recipe, samples: Sequence[Sample], asked: Sequence[tuple[Recipe, Ask]]) -> float:
    """Rows in the samples of a recipe, by those that were expected; 1 without samples."""
    own = [(len(sample.rows), ask.expected) for sample, (one, ask) in zip(samples, asked, strict=True) if one is recipe]
    return sum(rows for rows, _ in own) / sum(expected for _, expected in own) if own else 1.0


def _planned(
    recipe: Recipe,
    sources: Sources,
    before: int,
    completions: Sequence[tuple[Recipe, Ask, Completion]],
    share: float,
) -> PlannedRecipe:
    calls, rows = recipe.estimate(sources.material, before)
    rows = round(rows * share)
    own = [(ask, completion) for one, ask, completion in completions if one is recipe]
    every = list(recipe.asks(sources.material, (), Style())) if recipe.takes != "rows" else []
    sizes = [sum(len(str(message["content"]).encode()) for message in ask.request.messages) for ask in every]
    prompt = (sum(sizes) / len(sizes) if sizes else 1200) / _BYTES_A_TOKEN
    per_call = rows / calls if calls else 1
    low, high = (min(recipe.max_tokens, per_call * tokens + 10) for tokens in _TOKENS_A_ROW)
    if own:
        mean = sum(completion.usage.completion_tokens for _, completion in own) / len(own)
        largest = max(completion.usage.completion_tokens for _, completion in own)
        low, high = mean * _SPREAD[0], min(recipe.max_tokens, max(largest, mean * _SPREAD[1]))
        prompt = sum(completion.usage.prompt_tokens for _, completion in own) / len(own)
    return PlannedRecipe(
        recipe=recipe.name, calls=calls, prompt_tokens=round(calls * prompt), completion_low=round(calls * low),
        completion_high=round(calls * high), rows=rows,
    )  # fmt: skip


def _cautions(spec: MakingSpec, sources: Sources) -> list[str]:
    found = list(sources.cautions)
    if not spec.terms:
        found.append("Read what the teacher's terms of use say about training on its answers, and record it in `terms`.")
    if spec.documents and not sources.held_out_documents:
        found.append("No document is held out: nothing will show whether the tuned model can answer beyond these rows.")
    if spec.documents and not any(recipe.name == "unanswerable" for recipe in spec.recipes):
        found.append("No recipe makes refusals: the model will invent answers that are not in the documents.")
    return found
