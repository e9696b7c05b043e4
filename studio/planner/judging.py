"""What the judge of a run will be asked, and what that may cost."""

from __future__ import annotations

from studio.core.text import count, dollars, plural
from studio.evaluation.judge.questions import MOST_TOKENS, read_rubric
from studio.planner.rows import CHARACTERS, Rows
from studio.remote.prices import price_of
from studio.spec import ResolvedSpec

MARKS = 250
"""Tokens of a request beside rubric, question and answers: the marks around them, and how to reply."""


def sentence(spec: ResolvedSpec, rows: Rows) -> str:
    """The judge, its requests and their cost as a line of the plan; empty without a judge. Raises SpecError.

    The cost is that of answers as long as they may get, all of which differ; before anything is sent, it is reckoned again
    from the answers there are.
    """
    settings, evaluation = spec.evaluation.judge, spec.evaluation
    if not settings.on:
        return ""
    lengths = rows.lengths if evaluation.folds else rows.held_out
    questions = min(settings.most, evaluation.max_rows, len(lengths) // rows.per_row)
    requests = 2 * questions
    how = "pairs of answers, each in both orders" if settings.mode == "pairwise" else "questions, both answers graded"
    asked = f"judge: {settings.model}, at most {count(questions)} {how} ({plural(requests, 'request')})"
    endpoint = settings.endpoint
    if endpoint is None:
        return f"{asked}, on this machine"
    price = price_of(endpoint)
    if price.free:
        return f"{asked}, free"
    longest = int(lengths.max()) if len(lengths) else 0
    rubric = round(len(read_rubric(settings.rubric_file)) / CHARACTERS)
    answers = (2 if settings.mode == "pairwise" else 1) * evaluation.max_new_tokens
    cost = requests * price.cost(rubric + MARKS + longest + answers, MOST_TOKENS)
    ceiling = f", under the ceiling of {dollars(settings.ceiling)}" if settings.ceiling is not None else ""
    return f"{asked}, about {dollars(cost)} at most{ceiling}"
