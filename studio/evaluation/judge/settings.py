"""The `evaluation.judge` section: a language model that compares base's and tuned's answers after a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from studio.core.errors import SpecError
from studio.core.fields import Ui
from studio.core.section import Section
from studio.remote.endpoint import Endpoint, Price, checked_key

OFF = "off"
Mode = Literal["pairwise", "pointwise"]


class Judge(Section, frozen=True):
    """A language model that compares the held-out answers of base and tuned. Written as one word, it is the model."""

    model: Annotated[str, Ui(advanced=True, placeholder="https://openrouter.ai/api/v1#MODEL")] = Field(
        default=OFF, min_length=1, title="Judge"
    )
    """off, a run, an export such as `last:merged`, a model folder, a hub id, or a model behind an API as `URL#MODEL`."""
    rubric: Annotated[str, Ui(advanced=True)] = Field(default="builtin", min_length=1, title="Judge's rubric")
    """A text file that says what makes an answer good, or `builtin`."""
    mode: Annotated[Mode, Ui(advanced=True)] = Field(default="pairwise", title="How it judges")
    """pairwise: which answer is better, asked in both orders; pointwise: a grade from 1 to 5 for each answer."""
    most: Annotated[int, Ui(advanced=True)] = Field(default=100, ge=1, le=10_000, title="Questions judged")
    """At most so many of those that base and tuned answered differently."""
    ceiling: Annotated[float | None, Ui(advanced=True)] = Field(default=None, gt=0, title="Judge's cost ceiling (USD)")
    """US dollars that the judge of an API may cost at most, resumed or not. Required where it costs anything."""
    key: Annotated[str | None, Ui(advanced=True)] = Field(default=None, title="Name of the judge's key")
    """Environment variable or keyring entry with the API key, never the key itself. Empty: found by host."""
    price_in: Annotated[float | None, Ui(advanced=True)] = Field(default=None, ge=0, title="Judge's input price")
    """US dollars per million input tokens. Empty: the published price."""
    price_out: Annotated[float | None, Ui(advanced=True)] = Field(default=None, ge=0, title="Judge's output price")
    """US dollars per million output tokens. Empty: the published price."""

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: object) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @field_validator("key", mode="before")
    @classmethod
    def _key_is_a_name(cls, value: object) -> object:
        return checked_key(value)

    @property
    def on(self) -> bool:
        """A judge is asked."""
        return self.model != OFF

    @property
    def endpoint(self) -> Endpoint | None:
        """The API; None for a model of this machine. Raises SpecError."""
        if not self.model.startswith(("http://", "https://")):
            return None
        if (self.price_in is None) != (self.price_out is None):
            raise SpecError(
                "the input and output price must be set together",
                hint="Set price_in and price_out, per million tokens.",
                where="price_in, price_out",
            )
        price = (self.price_in, self.price_out) if self.price_in is not None and self.price_out is not None else None
        return endpoint(self.model, self.key, price)

    @property
    def rubric_file(self) -> str:
        """The rubric's file; empty for the shipped one."""
        return "" if self.rubric == "builtin" else self.rubric


def endpoint(address: str, key: str | None = None, price: tuple[float, float] | None = None) -> Endpoint:
    """A model behind an API, `URL#MODEL`. price: US dollars per million tokens read and written. Raises SpecError."""
    url, mark, model = address.partition("#")
    if not (mark and model and url.startswith(("http://", "https://"))):
        raise SpecError(
            "expected a model behind an API", hint="Write URL#MODEL, for example http://127.0.0.1:8000/v1#bot.", where=address
        )
    return Endpoint(url=url, model=model, key=key, price=Price(input=price[0], output=price[1]) if price else None)
