"""`studio ui`: the web studio."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from studio.cli.options import Home
from studio.core.errors import SpecError

PASSWORD = "STUDIO_PASSWORD"
"""The environment variable that may hold the password for --auth."""


def ui(
    host: Annotated[
        str, typer.Option(help="Address to listen on; --auth is required unless it is this machine's loopback address.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 selects a free one.")] = 7860,
    auth: Annotated[bool, typer.Option("--auth", help=f"Require a password: ${PASSWORD}, or prompted for.")] = False,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Additional host name of this server, e.g. behind a proxy.")
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--proxy", metavar="ADDRESS", help="IP address of a reverse proxy whose X-Forwarded-* headers are believed."
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Start the web studio. Prints a link that signs in one browser, once."""
    from studio.core.files import studio_home
    from studio.ui import server

    server.serve(
        studio_home(home), host, port, _password() if auth else None, tuple(name or ()), typer.echo, tuple(proxy or ())
    )


def _password() -> str:
    given = os.environ.pop(PASSWORD, "")  # not for the children to see
    if given:
        return given
    if not sys.stdin.isatty():
        raise SpecError("no password is set", hint=f"Set ${PASSWORD}, or start Studio in a terminal.", where="--auth")
    return typer.prompt("Password for the studio", hide_input=True, confirmation_prompt=True)
