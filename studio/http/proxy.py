"""Behind a reverse proxy: who really asks, and by which name and scheme.

Only what a proxy says that was named (`--proxy`) is believed: any client could send the same headers.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Proxied:
    """ASGI middleware that takes client, scheme and host from the headers of a trusted proxy.

    Read are X-Forwarded-For (its last entry that is no trusted proxy), X-Forwarded-Proto and X-Forwarded-Host.
    """

    def __init__(self, app: ASGIApp, trusted: Collection[str]) -> None:
        self.app, self.trusted = app, frozenset(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with what the proxy says."""
        if scope["type"] in ("http", "websocket") and (scope.get("client") or ("",))[0] in self.trusted:
            scope = dict(scope)
            prefix = self._believe(scope)
            if prefix and scope["type"] == "http":
                await _no_path(prefix)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _believe(self, scope: dict[str, Any]) -> str:
        """Take over what the proxy says; the path below which it shows the studio, empty at its root."""
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        passed = [item.strip() for item in headers.get(b"x-forwarded-for", "").split(",") if item.strip()]
        client = next((item for item in reversed(passed) if item not in self.trusted), "")
        if client:
            scope["client"] = (client[:64], 0)
        if headers.get(b"x-forwarded-proto") == "https":
            scope["scheme"] = "https" if scope["type"] == "http" else "wss"
        if host := headers.get(b"x-forwarded-host", "").split(",")[-1].strip():
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"].append((b"host", host.encode("latin-1")))
        return headers.get(b"x-forwarded-prefix", "").split(",")[-1].strip().strip("/")


def _no_path(prefix: str) -> PlainTextResponse:
    """The refusal of a studio below a path: its pages, sessions and files all begin at the root."""
    said = f"the proxy shows the studio below the path /{prefix[:100]}, which is not supported"
    return PlainTextResponse(f"{said}\n→ Give it a host name of its own, such as studio.example.org, at the path /.\n", 400)
