"""One streamed answer of any OpenAI-compatible API, timed as its user sees it.

What APIs take differs a little; what one refuses by name is left out or renamed, once, and told as a note.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from studio.benchmark.answer_stream import Answer, Reading
from studio.core import outbound
from studio.core.errors import SpecError
from studio.core.messages import ChatMessage
from studio.core.text import nearest, shorten
from studio.remote.endpoint import LOOPBACK, key_name
from studio.remote.refusals import Refused, message_in
from studio.tracking import secrets

if TYPE_CHECKING:
    import httpx

PATIENCE = 30.0
"""Seconds waited for a rate limit that says so, at most, before an answer counts as refused."""
_LEFT_OUT = ("stream_options", "temperature", "seed")
"""Parameters an API may do without."""


@dataclass(frozen=True)
class Api:
    """An OpenAI-compatible API: base URL up to `/v1`, the model by its name there, and the key, which is never shown."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    key_name: str = ""

    @property
    def host(self) -> str:
        """The host name."""
        return urlsplit(self.url).hostname or self.url

    @property
    def local(self) -> bool:
        """It is on this machine."""
        return self.host in LOOPBACK


def api(url: str, model: str, named: str = "") -> Api:
    """The API at `url`, with its key from the environment or the keyring.

    Raises SpecError if one is missing, or if the key would be sent in clear.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpecError(
            "this is no address of an API", hint="Give its base URL, for example https://openrouter.ai/api/v1.", where=url
        )
    if parts.username or parts.password:
        raise SpecError(
            "the address holds a password", hint="Put the key into a variable and name it: --key-env NAME.", where="--url"
        )
    outbound.require(url, "--url")
    name = named or key_name(url)
    key = secrets.get(name)
    if named and not key:
        raise SpecError(
            f"no key is set in {named}",
            hint=f"Set {named}, or keep it: keyring set studio {named}.",
            where="--key-env",
        )
    found = Api(url.rstrip("/").removesuffix("/chat/completions"), model, key or "", name)
    if found.key and parts.scheme == "http" and not found.local:
        raise SpecError(
            f"the key in {name} would go to {found.host} unencrypted",
            hint=f"Use https://, or a tunnel: ssh -L 9000:localhost:{parts.port or 80} {found.host}, "
            "and --url http://localhost:9000/v1.",
            where="--url",
        )
    return found


class Client:
    """Asks one API, over connections that are kept open."""

    def __init__(self, api: Api, seconds: float = 600.0) -> None:
        """seconds: the longest silence within an answer."""
        import httpx

        self.api, self.notes = api, list[str]()
        self._dialect: dict[str, str | None] = {}
        self._http = httpx.AsyncClient(
            headers={"authorization": f"Bearer {api.key}"} if api.key else {},
            timeout=httpx.Timeout(seconds, connect=15.0),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=not api.local,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: TracebackType | None) -> None:
        await self._http.aclose()

    async def models(self) -> list[dict[str, Any]]:
        """What the API says of its models; empty if it says nothing. Raises Refused if it is not there or wants a key."""
        import httpx

        try:
            answer = await self._http.get(f"{self.api.url}/models", timeout=30)
        except httpx.HTTPError as problem:
            raise self._unreachable(problem) from None
        if answer.status_code in (401, 403):
            raise self._refused(answer.status_code, answer.text)
        try:
            found = answer.json() if answer.status_code == 200 else []
        except ValueError:
            return []
        listed = found.get("data", []) if isinstance(found, dict) else found
        return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []

    async def connect(self, count: int) -> None:
        """Open so many connections before anything is timed."""
        await asyncio.gather(*(self.models() for _ in range(count)))

    async def ask(self, messages: Sequence[ChatMessage], most: int) -> Answer:
        """The greedy answer of at most `most` tokens; waits out a rate limit that names a short time. Raises Refused."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return await self._once(messages, most)
            except _Adapted:
                continue
            except _Later as wait:
                if time.monotonic() + wait.seconds > until:
                    raise wait.problem from None
                await asyncio.sleep(wait.seconds)

    async def _once(self, messages: Sequence[ChatMessage], most: int) -> Answer:
        import httpx

        body: dict[str, Any] = {
            "model": self.api.model, "messages": list(messages), "max_tokens": most, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True},
        }  # fmt: skip
        for name, instead in self._dialect.items():
            value = body.pop(name, None)
            if instead:
                body[instead] = value
        reading = Reading(time.perf_counter())
        try:
            async with self._http.stream("POST", f"{self.api.url}/chat/completions", json=body) as answer:
                if answer.status_code != 200:
                    self._refuse(answer.status_code, (await answer.aread()).decode("utf-8", "replace"), answer.headers)
                async for line in answer.aiter_lines():
                    reading.add(line)
                    if reading.error is not None:
                        break
        except httpx.TimeoutException as problem:
            raise self._unreachable(problem) from None
        except httpx.HTTPError as problem:
            raise self._unreachable(problem) from None
        if reading.error is not None:
            raise self._refused(int(reading.error.get("code") or 0) if _number(reading.error) else 0, json.dumps(reading.error))
        if not reading.ended:
            raise Refused("an answer was cut off", hint="The server may have been restarted; see its log.", where=self.api.host)
        return reading.answer()

    def _refuse(self, status: int, text: str, headers: httpx.Headers) -> None:
        """Raise what a status means: try otherwise, later, or not at all."""
        told = message_in(text)
        if status in (400, 422) and self._adapt(told):
            raise _Adapted
        problem = self._refused(status, text)
        after = headers.get("retry-after", "")
        if status == 429 and after.replace(".", "", 1).isdigit():
            raise _Later(float(after), problem)
        raise problem

    def _adapt(self, complaint: str) -> bool:
        """Leave out what this API will not take. True if there is another way to ask."""
        if "max_completion_tokens" in complaint and "max_tokens" not in self._dialect:
            self._dialect["max_tokens"] = "max_completion_tokens"
            return True
        for name in _LEFT_OUT:
            if name in complaint and name not in self._dialect:
                self._dialect[name] = None
                if name == "temperature":
                    self.notes.append("takes no temperature: its answers are drawn, not the likeliest")
                return True
        return False

    def _refused(self, status: int, text: str) -> Refused:
        told, name = message_in(text), self.api.key_name or "its key"
        if self.api.key:
            told = told.replace(self.api.key, "[hidden]")
        told = shorten(secrets.redact(told), 200)  # cut last: half a key would not be known as one
        hint = {
            401: f"Set {name} to a valid key, or name the variable that has it: --key-env NAME.",
            402: "The account has no credit left: add some where the key is from.",
            403: f"Set {name} to a key that may use this model.",
            404: f"Check the model's name ({self.api.model}) and that the address ends where /chat/completions begins.",
            413: "Give shorter questions: --prompts FILE.",
            429: "Wait and try again, or ask less at once: --concurrency 1 --rows 10.",
        }.get(status, "Try again later; the service has a fault." if status >= 500 else "See what it says.")
        return Refused(f"the API refuses with {status or 'an error'}: {told}", hint=hint, where=self.api.host, status=status)

    def _unreachable(self, problem: Exception) -> Refused:
        what = shorten(str(problem) or type(problem).__name__, 160)
        return Refused(f"the API does not respond: {what}", hint="Check the address and the network.", where=self.api.host)


class _Adapted(Exception):
    """Ask again, in other words."""


class _Later(Exception):
    """Ask again after so many seconds."""

    def __init__(self, seconds: float, problem: Refused) -> None:
        super().__init__()
        self.seconds, self.problem = seconds, problem


def missing(wanted: str, listed: Sequence[dict[str, Any]], host: str) -> Refused | None:
    """The error that a model is not among those an API lists; None if it is, or if the API lists none."""
    names = [str(item.get("id", "")) for item in listed]
    if not names or wanted in names:
        return None
    near = nearest(wanted, names)
    hint = f"Did you mean {near}?" if near else f"It has {', '.join(names[:5])}{' …' if len(names) > 5 else ''}."
    return Refused(f"the API has no model {wanted!r}", hint=hint, where=host, status=404)


def _number(error: dict[str, Any]) -> bool:
    return str(error.get("code") or "").isdigit()
