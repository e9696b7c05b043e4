"""`studio exporters`: the toolchains of exports whose packages conflict with Studio's own."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Json
from studio.cli.progress import Progress

app = typer.Typer(
    help="Toolchains, the separate environments some exports need: list, install, remove.", invoke_without_command=True
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A toolchain, as `studio exporters list` names it.")]


@app.callback()
def exporters(context: typer.Context, json: Json = False) -> None:
    """List the toolchains: ready, or with the command that installs them."""
    if not context.invoked_subcommand:
        list_(json)


@app.command("list")
def list_(json: Json = False) -> None:
    """List the toolchains: ready, or with the command that installs them."""
    from studio.app import toolchains
    from studio.core.text import size

    statuses = toolchains.statuses()
    if json:
        show.as_json([toolchains.as_dict(item) for item in statuses])
        return
    rows = [(item.name, item.state, size(item.bytes), item.gives, item.command) for item in statuses]
    show.table(("exporter", "", "size", "for", "install with"), rows, right=(2,))


@app.command()
def install(name: Name, json: Json = False) -> None:
    """Install a toolchain from its lock file, unless it is already installed."""
    from studio.app import toolchains

    with Progress() as bar:
        status = toolchains.install(name, bar.show)
    if json:
        show.as_json(toolchains.as_dict(status))
    else:
        show.say(f"{name}: ready, {status.folder}", "green")


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    json: Json = False,
) -> None:
    """Remove a toolchain from this Python environment, for everyone who uses the environment."""
    from studio.app import toolchains
    from studio.core.text import size

    if not yes:
        here = next((item for item in toolchains.statuses() if item.name == name), None)
        if here is not None and here.folder.exists():
            typer.confirm(f"Remove {here.folder} ({size(here.bytes)})?", abort=True, err=True)
    removed = toolchains.remove(name)
    if json:
        show.as_json({"name": name, "removed": removed})
    else:
        show.say(f"{name}: removed" if removed else f"{name}: was not installed")
