"""How many tokens a format is made for whose cache has its size from the start: decided from the run, with the reason.

Prompt and answer share it. It cannot be changed afterwards, and its memory is taken at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from studio.core.errors import ExportError
from studio.core.text import count
from studio.export.artifacts.manifest import Check
from studio.export.merging.source import Probe, Source
from studio.export.verification.answers import Forced, Reference

STEP = 256
LEAST = 1024
"""A chat of a few turns, however short the rows."""
USUAL_MOST = 4096
"""Phones take the memory of the cache at once: more only if a row trained on is longer, or if it is asked for."""


@dataclass(frozen=True)
class Context:
    """Tokens of prompt and answer together, and why so many."""

    tokens: int
    why: str


def context(source: Source, asked: int | None = None, reach: int | None = None) -> Context:
    """The tokens to make the cache for. reach: a bound of the format's own, besides that of the model.

    Raises ExportError if more are asked for than the model can place.
    """
    longest = int(getattr(source.base_config, "max_position_embeddings", 0)) or (1 << 20)
    bound = min(longest, reach or longest)
    if asked and asked > bound:
        raise ExportError(
            f"a context of {count(asked)} tokens was asked for and the model takes {count(bound)}",
            hint=f"Ask for at most {bound}, or leave it empty.",
            where="context",
        )
    if asked:
        return Context(asked, "as asked for")
    wanted = max(LEAST, min(2 * source.longest, USUAL_MOST), source.longest)
    tokens = min(-(-wanted // STEP) * STEP, bound)
    if tokens == bound:
        return Context(tokens, "as many as the model was made for")
    if wanted == LEAST:
        return Context(tokens, "a chat of several turns; the rows trained on need less")
    return Context(
        tokens, f"about twice the longest row trained on ({count(source.longest)} tokens), at most {count(USUAL_MOST)}"
    )


def fitting(known: Reference, probe: Probe, tokens: int) -> tuple[Reference, Probe, list[Check]]:
    """The cases that a cache of so many tokens holds, and a check that counts them where it does not hold all.

    Raises ExportError if it holds none.
    """
    places = [place for place, case in enumerate(known.cases) if len(case.ids) <= tokens]
    if len(places) == len(known.cases):
        return known, probe, []
    if not places:
        shortest = min(len(case.ids) for case in known.cases)
        raise ExportError(
            f"a context of {count(tokens)} tokens holds no held-out conversation; the shortest has {count(shortest)}",
            hint="Ask for a longer context.",
            where="context",
        )
    forced = Forced(*([values[place] for place in places] for values in (known.forced.tokens, known.forced.logp)))
    fewer = replace(known, cases=[known.cases[place] for place in places], forced=forced)
    share = len(places) / len(known.cases)
    check = Check(
        "conversations_that_fit", share, None, True, f"the others are longer than the context of {count(tokens)} tokens"
    )
    asked = probe.asked()
    return (
        replace(fewer, answers=[known.answers[place] for place in places]),
        replace(probe, conversations=[asked[place] for place in places]),
        [check],
    )
