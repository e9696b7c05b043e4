"""The shell around every HTTP application, over a real socket."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from studio.http import server as http_server
from studio.http.hosts import LOOPBACK, require_known_host
from studio.http.server import Server, listen
from studio.http.shell import Rules, Shell

ENDED: list[tuple[str, int]] = []


def admit(request: HTTPConnection) -> None:
    require_known_host(request.headers.get("host", ""), LOOPBACK)


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


async def broken(request: Request) -> PlainTextResponse:
    raise RuntimeError("secret details")


RULES = Rules(
    admit=admit,
    body_limit=lambda path: 1000,
    refusal=lambda refusal: PlainTextResponse(refusal.message, refusal.status),
    headers={"x-content-type-options": "nosniff"},
    body_seconds=0.5,
    ended=lambda request, status, seconds: ENDED.append((request.scope["path"], status)),
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A server whose application tells how long a body was."""
    app = Starlette(routes=[Route("/echo", echo, methods=["POST"]), Route("/broken", broken)])
    listener, end = listen("127.0.0.1", 0), threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_server, "HEADER_SECONDS", 0.5)
        running = threading.Thread(target=Server(Shell(app, replace(RULES)), 1).run_on, args=(listener, end), daemon=True)
        running.start()
        yield listener.getsockname()[1]
        end.set()
        running.join(10)


def raw(port: int, *parts: bytes, wait: float = 5) -> bytes:
    """Everything the server says to some bytes, until it closes the connection or for `wait` seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as connection:
        for part in parts:
            connection.sendall(part)
        said = b""
        try:
            while piece := connection.recv(65536):
                said += piece
        except TimeoutError:
            said += b"<still open>"
        return said


def parts(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 100


def test_a_body_is_bounded_whether_or_not_its_length_is_said(port: int) -> None:
    url = f"http://127.0.0.1:{port}/echo"
    assert httpx.post(url, content=b"x" * 1000).text == "1000 bytes"
    assert httpx.post(url, content=b"x" * 1001).status_code == 413
    assert httpx.post(url, content=parts(10)).text == "1000 bytes"  # chunked: no length is said
    answer = httpx.post(url, content=parts(11))
    assert answer.status_code == 413
    assert "at most 1000 B" in answer.text


def test_a_body_that_does_not_come_is_given_up(port: int) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nConnection: close\r\n\r\nabc"
    assert b" 408 " in raw(port, head).split(b"\r\n")[0]


@pytest.mark.slow
def test_headers_that_do_not_come_end_the_connection(port: int) -> None:
    begun = time.monotonic()
    assert raw(port, b"POST /echo HTTP/1.1\r\nHost: loc") == b""
    assert raw(port) == b""
    assert time.monotonic() - begun < 4
    whole = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc"
    said = raw(port, whole, b"POST /echo HTTP/1.1\r\nHo")  # and so on a connection that is kept open
    assert b"3 bytes" in said
    assert b"<still open>" not in said


def test_a_connection_that_rests_between_requests_stays(port: int) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        client.post("/echo", content=b"a")
        time.sleep(1)
        assert client.post("/echo", content=b"ab").text == "2 bytes"


@pytest.mark.parametrize("host", [b"[::1", b"127.0.0.1:99999", b"127.0.0.1:x"])
def test_a_malformed_host_is_a_bad_request_and_an_unknown_one_is_misdirected(port: int, host: bytes) -> None:
    ask = b"GET /echo HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
    assert b" 400 " in raw(port, ask % host).split(b"\r\n")[0]
    assert b" 421 " in raw(port, ask % b"evil.example").split(b"\r\n")[0]


def test_an_internal_error_shows_no_details_and_is_noted(port: int) -> None:
    answer = httpx.get(f"http://127.0.0.1:{port}/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    until = time.monotonic() + 5
    while ("/broken", 500) not in ENDED and time.monotonic() < until:  # it is noted once the answer is sent
        time.sleep(0.01)
    assert ("/broken", 500) in ENDED


def test_every_answer_carries_its_request_id(port: int) -> None:
    def ask(**headers: str) -> Any:
        return httpx.get(f"http://127.0.0.1:{port}/none", headers=headers).headers

    assert ask()["x-request-id"].startswith("req_")
    assert ask(**{"x-request-id": "proxy-7"})["x-request-id"] == "proxy-7"
    assert ask(**{"x-request-id": "a b"})["x-request-id"].startswith("req_")
    assert ask()["x-content-type-options"] == "nosniff"


def test_a_body_of_broken_chunks_is_refused_and_leaves_no_trace_of_an_error(port: int) -> None:
    said: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = said.append  # type: ignore[method-assign]
    logging.getLogger("uvicorn.error").addHandler(handler)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        time.sleep(0.2)
    finally:
        logging.getLogger("uvicorn.error").removeHandler(handler)
    assert answer.startswith(b"HTTP/1.1 400")
    assert said == []
