"""What an API's refusal means: an error with what to do, whether to ask again, and whether to go on at all."""

from __future__ import annotations

import email.utils
import json
import time
from typing import Any
from urllib.parse import urlsplit

from studio.core.errors import StudioError
from studio.core.text import shorten
from studio.remote.endpoint import Access, Endpoint
from studio.tracking import secrets

RETRIED = frozenset({0, 408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""HTTP statuses that are asked again; 0 is no answer at all."""
_FATAL = frozenset({0, 401, 402, 403, 404})
"""HTTP statuses that every other request would meet as well."""


class Refused(StudioError):
    """An API did not answer. status: its HTTP status, 0 if there was none."""

    def __init__(self, message: str, *, hint: str, where: str = "", status: int = 0, fatal: bool = False) -> None:
        super().__init__(message, hint=hint, where=where)
        self.status, self.fatal = status, fatal

    def __reduce__(self) -> Any:
        return StudioError, (self.message,), {"message": self.message, "hint": self.hint, "where": self.where}


def refused(endpoint: Endpoint, access: Access, status: int, text: str) -> Refused:
    """The error for a status and the text that came with it, without what looks like a secret."""
    message, name = message_in(text), access.name or "its key"
    spent = status == 429 and any(word in message for word in ("insufficient_quota", "billing", "credit"))
    if access.key:
        message = message.replace(access.key, "[hidden]")
    message = shorten(secrets.redact(message), 200)  # cut last: half a key would not be known as one
    hint = {
        401: f"Save a valid key for {urlsplit(endpoint.url).netloc} on the Settings page, or set {name}.",
        402: "The account has no credit left: add credit at the provider of the key.",
        403: f"Save a key that may use this model on the Settings page, or set {name}.",
        404: f"Check the model's name ({endpoint.model}) and that the address ends where /chat/completions begins.",
        413: "Send shorter texts.",
        429: "Wait and try again, or send fewer requests at once.",
    }.get(
        402 if spent else status,
        "Try again later; the service has an internal error." if status >= 500 else "See the message of the API.",
    )
    return Refused(
        f"the API refused with {status or 'an error'}: {message}",
        hint=hint,
        where=endpoint.host,
        status=402 if spent else status,
        fatal=spent or status in _FATAL or status in RETRIED,
    )


def unreachable(endpoint: Endpoint, error: Exception) -> Refused:
    """The error for no answer at all."""
    what = shorten(str(error) or type(error).__name__, 160)
    nobody = endpoint.local and "refused" in what.lower()
    return Refused(
        f"the API does not respond: {what}",
        hint="Start the model's server: nothing listens at this address." if nobody else "Check the address and the network.",
        where=urlsplit(endpoint.url).netloc,
        fatal=True,
    )


def unanswered(endpoint: Endpoint, seconds: float) -> Refused:
    """The error for a request that was taken and not answered in time. It may have been billed."""
    return Refused(
        f"the API took the request and sent no answer within {seconds:g} seconds",
        hint="Try again later, or take a faster model. It may have been billed, and counts as spent.",
        where=endpoint.host,
        fatal=True,
    )


def unreadable(endpoint: Endpoint, text: str) -> Refused:
    """The error for an answer that is none, or was cut off on its way: it is asked for again, a few times only."""
    began = shorten(" ".join(secrets.redact(text).split()), 60)
    return Refused(
        f"the API's answer cannot be read: it begins with `{began}`" if began else "the API's answer is empty",
        hint="Check that the address ends where /chat/completions begins, and what stands between here and the API.",
        where=endpoint.host,
        status=200,
    )


def has_error(text: str) -> bool:
    """Whether a body says what went wrong."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and bool(value.get("error"))


def message_in(text: str) -> str:
    """What an error's body says."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip()
    found = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(found, dict):
        return str(found)
    code = found.get("code")
    return f"{found.get('message') or found}{f' ({code})' if isinstance(code, str) and code else ''}"


def retry_after(header: str) -> float | None:
    """The seconds that a Retry-After header asks to wait, given as seconds or as a date; None if it says nothing."""
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
