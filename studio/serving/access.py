"""Who may use the API: by key where there are keys, else programs on this machine; and what is noted of each request."""

from __future__ import annotations

import logging
from collections.abc import Collection

from starlette.requests import HTTPConnection

from studio.core.errors import SpecError
from studio.http.hosts import LOOPBACK, require_known_host
from studio.http.shell import Rules
from studio.serving import errors
from studio.serving.errors import ApiError
from studio.serving.keys import Keys
from studio.serving.limits import Limits
from studio.serving.metrics import Metrics

log = logging.getLogger("studio.serve")
PUBLIC = ("/health", "/ready")
"""Served without a key: what a load balancer asks."""
UNCOUNTED = (*PUBLIC, "/metrics")
"""Not logged and not counted: what is asked every few seconds by programs that watch."""


def rules(keys: Keys | None, hosts: Collection[str], limits: Limits, metrics: Metrics) -> Rules:
    """The API's rules. hosts: the names this server is reached by, checked where there are no keys."""

    def admit(request: HTTPConnection) -> None:
        request.state.model = ""
        path = request.scope["path"]
        if keys is None:
            require_known_host(request.headers.get("host", ""), hosts)
            request.state.client = request.client.host if request.client else ""
        elif path not in PUBLIC:
            name = keys.name_of(request.headers.get("authorization", ""))
            if name is None:
                raise ApiError(401, "a valid API key is needed: `Authorization: Bearer sk-studio-...`", code="invalid_api_key")
            request.state.client = name
        if request.scope["method"] == "POST":
            kind = request.headers.get("content-type", "").lower()
            if not kind.startswith("application/json"):
                raise ApiError(415, "send JSON, with `Content-Type: application/json`", code="not_json")

    def ended(request: HTTPConnection, status: int, seconds: float) -> None:
        path, model = request.scope["path"], request.state.model
        if path in UNCOUNTED:
            return
        metrics.requests.labels(path if status != 404 or model else "other", model, str(status)).inc()
        log.info("%s %s %s %s %.0f ms", request.state.request_id, path, model or "-", status, seconds * 1000)

    return Rules(
        admit=admit,
        body_limit=lambda path: limits.body,
        refusal=errors.response,
        headers={"x-content-type-options": "nosniff"},
        body_seconds=limits.body_seconds,
        ended=ended,
    )


def require_keys(host: str, keys: Keys | None) -> None:
    """Raise SpecError if other machines could ask without a key."""
    if host not in LOOPBACK and keys is None:
        raise SpecError(
            f"other machines can reach {host}, and there are no API keys",
            hint="Make one with `studio serve --new-key NAME` and add --api-key-file FILE, or leave --host out.",
            where="--host",
        )
