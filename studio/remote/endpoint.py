"""Which model answers and where: the base URL of an OpenAI-compatible API, the model's name there, its key and its price."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from studio.core import outbound
from studio.core.errors import SpecError
from studio.core.fields import Ui
from studio.core.section import Section
from studio.core.validation_errors import Conflict
from studio.tracking import secrets

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
KEYS = {
    "openrouter.ai": "OPENROUTER_API_KEY",
    "api.groq.com": "GROQ_API_KEY",
    "api.together.xyz": "TOGETHER_API_KEY",
    "api.together.ai": "TOGETHER_API_KEY",
    "api.openai.com": "OPENAI_API_KEY",
}
"""The environment variable each host's key is looked for in, where none is named. A key goes to its own host only."""
_SPELLED = str.maketrans({".": "_", "-": "__", ":": "___", "_": "____"})


def key_name(url: str) -> str:
    """The name that the key of an API is kept under where none is named: by its host, and its port if it has one.

    `https://api.mistral.ai/v1` has STUDIO_KEY_API_MISTRAL_AI. No two hosts share a name, so none is sent another's key.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    with suppress(ValueError):  # no number, or none of a port
        host = f"{host}:{parts.port}" if parts.port else host
    return KEYS.get(parts.hostname or "") or f"STUDIO_KEY_{host.translate(_SPELLED).upper()}"


def checked_key(value: object) -> object:
    """The name of a key as it is; refused without repeating it otherwise: what is no name of a variable is most likely the
    key. For validators."""
    if isinstance(value, str) and (not _NAME.fullmatch(value) or secrets.redact(value) != value):
        raise Conflict(
            "", "this is not the name of an environment variable", "Put the key into a variable, and write its name here."
        )
    return value


class Price(Section, frozen=True):
    """What a model costs, in US dollars per million tokens."""

    input: Annotated[float, Field(ge=0)]
    """Per million tokens of the prompt."""
    output: Annotated[float, Field(ge=0)]
    """Per million tokens of the answer, reasoning included."""

    @property
    def free(self) -> bool:
        """It costs nothing."""
        return not self.input and not self.output

    def cost(self, input_tokens: float, output_tokens: float) -> float:
        """US dollars for so many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6

    def __str__(self) -> str:
        return "free" if self.free else f"{self.input:g} USD in, {self.output:g} USD out per million tokens"


class Endpoint(Section, frozen=True):
    """A model behind an OpenAI-compatible API: OpenRouter, Groq, Together, vLLM, Ollama, this studio's own server."""

    url: Annotated[str, Field(min_length=1, title="API address"), Ui(placeholder="https://openrouter.ai/api/v1")]
    """Base URL of the API, up to `/v1`."""
    model: Annotated[str, Field(min_length=1)]
    """The model's name there."""
    key: Annotated[str | None, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", title="Name of the key")] = None
    """The name of the environment variable or keyring entry that holds the API key, never the key itself. Found by host if left
    out: OPENROUTER_API_KEY, GROQ_API_KEY, TOGETHER_API_KEY, OPENAI_API_KEY, and STUDIO_KEY_ with the host for any other."""
    price: Price | None = None
    """US dollars per million tokens, `{input: 0.15, output: 0.60}`. If left out: zero on this machine, else the published
    price where one is known."""

    @field_validator("key", mode="before")
    @classmethod
    def _key_is_a_name(cls, value: object) -> object:
        return checked_key(value)

    @property
    def host(self) -> str:
        """The host name."""
        return urlsplit(self.url).hostname or self.url

    @property
    def local(self) -> bool:
        """It is on this machine."""
        return self.host in LOOPBACK

    @property
    def base(self) -> str:
        """The base URL that paths are appended to."""
        return self.url.rstrip("/").removesuffix("/chat/completions")


@dataclass(frozen=True)
class Access:
    """The key an endpoint is asked with, which is never shown, and the name it is kept under."""

    key: str = field(default="", repr=False)
    name: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers of a request."""
        return {"authorization": f"Bearer {self.key}"} if self.key else {}


def access(endpoint: Endpoint) -> Access:
    """The key of an endpoint, from the environment or the keyring.

    Raises SpecError for an address that is none, a key that is missing, or one that would be sent unencrypted.
    """
    parts = urlsplit(endpoint.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpecError(
            "expected the address of an API",
            hint="Give its base URL, for example https://openrouter.ai/api/v1.",
            where=f"url: {endpoint.url}",
        )
    if parts.username or parts.password:
        raise SpecError(
            "the address contains a password",
            hint="Store the key in an environment variable and give the name of that variable.",
            where="url",
        )
    outbound.require(endpoint.url)
    name = endpoint.key or key_name(endpoint.url)
    key = secrets.get(name) or ""
    if not key and (endpoint.key or parts.hostname in KEYS):  # other hosts may need none
        raise SpecError(
            f"no key is set in {name}",
            hint=f"Save it on the Settings page, set {name}, or store it: keyring set studio {name}.",
            where="key",
        )
    if key and parts.scheme == "http" and not endpoint.local:
        raise SpecError(
            f"the key in {name} would go to {parts.hostname} unencrypted",
            hint=f"Use https://, or a tunnel: ssh -L 9000:localhost:{parts.port or 80} {parts.hostname}, "
            "and the address http://localhost:9000/v1.",
            where="url",
        )
    return Access(key, name)
