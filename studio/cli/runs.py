"""`studio runs …`: the history."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.cli import follow, show
from studio.cli.options import All, Home, Json, Progress, RunName
from studio.core.text import duration, size

app = typer.Typer(help="List, follow, stop, resume, compare and delete runs.", no_args_is_help=True)


@app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List all runs, newest first."""
    from studio.app import runs

    rows = [run.summary() for run in runs.list_runs(home)]
    if json:
        show.as_json([row.as_json() for row in rows])
        return
    if not rows:
        show.say("No runs yet. Make one: studio demo, or studio train configs/demo.yaml")
        return
    show.table(
        ("run", "state", "model", "data", "step", "loss", "held-out", "verdict", "started"),
        [
            (
                row.id,
                row.shown_state,
                row.model,
                row.data,
                row.step,
                row.loss,
                row.held_out_loss,
                row.headline,
                show.when(row.created),
            )
            for row in rows
        ],
        right=(4, 5, 6),
    )
    for row in rows:
        if row.damaged and row.error:
            show.say(f"{row.id}: {row.error.message}\n→ {row.error.hint}", "red")


@app.command("show")
def show_(run: RunName, every: All = False, home: Home = None, json: Json = False) -> None:
    """Show a run: state, decisions, evidence, exports."""
    from studio.app import runs

    found = runs.find(run, home)
    if json:
        plan = found.plan
        show.as_json(
            {
                **found.summary().as_json(),
                "status": found.status.as_json(),
                "plan": plan.as_json() if plan else {},
                "report": found.report.as_json() if found.folder.report.exists() else None,
                "artifacts": found.folder.artifacts(),
            }
        )
        return
    row = found.summary()
    show.heading(found.id)
    took = f", {duration(row.seconds)}" if row.seconds else ""
    show.say(f"{row.state}{took}; {row.model} on {row.data}")
    if row.error:
        show.say(f"{row.error.message}\n→ {row.error.hint}", "red")
    if plan := found.plan:
        hidden = show.decisions(plan, every)
        if hidden:
            show.say(f"{hidden} more decisions: --all", "dim")
        if plan.measured:
            show.say(f"memory: {size(plan.measured.predicted)} predicted, {size(plan.measured.peak)} measured")
    if row.state == "done":
        follow.summary(found)


@app.command()
def watch(run: RunName, home: Home = None) -> None:
    """Follow a run until it ends. Ctrl-C detaches; the run continues."""
    from studio.app import run_updates, runs

    found = runs.find(run, home)
    with follow._Bar(found) as bar:
        for update in run_updates.watch(found.folder):
            bar.show(update)
    raise typer.Exit(follow.ended(found, False, {}))


@app.command()
def stop(run: RunName, home: Home = None) -> None:
    """Save a checkpoint and stop."""
    from studio.app import runs

    found = runs.find(run, home)
    now = found.stop()
    show.say(f"{found.id} is {now.state}. Resume: studio runs resume {found.id}")


@app.command()
def resume(run: RunName, home: Home = None, json: Json = False, progress: Progress = None) -> None:
    """Resume a stopped, interrupted or failed run from its last checkpoint."""
    from studio.app import run_updates, runs

    found = runs.find(run, home)
    since = run_updates.now(found.folder)
    runs.resume(found)
    raise typer.Exit(follow.follow(found, json, since=since, progress=progress))


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(metavar="RUN RUN…", help="Two runs or more.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare runs: settings that differ, and results."""
    from studio.app import comparison

    found = comparison.compare(*names, home=home)
    ids = [run.id for run in found.runs]
    if json:
        settings = {name: dict(zip(ids, values, strict=True)) for name, values in found.settings}
        results = {
            run: {name: values[index] for name, values in found.results.items() if values[index] is not None}
            for index, run in enumerate(ids)
        }
        show.as_json({"settings": settings, "results": results})
        return
    show.comparison(found)


@app.command()
def delete(
    run: RunName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    home: Home = None,
) -> None:
    """Delete a run and everything in its folder."""
    from studio.app import runs

    found = runs.find(run, home)
    if not yes:
        typer.confirm(f"Delete {found.id} with its adapter and exports?", abort=True)
    freed = runs.delete(found)
    show.say(f"{found.id} was deleted, {size(freed)} freed")


def worker(
    home: Home = None,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Exit when the queue is empty and nothing runs.")] = False,
) -> None:
    """Run the queue supervisor: it starts waiting runs when the device is free. `train --queue` starts it automatically."""
    from studio.app import queue

    if not queue.work(home, until_idle):
        show.say("A supervisor is already running for this home.")
