"""Why a request is not served, for people and programs alike; the web studio and the API show it each in their own form."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException


class Refused(HTTPException):
    """A request that is refused or cannot be finished. Shown to the client as it is."""

    def __init__(self, status: int, message: str, *, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        """code: a short name of the reason, for programs; headers: further headers of the answer."""
        super().__init__(status, message, dict(headers or {}))
        self.status, self.message, self.code = status, message, code
