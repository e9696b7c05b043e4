"""Behind a reverse proxy: what it says is believed, and what others say is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from studio.core.errors import SpecError
from studio.http.proxy import Proxied
from studio.ui import access


def seen(client: str, **headers: str) -> tuple[str, str, str]:
    """Client, scheme and host as the application sees them."""
    found: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.update(scope)

    listed = [
        (name.replace("_", "-").encode(), value.encode()) for name, value in {"host": "127.0.0.1:7860", **headers}.items()
    ]
    scope = {"type": "http", "path": "/", "client": (client, 4000), "scheme": "http", "headers": listed}
    asyncio.run(Proxied(app, ["127.0.0.1", "10.0.0.2"])(scope, None, None))  # type: ignore[arg-type]
    return found["client"][0], found["scheme"], dict(found["headers"])[b"host"].decode()


FORWARDED = {
    "x_forwarded_for": "6.6.6.6, 192.168.1.9, 10.0.0.2",
    "x_forwarded_proto": "https",
    "x_forwarded_host": "studio.lan",
}


def test_a_named_proxy_says_who_asks_and_by_which_name() -> None:
    assert seen("127.0.0.1", **FORWARDED) == ("192.168.1.9", "https", "studio.lan")


def test_anybody_else_who_sends_such_headers_is_not_believed() -> None:
    assert seen("192.168.1.9", **FORWARDED) == ("192.168.1.9", "http", "127.0.0.1:7860")


def test_a_proxy_without_such_headers_changes_nothing() -> None:
    assert seen("127.0.0.1") == ("127.0.0.1", "http", "127.0.0.1:7860")


def test_a_studio_behind_a_proxy_needs_a_password_though_it_listens_here_only(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="through the proxy"):
        access.require_password("127.0.0.1", None, tmp_path, ["127.0.0.1"])
    access.require_password("127.0.0.1", "a long password", tmp_path, ["127.0.0.1"])


def test_a_path_of_a_proxy_is_refused_in_words_and_only_by_that_proxy() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("the studio")(scope, receive, send)

    below, at_root = {"x-forwarded-prefix": "/studio"}, {"x-forwarded-prefix": "/"}
    client = TestClient(Proxied(app, ["testclient"]))
    refused = client.get("/", headers=below)
    assert refused.status_code == 400
    assert "below the path /studio, which is not supported" in refused.text
    assert "→ Give it a host name of its own" in refused.text
    assert client.get("/", headers=at_root).text == "the studio"
    assert TestClient(Proxied(app, ["10.0.0.2"])).get("/", headers=below).text == "the studio"
