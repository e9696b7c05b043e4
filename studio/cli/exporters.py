"""`studio exporters`: the environments of exporters whose packages contradict the studio's own."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.cli import show
from studio.cli.progress import Progress

app = typer.Typer(help="Exporters in environments of their own: list, install, remove.", invoke_without_command=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="An exporter, as the list names it.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.callback()
def exporters(context: typer.Context, json: Json = False) -> None:
    """List the exporters: ready, or with the command that makes them so."""
    if context.invoked_subcommand:
        return
    from studio.app import exporters
    from studio.core.text import size

    found = exporters.statuses()
    if json:
        show.as_json([exporters.as_dict(item) for item in found])
        return
    rows = [(item.name, item.state, size(item.bytes), item.gives, item.command) for item in found]
    show.table(("exporter", "", "size", "for", "make it ready"), rows, right=(2,))


@app.command()
def install(name: Name, json: Json = False) -> None:
    """Make an exporter's environment from its lock file. One that is ready is left alone."""
    from studio.app import exporters

    with Progress() as bar:
        status = exporters.install(name, bar.show)
    if json:
        show.as_json(exporters.as_dict(status))
    else:
        show.say(f"{name}: ready, {status.folder}", "green")


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Remove an exporter's environment. It belongs to this Python environment: whoever uses the same one loses it too."""
    from studio.app import exporters
    from studio.core.text import size

    if not yes:
        here = next((item for item in exporters.statuses() if item.name == name), None)
        if here is not None:
            typer.confirm(f"Remove {here.folder} ({size(here.bytes)})?", abort=True, err=True)
    removed = exporters.remove(name)
    if json:
        show.as_json({"name": name, "removed": removed})
    else:
        show.say(f"{name}: removed" if removed else f"{name}: there was none")
