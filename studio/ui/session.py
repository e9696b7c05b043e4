"""Who may come in: the one-time link, the password, and the signed cookie that proves it afterwards."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from studio.app.users import scrypt

COOKIE = "studio_session"
LASTS = 7 * 24 * 3600
"""Seconds a session is good for."""
FREE_TRIES = 5
"""Wrong passwords an address may give before it has to wait."""
LONGEST_WAIT = 300.0
"""Seconds an address waits at most."""


SHARED = "@"
"""The account of a session that began with the password of `--auth`, which everyone shares."""


@dataclass(frozen=True)
class Session:
    """What a valid cookie says. account: a name, SHARED, or empty for the owner's link; stamp: of the account's password."""

    id: str
    account: str = ""
    stamp: str = ""


class Sessions:
    """Cookies signed with a key that is kept on disk (mode 0600), so that a restart of the server signs nobody out."""

    def __init__(self, key_file: Path) -> None:
        self.key_file = key_file
        self.key = _key(key_file)

    def new(self, account: str = "", stamp: str = "", now: float | None = None) -> str:
        """The cookie of a new session: when it ends, a random name with its account, and the signature of both."""
        whose = f"~{account}~{stamp}" if account else ""
        body = f"{int((now or time.time()) + LASTS)}.{secrets.token_urlsafe(16)}{whose}"
        return f"{body}.{self._sign(body)}"

    def read(self, cookie: str | None, now: float | None = None) -> Session | None:
        """The session of a cookie; None if it is not one of ours, or over."""
        body, _, signature = (cookie or "").rpartition(".")
        if not body or not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return None
        ends, _, whose = body.partition(".")
        return Session(*whose.split("~")) if ends.isdigit() and int(ends) > (now or time.time()) else None

    def valid(self, cookie: str | None, now: float | None = None) -> bool:
        """Whether a cookie is one of ours and not yet over."""
        return self.read(cookie, now) is not None

    def end_all(self) -> None:
        """Sign everybody out: a new key, which no old cookie fits."""
        self.key_file.unlink(missing_ok=True)
        self.key = _key(self.key_file)

    def _sign(self, body: str) -> str:
        return hmac.new(self.key, body.encode(), hashlib.sha256).hexdigest()


def _key(file: Path) -> bytes:
    file.parent.mkdir(parents=True, exist_ok=True)
    os.chmod(file.parent, 0o700)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = file.read_bytes()
        if len(key) == 32:
            return key
        file.unlink()
        return _key(file)
    with os.fdopen(handle, "wb") as out:
        key = secrets.token_bytes(32)
        out.write(key)
    return key


class OneTimeLink:
    """A token that lets one browser in, once; then there is a new one, which `tell` is given."""

    def __init__(self, tell: Callable[[str], None] = lambda token: None) -> None:
        self.token = secrets.token_urlsafe(24)
        self.tell = tell
        self._lock = threading.Lock()

    def spend(self, token: str) -> bool:
        """Whether the token is the present one. It is used up then."""
        with self._lock:
            if not hmac.compare_digest(token.encode(), self.token.encode()):
                return False
            self.token = secrets.token_urlsafe(24)
        self.tell(self.token)
        return True


class Password:
    """A password kept as its scrypt hash (RFC 7914: N=2^15, r=8, p=1: 32 MiB and about 0.1 s a try)."""

    def __init__(self, password: str) -> None:
        self.salt = secrets.token_bytes(16)
        self._lock = threading.Lock()
        self.hash = scrypt(password, self.salt)

    def matches(self, password: str) -> bool:
        """Whether it is the password. One check at a time, so that many tries cannot fill the memory."""
        with self._lock:
            return hmac.compare_digest(scrypt(password, self.salt), self.hash)


class Throttle:
    """Waiting times after wrong passwords: some tries are free, then each wrong one doubles the wait of its address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, free: int = FREE_TRIES) -> None:
        self.clock, self.free = clock, free
        self._tries: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 if it may now."""
        count, last = self._tries.get(address, (0, 0.0))
        if count < self.free:
            return 0.0
        return max(0.0, last + min(LONGEST_WAIT, 2.0 ** min(10, count - self.free + 1)) - self.clock())

    def failed(self, address: str) -> None:
        """Count a wrong password."""
        with self._lock:
            now = self.clock()
            if len(self._tries) > 10_000:  # never grows without end, whoever knocks
                self._tries = {key: item for key, item in self._tries.items() if now - item[1] < LONGEST_WAIT}
            count, last = self._tries.get(address, (0, now))
            self._tries[address] = (1 if now - last > 2 * LONGEST_WAIT else count + 1, now)

    def succeeded(self, address: str) -> None:
        """Forget the wrong ones."""
        with self._lock:
            self._tries.pop(address, None)
