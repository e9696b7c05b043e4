"""`studio cascade`: a small model answers first, a large one when the small is unsure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli import show
from studio.cli.options import Home, Json, PriceIn, PriceOut, both_prices, price_options
from studio.cli.progress import Progress
from studio.core.text import dollars

if TYPE_CHECKING:
    from studio.app.cascade_questions import Files

app = typer.Typer(no_args_is_help=True, help="A small model answers first, a large one when the small is unsure.")

HeldOut = Annotated[
    list[str] | None, typer.Option("--held-out", metavar="FILE", help="Questions and answers like the training rows.")
]
Fresh = Annotated[list[str] | None, typer.Option("--fresh", metavar="FILE", help="Questions and answers in new wordings.")]
OutOfScope = Annotated[
    list[str] | None,
    typer.Option(
        "--out-of-scope", metavar="FILE", help="Questions that the small model cannot answer, one per line; no answers needed."
    ),
]
CascadeName = Annotated[str, typer.Argument(metavar="CASCADE", help="Cascade id, id prefix, or `last`.")]


@app.command("calibrate")
def calibrate(
    small: Annotated[str, typer.Argument(metavar="RUN", help="A run, an export, a model, or an API: URL#MODEL.")],
    large: Annotated[str, typer.Option("--large", metavar="URL#MODEL", help="The large model's API.")],
    risk: Annotated[
        float, typer.Option(min=0.0001, max=0.9999, help="Maximum share of all questions answered locally and wrong.")
    ] = 0.02,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="Confidence level of that bound.")] = 0.95,
    held_out: HeldOut = None,
    fresh: Fresh = None,
    out_of_scope: OutOfScope = None,
    right: Annotated[
        str,
        typer.Option(
            metavar="METRIC>=VALUE", help="What counts as right [default: depends on the answers].", show_default=False
        ),
    ] = "",
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=1, help="Maximum answer length in tokens [default: that of the evaluation].", show_default=False
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key-env", help="Environment variable or keyring entry with the large model's key.", show_default=False),
    ] = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Find the threshold between the two models on questions with known answers. Only the small model is asked."""
    from studio.app import cascades, local_server
    from studio.core.files import studio_home

    price = both_prices(price_in, price_out)
    endpoint = local_server.endpoint(large, key, price)
    with price_options(), Progress() as bar:
        folder, found = cascades.calibrate(
            small, endpoint, _files(held_out, fresh, out_of_scope), studio_home(home), risk=risk, level=level, right=right,
            max_tokens=max_tokens, tell=bar.show,
        )  # fmt: skip
    if json:
        show.as_json(found.as_json())
        return
    calibration = found.calibration
    share, low, high = calibration.share_local
    show.say(f"{found.id}: {calibration.promise}")
    show.say(f"answered locally: {share:.0%} of the calibration questions (95 % interval {low:.0%} to {high:.0%})")
    show.say(f"right means {found.right}")
    show.table(("signal", "AUROC"), [(name, f"{value:.3f}") for name, value in calibration.auroc.items()], right=(1,))
    _warn(found.warnings)
    show.say(f"{folder.path}")


@app.command("report")
def report(
    cascade: CascadeName = "last",
    held_out: HeldOut = None,
    fresh: Fresh = None,
    out_of_scope: OutOfScope = None,
    ceiling: Annotated[
        float | None, typer.Option(min=0, help="Maximum cost of the large model in US dollars.", show_default=False)
    ] = None,
    small_cost: Annotated[
        float, typer.Option("--small-cost", min=0, help="US dollars per hour of the small model's machine.")
    ] = 0.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before paying.")] = False,
    home: Home = None,
    json: Json = False,
) -> int:
    """Measure quality, cost and latency on new questions, compared with each model alone and other routers."""
    from studio.app import cascades
    from studio.core.files import studio_home

    root = studio_home(home)
    folder = cascades.find(cascade, root)

    def confirm(worst: float) -> bool:
        return yes or json or typer.confirm(f"The large model may cost up to {dollars(worst)}. Continue?", err=True)

    with Progress() as bar:
        found = cascades.report(
            folder, _files(held_out, fresh, out_of_scope), root, ceiling=ceiling, small_cost_per_hour=small_cost,
            confirm=confirm, tell=bar.show,
        )  # fmt: skip
    if json:
        show.as_json(found.as_json())
    else:
        show.say(f"{found.sentence}.")
        rows: list[tuple[Any, ...]] = [
            (
                name,
                f"{point.escalated:.0%}",
                f"{point.quality:.1%}",
                f"{point.cost:.4f}",
                f"{point.p50:.2f} s",
                f"{point.p95:.2f} s",
            )
            for name, point in (("cascade", found.at_target), ("small alone", found.small), ("large alone", found.large))
        ]
        show.table(("answers by", "escalated", "right", "USD per 1,000", "p50", "p95"), rows, right=(1, 2, 3, 4, 5))
        _warn(found.warnings)
        show.say(f"page: {folder.page}")
    return 0 if found.held else 1


@app.command("serve")
def serve(
    cascade: CascadeName = "last",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 selects a free one.")] = 8000,
    api_key_file: Annotated[
        Path | None,
        typer.Option("--api-key-file", help="File of API keys, created with `studio serve --new-key`.", show_default=False),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Total budget for the large model in US dollars; then everything stays local. Required if it costs anything.",
            show_default=False,
        ),
    ] = None,
    never: Annotated[
        list[str] | None,
        typer.Option("--never", metavar="KIND", help="Never send this to the large model: pii (personal data)."),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Have the large model answer everything, and count what would have stayed local.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep-escalated", help="Keep escalated questions, masked, for `studio feedback to-dataset`.")
    ] = False,
    home: Home = None,
) -> int:
    """Serve both models as one OpenAI-compatible API; response headers report route, confidence and cost."""
    from studio.app import cascades
    from studio.core.files import studio_home

    root = studio_home(home)
    how = cascades.Served(host, port, api_key_file, budget, tuple(never or ()), shadow, keep)
    return cascades.serve(cascades.find(cascade, root), root, how, lambda line: print(line, file=sys.stderr, flush=True))


@app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List the cascades, newest first."""
    from studio.app import cascades
    from studio.core.files import studio_home

    found = cascades.list_cascades(studio_home(home))
    show.damages(home, "cascades")
    if json:
        show.as_json([cascade.as_json() for cascade in found])
        return
    rows = [
        (
            cascade.id,
            cascade.small,
            cascade.large.model,
            f"{cascade.calibration.share_local[0]:.0%}",
            f"{cascade.calibration.risk:.1%}",
        )
        for cascade in found
    ]
    show.table(("cascade", "small", "large", "local", "risk"), rows) if rows else show.say("There is no cascade yet.")


def _files(held_out: list[str] | None, fresh: list[str] | None, out_of_scope: list[str] | None) -> Files:
    from studio.app.cascade_questions import Files

    return Files(tuple(held_out or ()), tuple(fresh or ()), tuple(out_of_scope or ()))


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        show.say(f"warning: {warning}")
