"""Who may come in: links that work once, passwords that are not guessed, cookies that are not forged."""

from __future__ import annotations

import stat
import threading
import time
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from studio.ui import signin
from studio.ui.session import LASTS, LONGEST_WAIT, OneTimeLink, Password, Sessions, Throttle


def test_a_session_is_valid_until_it_ends_and_after_a_restart(tmp_path: Path):
    cookie = Sessions(tmp_path / "ui" / "key").new()
    again = Sessions(tmp_path / "ui" / "key")
    assert again.valid(cookie)
    assert not again.valid(cookie, now=time.time() + LASTS + 1)


def test_a_forged_or_changed_cookie_is_refused(tmp_path: Path):
    sessions = Sessions(tmp_path / "key")
    ends, name, signature = sessions.new().split(".")
    other = Sessions(tmp_path / "other").new()
    for wrong in (
        None,
        "",
        ".",
        "..",
        "x",
        f"{int(ends) + 1}.{name}.{signature}",
        f"{ends}.{name}.",
        f"{ends}.{name}.é",
        other,
    ):
        assert not sessions.valid(wrong), wrong


def test_the_key_is_readable_by_its_owner_only(tmp_path: Path):
    Sessions(tmp_path / "ui" / "key")
    assert stat.S_IMODE((tmp_path / "ui" / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "ui").stat().st_mode) == 0o700


def test_signing_everybody_out_ends_every_session(tmp_path: Path):
    sessions = Sessions(tmp_path / "key")
    cookie = sessions.new()
    sessions.end_all()
    assert not sessions.valid(cookie)
    assert sessions.valid(sessions.new())


def test_a_link_lets_one_browser_in_even_when_two_come_at_once():
    told: list[str] = []
    link = OneTimeLink(told.append)
    token, entered = link.token, []
    threads = [threading.Thread(target=lambda: entered.append(link.spend(token))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entered.count(True) == 1
    assert told == [link.token] != [token]


def test_a_password_is_kept_as_a_salted_scrypt_hash():
    one, two = Password("correct horse"), Password("correct horse")
    assert one.matches("correct horse")
    assert not one.matches("correct horse ")
    assert one.hash != two.hash
    assert b"correct" not in one.hash + one.salt


def test_wrong_passwords_make_an_address_wait_longer_and_longer():
    now = 0.0
    throttle = Throttle(clock=lambda: now)
    for _ in range(4):  # five tries are free, as docs/web.md promises; the fifth wrong one makes the address wait
        throttle.failed("a")
        assert throttle.wait("a") == 0
    waits = []
    for _ in range(12):
        throttle.failed("a")
        waits.append(throttle.wait("a"))
    assert waits[0] == 2
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT
    assert throttle.wait("b") == 0
    throttle.succeeded("a")
    assert throttle.wait("a") == 0


def test_the_throttle_does_not_grow_without_end():
    now = 0.0
    throttle = Throttle(clock=lambda: now)
    for place in range(10_001):
        throttle.failed(str(place))
    now = LONGEST_WAIT + 1
    throttle.failed("late")
    assert len(throttle._tries) < 10


def test_one_network_and_one_password_wait_whatever_addresses_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    app = Starlette()
    signin.add_routes(app, Sessions(tmp_path / "key"), OneTimeLink(), Password("right one"), tmp_path)
    monkeypatch.setattr(Password, "matches", lambda self, given: False)

    def tried(address: str) -> int:
        return TestClient(app, client=(address, 1)).post("/sign-in", data={"password": "no"}).status_code

    assert [tried(f"2001:db8:0:7::{number:x}") for number in range(6)] == [403] * 5 + [429]
    assert tried("::ffff:192.0.2.1") == 403
    rest = [tried(f"2001:db8:0:{number:x}::1") for number in range(10, signin.ANYONES + 6)]
    assert rest[-1] == 429
    assert rest.count(403) == signin.ANYONES - 6
