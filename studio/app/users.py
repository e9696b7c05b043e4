"""Accounts of the web studio, for a studio that several people use: a name, a role, and a password kept as its scrypt hash.

Without accounts there is one owner: whoever opens the link of the terminal, or knows the password of `--auth`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
import time
from pathlib import Path
from typing import ClassVar

from studio.app import audit
from studio.core import people
from studio.core.errors import SpecError
from studio.core.people import Person, Role
from studio.core.records import Record
from studio.core.text import nearest

SHORTEST = 8
"""Characters a password has at least."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_checking = threading.Lock()


class User(Record):
    """An account."""

    name: str
    role: Role
    salt: str
    hash: str
    """scrypt of the password (RFC 7914: N=2^15, r=8, p=1: 32 MiB and about 0.1 s a try), as hex."""
    added: float

    @property
    def stamp(self) -> str:
        """Changes with the password: sessions carry it, so that a new password ends the old sessions."""
        return hashlib.sha256(self.hash.encode()).hexdigest()[:16]

    @property
    def person(self) -> Person:
        """Who signs in with it."""
        return Person(self.name, self.role)


class Users(Record):
    """`<home>/ui/users.json`: all accounts."""

    label: ClassVar[str] = "list of accounts"
    remedy: ClassVar[str] = "Restore the file from a backup, or delete it and add the accounts again: studio users add."

    users: tuple[User, ...] = ()


def listing(home: Path) -> tuple[User, ...]:
    """All accounts. Raises RecordError for a damaged file: nobody is then let in by name."""
    file = _file(home)
    return Users.read(file).users if file.exists() else ()


def find(home: Path, name: str) -> User | None:
    """The account of exactly that name."""
    return next((user for user in listing(home) if user.name == name), None)


def add(home: Path, name: str, role: Role, password: str) -> User:
    """Add an account. Raises SpecError for a name that is taken or none, and for a short password."""
    if not _NAME.fullmatch(name):
        raise SpecError(
            f"{name[:40]!r} cannot be the name of an account",
            hint="Use small letters, digits, - and _, at most 32.",
            where="name",
        )
    known = listing(home)
    if any(user.name == name for user in known):
        raise SpecError(f"there is an account {name} already", hint="Choose another name.", where="name")
    salt = secrets.token_bytes(16)
    _require_long(password)
    user = User(name=name, role=role, salt=salt.hex(), hash=scrypt(password, salt).hex(), added=time.time())
    _write(home, (*known, user))
    audit.record(home, people.current(), "users.add", name)
    return user


def remove(home: Path, name: str) -> None:
    """Remove an account; its sessions end at once. Raises SpecError for an unknown one, or the last owner of several."""
    user, known = _one(home, name), listing(home)
    rest = tuple(item for item in known if item.name != user.name)
    _require_owner(rest, f"removing {name}")
    _write(home, rest)
    audit.record(home, people.current(), "users.remove", name)


def set_role(home: Path, name: str, role: Role) -> User:
    """Give an account another role, at once. Raises SpecError."""
    return _changed(home, _one(home, name).model_copy(update={"role": role}), "users.role")


def set_password(home: Path, name: str, password: str) -> User:
    """Give an account another password; its sessions end. Raises SpecError."""
    _require_long(password)
    salt = secrets.token_bytes(16)
    user = _one(home, name).model_copy(update={"salt": salt.hex(), "hash": scrypt(password, salt).hex()})
    return _changed(home, user, "users.password")


def check(home: Path, name: str, password: str) -> User | None:
    """The account, if that is its password. An unknown name takes as long as a wrong password."""
    user = find(home, name)
    salt, expected = (bytes.fromhex(user.salt), user.hash) if user else (bytes(16), "")
    with _checking:  # one at a time: many tries cannot fill the memory
        given = scrypt(password, salt).hex()
    return user if hmac.compare_digest(given, expected) else None


def scrypt(text: str, salt: bytes) -> bytes:
    """The hash that passwords are kept as."""
    return hashlib.scrypt(text[:1024].encode(), salt=salt, n=2**15, r=8, p=1, maxmem=64 << 20)


def _changed(home: Path, user: User, action: str) -> User:
    users = tuple(user if item.name == user.name else item for item in listing(home))
    _require_owner(users, f"a change of {user.name}")
    _write(home, users)
    audit.record(home, people.current(), action, user.name)
    return user


def _one(home: Path, name: str) -> User:
    user = find(home, name)
    if user is None:
        near = nearest(name, [item.name for item in listing(home)])
        hint = f"Did you mean {near}?" if near else "studio users list shows the accounts."
        raise SpecError(f"there is no account {name[:40]!r}", hint=hint, where="name")
    return user


def _require_owner(users: tuple[User, ...], what: str) -> None:
    if users and not any(user.role is Role.owner for user in users):
        raise SpecError(f"{what} would leave no owner", hint="Make another account an owner first.", where="role")


def _require_long(password: str) -> None:
    if len(password) < SHORTEST:
        raise SpecError(f"the password is shorter than {SHORTEST} characters", hint="Choose a longer one.", where="password")


def _write(home: Path, users: tuple[User, ...]) -> None:
    file = _file(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.parent.chmod(0o700)
    Users(users=users).write(file)
    os.chmod(file, 0o600)


def _file(home: Path) -> Path:
    return home / "ui" / "users.json"
