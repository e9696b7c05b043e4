"""`studio config import`: another tool's configuration as a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Json

app = typer.Typer(help="Configurations of other tools.", no_args_is_help=True)


@app.callback()
def options() -> None:
    """Configurations of other tools."""


@app.command("import")
def import_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A configuration of Axolotl, LLaMA-Factory, Unsloth or TRL.")],
    out: Annotated[Path | None, typer.Option(help="Write the spec here instead of showing it.")] = None,
    json: Json = False,
) -> None:
    """Convert another tool's YAML or JSON to a spec; every key that cannot be converted is listed with the reason."""
    from studio import spec as specs
    from studio.app import foreign_config
    from studio.core.errors import SpecError
    from studio.core.files import write_text

    found = foreign_config.read_config(file)
    if out is not None and out.exists():
        raise SpecError("the file already exists", hint="Choose another name for --out.", where=str(out))
    text = specs.dump_asked(found.spec)
    if out is not None:
        write_text(out, text)
    if json:
        left = [{"key": item.key, "value": item.value, "reason": item.reason} for item in found.unmapped]
        show.as_json({"tool": found.tool, "spec": specs.parse_text(text).model_dump(mode="json"), "unmapped": left})
        return
    if out is None:
        typer.echo(text, nl=False)
    else:
        show.say(f"{out}: a spec from a configuration of {found.tool}", "bold green")
    for item in found.unmapped:
        typer.echo(f"! {item.key}: {item.value}: {item.reason}", err=True)
