"""`studio users`: accounts of the web studio. `studio audit`: who did what there."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json
from studio.core.errors import SpecError
from studio.core.people import Role

PASSWORD = "STUDIO_USER_PASSWORD"
"""The environment variable that may hold the password of the account that is added or changed."""
app = typer.Typer(
    help="Accounts of the web studio: list, add, remove, change role or password. Without any, there is one owner.",
    invoke_without_command=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account.")]
AsRole = Annotated[
    Role,
    typer.Argument(
        metavar="ROLE", help="viewer sees everything; member also runs; owner also manages accounts, keys and what is others'."
    ),
]


@app.callback()
def users(context: typer.Context, home: Home = None, json: Json = False) -> None:
    """List the accounts."""
    if not context.invoked_subcommand:
        list_(home, json)


@app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List the accounts with their roles."""
    from studio.app import users as accounts
    from studio.core.files import studio_home

    known = accounts.listing(studio_home(home))
    if json:
        show.as_json([{"name": user.name, "role": user.role, "added": user.added} for user in known])
    elif known:
        show.table(("account", "role", "added"), [(user.name, user.role, show.when(user.added)) for user in known])
    else:
        show.say("There are no accounts: whoever opens the link of the terminal is the owner. Add one: studio users add NAME")


@app.command()
def add(
    name: Name,
    role: Annotated[Role, typer.Option("--role", help="viewer, member or owner.")] = Role.member,
    home: Home = None,
    json: Json = False,
) -> None:
    """Add an account. The password is prompted for, or read from $STUDIO_USER_PASSWORD."""
    from studio.app import users as accounts
    from studio.core.files import studio_home

    user = accounts.add(studio_home(home), name, role, _password(name))
    _say(user.name, user.role, f"{user.name} can sign in as {user.role}", json)


@app.command()
def remove(name: Name, home: Home = None, json: Json = False) -> None:
    """Remove an account. Its sessions end at once; its runs and data stay."""
    from studio.app import users as accounts
    from studio.core.files import studio_home

    accounts.remove(studio_home(home), name)
    _say(name, "", f"{name} can no longer sign in", json)


@app.command()
def role(name: Name, role: AsRole, home: Home = None, json: Json = False) -> None:
    """Give an account another role, at once."""
    from studio.app import users as accounts
    from studio.core.files import studio_home

    user = accounts.set_role(studio_home(home), name, role)
    _say(user.name, user.role, f"{user.name} is now {user.role}", json)


@app.command()
def password(name: Name, home: Home = None, json: Json = False) -> None:
    """Give an account another password. Its sessions end at once."""
    from studio.app import users as accounts
    from studio.core.files import studio_home

    user = accounts.set_password(studio_home(home), name, _password(name))
    _say(user.name, user.role, f"{user.name} has a new password and must sign in again", json)


def audit(
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="Newest entries to show.")] = 50,
    who: Annotated[str, typer.Option("--who", metavar="NAME", help="Only of this account.", show_default=False)] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Show who did what in the web studio, the newest first."""
    from studio.app import audit as log
    from studio.core.files import studio_home

    entries = log.read(studio_home(home), most if not who else 100_000)
    entries = [item for item in entries if not who or item.who == who][:most]
    if json:
        show.as_json([item.as_json() for item in entries])
        return
    columns = ("when", "who", "role", "action", "about", "outcome", "address")
    rows = [(show.when(item.time), *(str(getattr(item, name)) for name in columns[1:])) for item in entries]
    show.table(columns, rows) if rows else show.say("Nothing has been done yet.")


def _say(name: str, role: str, words: str, json: bool) -> None:
    show.as_json({"name": name, **({"role": role} if role else {})}) if json else show.say(words)


def _password(name: str) -> str:
    given = os.environ.pop(PASSWORD, "")
    if given:
        return given
    if not sys.stdin.isatty():
        raise SpecError("no password is set", hint=f"Set ${PASSWORD}, or run it in a terminal.", where=name)
    return typer.prompt(f"Password for {name}", hide_input=True, confirmation_prompt=True)
