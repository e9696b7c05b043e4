"""`studio score`: the scores that a reward model gives to answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json, RunName


def score(
    run: RunName,
    file: Annotated[str, typer.Argument(help="Questions with answers, or preference pairs.", show_default=False)],
    home: Home = None,
    json: Json = False,
) -> None:
    """Score the answers of a file by a run of the method `reward`.

    A higher score is better. Scores have no unit and no zero: compare answers to the same question.
    """
    from studio.app import answer_scores, runs

    found = answer_scores.scores(runs.find(run, home), file)
    if json:
        show.as_json([asdict(row) for row in found])
        return
    pairs = [row for row in found if row.rejected is not None]
    rows = [
        (f"{row.file}:{row.line}", f"{row.score:.3f}", "" if row.rejected is None else f"{row.rejected:.3f}", row.answer[:60])
        for row in found
    ]
    show.table(("row", "score", "rejected", "answer"), rows, right=(1, 2))
    if pairs:
        right = sum(row.score > row.rejected for row in pairs if row.rejected is not None)
        show.say(f"the preferred answer scores higher in {right:,} of {len(pairs):,} pairs")
