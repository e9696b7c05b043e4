"""`studio judge`: an LLM judge's verdicts on a run's answers, and its agreement with people."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json, PriceIn, PriceOut, both_prices, price_options
from studio.cli.progress import Progress
from studio.core.text import dollars


class Mode(StrEnum):
    """How answers are judged."""

    pairwise = "pairwise"
    pointwise = "pointwise"


def judge(
    run: Annotated[
        str, typer.Argument(metavar="RUN[:EXPORT]", help="Run id, id prefix or `last`; with an export, that export is judged.")
    ],
    by: Annotated[
        str,
        typer.Option(
            metavar="RUN_OR_URL#MODEL",
            help="The judge: a run, an export, a model, or an API [default: show the last result].",
            show_default=False,
        ),
    ] = "",
    rubric: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="Text that says what makes an answer good [default: the shipped rubric].", show_default=False
        ),
    ] = "",
    mode: Annotated[
        Mode, typer.Option(help="pairwise: which answer is better, in both orders; pointwise: a grade for each.")
    ] = Mode.pairwise,
    most: Annotated[int, typer.Option(min=1, help="Maximum number of questions.")] = 100,
    ceiling: Annotated[float | None, typer.Option(min=0, help="Maximum cost in US dollars.", show_default=False)] = None,
    key: Annotated[
        str | None,
        typer.Option("--key-env", help="Environment variable or keyring entry with the judge's key.", show_default=False),
    ] = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before paying.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Have a model judge base against tuned answers, and check whether the judge can be trusted."""
    from dataclasses import asdict

    from studio.app import judging, runs
    from studio.core.errors import SpecError
    from studio.core.files import studio_home

    root = studio_home(home)
    price = both_prices(price_in, price_out)

    def confirm(worst: float) -> bool:
        return yes or json or typer.confirm(f"The judge may cost up to {dollars(worst)}. Continue?", err=True)

    if ":" in run:
        if not by:
            raise SpecError("no judge is named", hint="Name one with --by.", where="--by")
        with price_options(), Progress() as bar:
            of_export = judging.judge_export(
                run, by, root, rubric=rubric, most=most, key=key, price=price, ceiling=ceiling, confirm=confirm,
                tell=bar.show,
            )  # fmt: skip
        if json:
            show.as_json({**of_export.as_json(), "sentence": of_export.sentence})
            return
        show.say(f"{of_export.judge}: {of_export.sentence}.")
        for doubt in of_export.doubts:
            show.say(f"decides nothing: {doubt}")
        return
    found = runs.find(run, root)
    if by:
        with price_options(), Progress() as bar:
            judging.judge(
                found, by, root, rubric=rubric, mode=mode.value, most=most, key=key, price=price, ceiling=ceiling,
                confirm=confirm, tell=bar.show,
            )  # fmt: skip
    opinion = judging.opinion(found)
    if json:
        report = opinion.report.as_json() if opinion.report else None
        kappa = asdict(opinion.kappa) if opinion.kappa else None
        show.as_json(
            {"report": report, "kappa": kappa, "rated": opinion.rated, "doubts": opinion.doubts, "decides": opinion.decides}
        )
        return
    if opinion.report is None:
        show.say("No judge has been used yet. Name one with --by.")
    else:
        show.say(f"{opinion.report.judge}: {opinion.report.sentence}")
        show.say(f"cost: {dollars(opinion.report.cost)}")
    for doubt in opinion.doubts:
        show.say(f"not reliable: {doubt}")
    show.say(f"pairs rated by a person: {opinion.rated}. Rate blind on the page Rate: studio ui, /rate?id={found.id}")
