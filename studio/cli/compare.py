"""`studio compare`: base, tuned, retrieval, both, and a large model, on the same questions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json
from studio.cli.progress import reporting


def compare(
    spec: Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="Comparison file: run, index, questions, large, volume.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare base, tuned, retrieval and a large model: quality with intervals, refusals, groundedness, latency, cost."""
    from studio.app import answer_comparison

    wanted = answer_comparison.load(spec)
    with reporting(json) as reporter:
        record, folder = answer_comparison.compare_answers(wanted, home, reporter)
    if json:
        show.as_json({**record.as_json(), "page": str(folder / "report.html")})
        return
    show.table(answer_comparison.columns(), answer_comparison.table(record), right=tuple(range(6, 11)))
    for remark in record.remarks:
        show.say(remark)
    show.say(str(folder / "report.html"), "bold")
