"""Errors as OpenAI's clients expect them: a status and `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

from studio.core.errors import StudioError
from studio.http.refusal import Refused

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class ApiError(Refused):
    """A request that is refused or cannot be finished; shown to the client as it is."""

    def __init__(self, status: int, message: str, *, code: str = "", param: str = "", retry_after: int = 0) -> None:
        """retry_after: seconds after which it may succeed."""
        super().__init__(status, message, code=code, headers={"retry-after": str(retry_after)} if retry_after else None)
        self.param = param


class JsonResponse(Response):
    """A JSON document."""

    media_type = "application/json"

    def __init__(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        super().__init__(orjson.dumps(value), status, {"cache-control": "no-store", **(headers or {})})


def as_dict(error: Refused) -> dict[str, Any]:
    """The body of an error."""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    param = error.param if isinstance(error, ApiError) else ""
    return {"error": {"message": error.message, "type": kind, "param": param or None, "code": error.code or None}}


def response(error: Refused) -> Response:
    """An error as an answer."""
    return JsonResponse(as_dict(error), error.status, dict(error.headers or {}))


def bad(message: str, param: str = "", code: str = "") -> ApiError:
    """A request that is wrong: 400."""
    return ApiError(400, message, param=param, code=code)


def translated(error: StudioError, param: str = "messages") -> ApiError:
    """What the studio refuses about a request's messages (a template without tools, say), as a 400."""
    return bad(f"{error.message}. {error.hint}", param)


def context_exceeded(context: int, complaint: str, param: str) -> ApiError:
    """A prompt that is too long, in the very words by which OpenAI's clients recognise one; complaint: "5000 tokens", say."""
    return bad(
        f"This model's maximum context length is {context} tokens. However, your {param} resulted in {complaint}. "
        f"Please reduce the length of the {param}.",
        param,
        "context_length_exceeded",
    )
