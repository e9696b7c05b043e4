"""Who makes a request: found from the cookie once, before anything else, and read by all that serve it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.app import users
from studio.core.errors import StudioError
from studio.core.people import OWNER, Person
from studio.http.refusal import Refused
from studio.ui.session import SHARED, Session


@dataclass(frozen=True)
class Visit:
    """Somebody's request. session: the random name of the session; address: where the request comes from."""

    person: Person
    session: str
    home: Path
    address: str


def person_of(session: Session, home: Path) -> Person | None:
    """Whose session it is; None if it ended with its account, its password, or the password that all shared.

    Raises Refused if the accounts cannot be read: then nobody is let in by a name.
    """
    if not session.account:
        return OWNER  # by the link of the terminal: whoever sees it can read the home anyway
    try:
        if session.account == SHARED:
            return None if users.listing(home) else OWNER
        user = users.find(home, session.account)
    except StudioError as error:
        raise Refused(503, f"{error.sentence}. {error.hint}") from None
    return user.person if user is not None and user.stamp == session.stamp else None


def of(request: object) -> Visit | None:
    """The visit that `access` noted on a request, Gradio's or Starlette's; None where nobody is signed in."""
    return getattr(getattr(request, "state", None), "visit", None)
