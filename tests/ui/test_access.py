"""What reaches the web studio's routes, tried with plain requests and no application behind the shell."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from studio.app import quota
from studio.http.shell import Shell
from studio.ui import access
from studio.ui.session import COOKIE, Sessions


class Gate:
    """The shell with an application that says yes to everything that reaches it."""

    def __init__(
        self, home: Path, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "::1"), any_address: bool = False
    ) -> None:
        self.sessions = Sessions(home / "key")
        self.reached: list[str] = []
        self.shell = Shell(self._app, access.rules(self.sessions, frozenset(hosts), any_address, home))

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached.append(scope["path"])
        while scope["type"] == "http":
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"yes"})

    def ask(
        self, path: str = "/", method: str = "GET", cookie: bool = True, body: bytes = b"", kind: str = "http", **headers: str
    ):
        given = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if cookie:
            given["cookie"] = f"{COOKIE}={self.sessions.new()}"
        sent: list[dict[str, Any]] = []
        scope = {
            "type": kind,
            "path": path,
            "method": method,
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in given.items()],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        with ThreadPoolExecutor(1) as aside:  # a browser that is open has an event loop in this thread
            aside.submit(asyncio.run, self.shell(scope, receive, send)).result()  # pyright: ignore[reportArgumentType]
        return sent[0].get("status", sent[0].get("code")), {k.decode(): v.decode() for k, v in sent[0].get("headers", [])}


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "localhost:7860", "[::1]:7860"])
def test_this_machines_own_names_are_served(gate: Gate, host: str):
    assert gate.ask(host=host)[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.com", "127.0.0.1.evil.com", "localhost.evil.com:7860", "", "127.0.0.1@evil.com", "10.0.0.1", "a b"]
)
def test_any_other_host_name_is_refused_even_with_a_session(gate: Gate, host: str):
    assert gate.ask(host=host)[0] == 421
    assert not gate.reached


def test_an_open_server_takes_addresses_and_its_own_names_but_no_strange_names(tmp_path: Path):
    gate = Gate(tmp_path, ("studio.lan",), any_address=True)
    assert gate.ask(host="192.168.1.7:7860")[0] == 200
    assert gate.ask(host="studio.lan")[0] == 200
    assert gate.ask(host="rebound.evil.com")[0] == 421


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/config",
        "/gradio_api/queue/join",
        "/gradio_api/upload",
        "/download/a/evidence",
        "/signed-in",
        "/look",
        "/sign-in/x",
        "/sign-in2",
    ],
)
def test_without_a_session_nothing_is_reached(gate: Gate, path: str):
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
        assert gate.ask(path, method, cookie=False)[0] == 401
    assert not gate.reached


def test_a_browser_without_a_session_is_led_to_the_sign_in_page(gate: Gate):
    status, headers = gate.ask("/runs", cookie=False, accept="text/html,*/*")
    assert (status, headers["location"]) == (303, "/sign-in")


def test_the_sign_in_page_and_its_styles_are_open(gate: Gate):
    assert gate.ask("/sign-in", cookie=False)[0] == 200
    assert gate.ask("/look/sign-in.css", cookie=False)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.com"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_a_request_from_another_site_is_refused(gate: Gate, headers: dict[str, str]):
    assert gate.ask("/gradio_api/upload", "POST", content_length="0", **headers)[0] == 403  # pyright: ignore[reportArgumentType]
    assert gate.ask("/sign-in", "POST", cookie=False, **headers)[0] == 403  # pyright: ignore[reportArgumentType]


def test_a_request_from_our_own_page_passes(gate: Gate):
    assert gate.ask("/x", "POST", origin="http://127.0.0.1:7860", sec_fetch_site="same-origin")[0] == 200


def test_every_answer_carries_the_headers_that_keep_others_out(gate: Gate):
    for answer in (gate.ask()[1], gate.ask(cookie=False)[1], gate.ask(host="evil.com")[1]):
        assert "frame-ancestors 'none'" in answer["content-security-policy"]
        assert answer["x-content-type-options"] == "nosniff"
        assert answer["referrer-policy"] == "same-origin"


def test_an_upload_says_its_length_and_stays_below_the_limits(gate: Gate, monkeypatch: pytest.MonkeyPatch):
    post = {"path": access.UPLOADS, "method": "POST"}
    assert gate.ask(**post)[0] == 411  # pyright: ignore[reportArgumentType]
    assert gate.ask(**post, content_length="-5")[0] == 411  # pyright: ignore[reportArgumentType]
    assert gate.ask(**post, content_length=str(access.LARGEST_UPLOAD + 1))[0] == 413  # pyright: ignore[reportArgumentType]
    assert gate.ask(**post, content_length="10")[0] == 200  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(quota, "KEEP_FREE", 1 << 60)
    assert gate.ask(**post, content_length="10")[0] == 413  # pyright: ignore[reportArgumentType]
    assert gate.ask("/x", "POST", content_length=str(access.LARGEST_REQUEST + 1))[0] == 413


def test_a_body_that_grows_past_its_limit_is_refused_though_it_never_said_its_length(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(access, "LARGEST_REQUEST", 10)
    assert gate.ask("/x", "POST", body=b"x" * 10)[0] == 200
    assert gate.ask("/x", "POST", body=b"x" * 11)[0] == 413


@pytest.mark.parametrize("headers", [{"host": "[::1"}, {"host": "127.0.0.1:99999"}, {"origin": "http://["}])
def test_a_malformed_host_or_origin_is_a_bad_request(gate: Gate, headers: dict[str, str]):
    for cookie in (True, False):
        assert gate.ask("/x", "POST", cookie=cookie, **headers)[0] == 400  # pyright: ignore[reportArgumentType]
    assert not gate.reached


def test_a_web_socket_needs_a_session_and_our_own_origin(gate: Gate):
    assert gate.ask("/ws", kind="websocket", cookie=False)[0] == 1008
    assert gate.ask("/ws", kind="websocket", origin="http://evil.com")[0] == 1008


def test_the_log_notes_requests_without_queries_bodies_or_names_of_files(tmp_path: Path) -> None:
    from studio.core import journal

    gate = Gate(tmp_path)
    gate.ask("/download/bot-1/export/merged/secret.txt", "GET")
    gate.ask("/gradio_api/file=/home/ann/salaries.csv", "GET")
    gate.ask("/runs", cookie=False)
    gate.ask("/look/studio.css")
    lines = journal.of_home(tmp_path, "web").read()
    assert [(line["path"], line["status"], line["who"]) for line in lines] == [
        ("/download/bot-1/export", 200, "owner"), ("/gradio_api/file", 200, "owner"), ("/runs", 401, ""),
    ]  # fmt: skip
    assert all(line["event"] == "request" and line["id"] for line in lines)
