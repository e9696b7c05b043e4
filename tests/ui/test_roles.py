"""Accounts and roles: what each may do is decided by the server, at every endpoint, and noted."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path
from typing import Any

import pytest

from studio.app import audit, library, queue, roles, runs, users
from studio.core import people
from studio.core.errors import SpecError
from studio.core.people import NotAllowed, Person, Role
from studio.spec import RunSpec
from studio.ui import server, site
from studio.ui.session import COOKIE, SHARED, Sessions

PASSWORD = "a long password"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The application with an account of each role, and a client for each."""
    from starlette.testclient import TestClient

    home = tmp_path_factory.mktemp("accounts")
    for role in Role:
        users.add(home, role.value, role, PASSWORD)
    application = server.build(home)

    def client(account: str = "", cookie: str = "") -> Any:
        browser = TestClient(application.app, base_url="http://127.0.0.1:7860", follow_redirects=False)
        user = users.find(home, account) if account else None
        if user:
            cookie = Sessions(home / "ui" / "session.key").new(user.name, user.stamp)
        if cookie:
            browser.cookies.set(COOKIE, cookie)
        return browser

    client.home, client.app = home, application  # type: ignore[attr-defined]
    return client


def said_by(browser: Any, events: dict[int, list[Any]]) -> dict[int, str]:
    """Run events (by number, with its values) as Gradio's client does; what each says in the end."""
    numbers = {}
    with browser:  # one event loop, in which Gradio's queue runs
        for number, values in events.items():
            body = {"fn_index": number, "data": values, "session_hash": "one", "event_data": None, "trigger_id": None}
            joined = browser.post("/gradio_api/queue/join", json=body)
            assert joined.status_code == 200, joined.text
            numbers[joined.json()["event_id"]] = number
        lines = browser.get("/gradio_api/queue/data?session_hash=one").text.splitlines()
    messages = [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    return {numbers[item["event_id"]]: json.dumps(item) for item in messages if item["msg"] == "process_completed"}


@functools.cache
def events_of(home: Path) -> dict[int, tuple[str, list[Any]]]:
    """Every event with code behind it: what it asks for, and empty values as it takes them."""
    found = {}
    for number, block in site.build(home).fns.items():
        if block.fn is not None:
            empty = [
                [] if item.get_block_name() == "checkboxgroup" else getattr(item, "minimum", None) for item in block.inputs
            ]
            found[number] = (getattr(block.fn, "studio_action", ""), empty)
    return found


def test_every_event_asks_who_runs_it(studio: Any) -> None:
    asked = events_of(studio.home)
    assert len(asked) > 100
    assert [number for number, (action, _) in asked.items() if not action] == []
    used = {action for action, _ in asked.values()} - {"show"}
    assert used <= set(roles.Action.__args__)
    assert set(roles.Action.__args__) - used == {"data.upload", "export.download", "sessions.end"}  # routes of their own


def test_a_viewer_is_refused_by_every_event_that_does_something(studio: Any) -> None:
    viewer = studio("viewer")
    before = sorted(str(file) for file in studio.home.rglob("*") if "logs" not in file.parts and "ui" not in file.parts)
    acting = {number: item for number, item in events_of(studio.home).items() if item[0] != "show"}
    said = said_by(viewer, {number: values for number, (_, values) in acting.items()})
    assert said.keys() == acting.keys()
    for number, words in said.items():
        assert "does not allow this" in words, (acting[number], words[:300])
    after = sorted(str(file) for file in studio.home.rglob("*") if "logs" not in file.parts and "ui" not in file.parts)
    assert before == after
    refused = [entry for entry in audit.read(studio.home, 1000) if entry.who == "viewer"]
    assert len(refused) == len(acting)
    assert {entry.outcome for entry in refused} == {"refused"}


def test_a_member_is_refused_what_owners_do(studio: Any) -> None:
    member = studio("member")
    owners = {number: values for number, (action, values) in events_of(studio.home).items() if action in roles.OWNERS}
    said = said_by(member, owners)
    assert said.keys() == owners.keys()
    assert all("it needs owner" in words for words in said.values())


def test_gradios_other_ways_to_an_event_ask_as_well(studio: Any) -> None:
    number = next(number for number, (action, _) in events_of(studio.home).items() if action == "keys.save")
    body = {"fn_index": number, "data": ["x" * 40], "session_hash": "direct"}
    for path in ("/gradio_api/run/predict", "/gradio_api/api/predict", "/gradio_api/call/predict"):
        answer = studio("viewer").post(path, json=body)
        assert answer.status_code >= 400, path
    assert not (studio.home / "secrets").exists()


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/sign-out-everywhere", "/whatever"])
def test_routes_that_change_something_refuse_a_viewer(studio: Any, path: str) -> None:
    answer = studio("viewer").post(path, files={"files": ("a.csv", b"q,a")} if "upload" in path else None)
    assert answer.status_code == 403
    assert "does not allow" in answer.text


def test_a_viewer_sees_every_page(studio: Any) -> None:
    browser = studio("viewer")
    for path in ("/", *(path for _, path, _ in site.PAGES)):
        assert browser.get(path).status_code == 200


def test_sign_in_asks_for_the_name_and_its_own_password(studio: Any) -> None:
    assert 'name="name"' in studio().get("/sign-in").text
    assert studio().post("/sign-in", data={"name": "member", "password": PASSWORD}).status_code == 200
    assert studio().post("/sign-in", data={"name": "member", "password": "wrong password"}).status_code == 403
    assert studio().post("/sign-in", data={"name": "nobody", "password": PASSWORD}).status_code == 403
    assert studio().post("/sign-in", data={"password": PASSWORD}).status_code == 403
    last = audit.read(studio.home, 4)
    assert [entry.outcome for entry in last] == ["refused", "refused", "refused", "done"]
    assert PASSWORD not in str(last)


def test_a_session_of_the_shared_password_ends_with_the_first_account(studio: Any) -> None:
    sessions = Sessions(studio.home / "ui" / "session.key")
    assert studio(cookie=sessions.new(SHARED)).get("/config").status_code == 401
    assert studio(cookie=sessions.new()).get("/config").status_code == 200  # the owner's, by the link of the terminal


def test_a_removed_account_or_a_new_password_ends_sessions_and_a_new_role_counts_at_once(studio: Any) -> None:
    users.add(studio.home, "eve", Role.owner, PASSWORD)
    browser = studio("eve")
    assert browser.post("/sign-out-everywhere-not", headers={}).status_code == 404  # an owner is let through to the routes
    users.set_role(studio.home, "eve", Role.viewer)
    assert browser.post("/sign-out-everywhere-not").status_code == 403
    users.set_password(studio.home, "eve", "another password")
    assert browser.get("/config").status_code == 401
    again = studio("eve")
    assert again.get("/config").status_code == 200
    users.remove(studio.home, "eve")
    assert again.get("/config").status_code == 401


@pytest.mark.slow  # makes the whole web application
def test_damaged_accounts_let_nobody_in_by_name_and_say_so(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    users.add(tmp_path, "ann", Role.owner, PASSWORD)
    user = users.find(tmp_path, "ann")
    assert user is not None
    application = server.build(tmp_path)
    browser = TestClient(application.app, base_url="http://127.0.0.1:7860", follow_redirects=False)
    cookies = [Sessions(tmp_path / "ui" / "session.key").new(*whose) for whose in ((user.name, user.stamp), (SHARED, ""))]
    (tmp_path / "ui" / "users.json").write_text("{")
    for cookie in cookies:
        browser.cookies.set(COOKIE, cookie)
        assert browser.get("/config").status_code == 503
    browser.cookies.clear()
    answer = browser.post("/sign-in", data={"name": "ann", "password": PASSWORD})
    assert answer.status_code == 503
    assert "damaged" in answer.text


def test_an_account_keeps_its_name_role_and_password_rules(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be the name"):
        users.add(tmp_path, "Ann Lee", Role.owner, PASSWORD)
    with pytest.raises(SpecError, match="shorter than 8"):
        users.add(tmp_path, "ann", Role.owner, "short")
    users.add(tmp_path, "ann", Role.owner, PASSWORD)
    users.add(tmp_path, "bob", Role.member, PASSWORD)
    with pytest.raises(SpecError, match="no owner") as refused:
        users.remove(tmp_path, "ann")
    assert "another account an owner" in refused.value.hint
    with pytest.raises(SpecError, match="already"):
        users.add(tmp_path, "bob", Role.member, PASSWORD)
    with pytest.raises(SpecError, match="no account 'bobb'") as unknown:
        users.remove(tmp_path, "bobb")
    assert unknown.value.hint == "Did you mean bob?"
    file = tmp_path / "ui" / "users.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in file.read_text()
    assert users.check(tmp_path, "ann", PASSWORD)
    assert not users.check(tmp_path, "ann", PASSWORD + " ")


def test_members_remove_and_stop_what_is_their_own_and_owners_everything(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("question,answer\na,b\n")
    ann, bob = Person("ann", Role.member), Person("bob", Role.member)
    with people.acting(ann):
        run = runs.create(RunSpec.model_validate({"name": "bot", "data": {"train": str(file)}}), tmp_path)
        data = library.add(tmp_path, "Mine", [("rows.csv", file)])
    assert run.summary().who == "ann"
    with people.acting(bob):
        for forbidden in (
            lambda: runs.delete(run), lambda: queue.stop(run, tmp_path), lambda: queue.cancel(run.id, tmp_path),
            lambda: library.delete(tmp_path, data.key),
        ):  # fmt: skip
            with pytest.raises(NotAllowed, match="it is ann's"):
                forbidden()
    with people.acting(ann):
        library.delete(tmp_path, data.key)
        runs.delete(run)
    mine = runs.create(RunSpec.model_validate({"name": "bot", "data": {"train": str(file)}}), tmp_path)
    with people.acting(bob), pytest.raises(NotAllowed):
        runs.delete(mine)
    runs.delete(mine)  # whoever runs a command on the machine is the owner


def test_the_audit_log_rotates_and_holds_names_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit.record(tmp_path, "ann", "keys.save", "hf_abcdefghijklmnopqrstuvwxyz123456")
    audit.record(tmp_path, "ann", "desk.edit", '{"do": "save", "turns": ["a customer wrote"]}')
    audit.record(tmp_path, "ann", "data.delete", "support/0123abcd")
    assert [entry.about for entry in audit.read(tmp_path)] == ["support/0123abcd", "", ""]
    log = audit.log(tmp_path)
    small = type(log)(log.file, most_bytes=500, keep=3)
    for turn in range(40):
        small.write({"turn": turn})
    assert len(list(small.files())) == 4
    assert [line["turn"] for line in small.read(5)] == [35, 36, 37, 38, 39]
    assert all(file.stat().st_mode & 0o077 == 0 for file in small.files())


@pytest.mark.slow  # makes the whole web application
def test_without_accounts_there_is_one_owner(tmp_path: Path) -> None:
    from starlette.testclient import TestClient

    application = server.build(tmp_path)
    browser = TestClient(application.app, base_url="http://127.0.0.1:7860", follow_redirects=False)
    browser.cookies.set(COOKIE, Sessions(tmp_path / "ui" / "session.key").new())
    assert browser.get("/admin").status_code == 200
    assert people.current().role is Role.owner


@pytest.mark.slow  # makes the whole web application
def test_accounts_open_an_address_and_exclude_a_shared_password(tmp_path: Path) -> None:
    users.add(tmp_path, "ann", Role.owner, PASSWORD)
    assert server.build(tmp_path, "0.0.0.0")
    with pytest.raises(SpecError, match="sign in with their own passwords"):
        server.build(tmp_path, "0.0.0.0", password=PASSWORD)


def test_the_throttle_waits_for_an_account_that_many_addresses_guess_at() -> None:
    from studio.ui.session import Throttle
    from studio.ui.signin import ANYONES

    now = time.monotonic()
    throttle = Throttle(clock=lambda: now, free=ANYONES)
    for _ in range(ANYONES - 1):
        throttle.failed("ann")
    assert throttle.wait("ann") == 0
    throttle.failed("ann")
    assert throttle.wait("ann") == 2
