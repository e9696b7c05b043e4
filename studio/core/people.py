"""Who acts: a name and a role. Whoever runs a command or a notebook on the machine is its owner.

The web studio sets it for the time of an event, so that use cases know whom they serve, however they are reached.
"""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Generator
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from studio.core.errors import StudioError


class NotAllowed(StudioError):
    """Somebody asked for what their role does not allow."""

    exit_code = 2


class Role(StrEnum):
    """What somebody may do; each may do what the ones before may."""

    viewer = "viewer"
    """Sees everything that pages show and changes nothing."""
    member = "member"
    """Also adds data, starts runs, exports and servers, and removes what is their own."""
    owner = "owner"
    """Also removes what is others', manages accounts, keys and limits."""

    def covers(self, other: Role) -> bool:
        """Whether it may do all that `other` may."""
        return list(Role).index(self) >= list(Role).index(other)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in. name: of the account; empty for the owner without one."""

    name: str
    role: Role


OWNER = Person("", Role.owner)
"""Whoever runs the command, or opened the link that the terminal shows."""
_acting: ContextVar[Person] = ContextVar("studio_person", default=OWNER)


def current() -> Person:
    """Who acts now."""
    return _acting.get()


def who() -> str:
    """The name that what is made now carries: of the account, else of the machine's user; empty where it has none."""
    if current().name:
        return current().name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return ""


@contextlib.contextmanager
def acting(person: Person) -> Generator[None]:
    """Act for somebody within the block."""
    token = _acting.set(person)
    try:
        yield
    finally:
        _acting.reset(token)


def require_own(who: str, what: str) -> None:
    """Raise NotAllowed if the one who acts is neither an owner nor the one who made it. what: e.g. "delete this run"."""
    person = current()
    if person.role is not Role.owner and (not person.name or who != person.name):
        theirs = f"it is {who}'s" if who else "it is not yours"
        raise NotAllowed(f"only an owner may {what}: {theirs}", hint="Ask an owner of this studio.", where=person.name)
