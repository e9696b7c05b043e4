"""Errors as OpenAI's clients expect them: a status and `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from typing import Any

from studio.core.errors import StudioError


class ApiError(Exception):
    """A request that is refused or cannot be finished; shown to the client as it is."""

    def __init__(self, status: int, message: str, *, code: str = "", param: str = "", retry_after: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_after = status, message, code, param, retry_after

    @property
    def kind(self) -> str:
        """The `type` OpenAI gives errors of this status."""
        kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
        return kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")

    def as_dict(self) -> dict[str, Any]:
        """The body."""
        values = {"message": self.message, "type": self.kind, "param": self.param or None, "code": self.code or None}
        return {"error": values}

    @property
    def headers(self) -> dict[str, str]:
        """Further headers: when to come again."""
        return {"retry-after": str(self.retry_after)} if self.retry_after else {}


def bad(message: str, param: str = "", code: str = "") -> ApiError:
    """A request that is wrong: 400."""
    return ApiError(400, message, param=param, code=code)


def translated(error: StudioError, param: str = "messages") -> ApiError:
    """What the studio refuses about a request's messages (a template without tools, say), as a 400."""
    return bad(f"{error.message}. {error.hint}", param)
