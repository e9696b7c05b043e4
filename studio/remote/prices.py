"""What a model costs: the user's own price first, nothing on this machine, else the published price; never a guess."""

from __future__ import annotations

from studio.core.errors import SpecError
from studio.remote.endpoint import Endpoint, Price

_TOKENS = 100_000
"""Tokens a price is looked up for: fewer than where long prompts begin to cost more."""


class PriceUnknown(SpecError):
    """Nobody says what a model costs, so that no cost could be kept under a ceiling."""


def price_of(endpoint: Endpoint) -> Price:
    """The price of an endpoint's model. Raises PriceUnknown if it is neither given nor published."""
    if endpoint.price is not None:
        return endpoint.price
    if endpoint.local:
        return Price(input=0, output=0)
    published = published_price(endpoint)
    if published is None:
        raise PriceUnknown(
            f"the price of {endpoint.model} at {endpoint.host} is not known",
            hint="Set it in US dollars per million tokens, for example `price: {input: 0.15, output: 0.60}` (0 and 0 if it is "
            "free).",
            where="price",
        )
    return published


def require_limit(model: str, price: Price, limit: object | None, *, where: str, hint: str, what: str = "ceiling") -> None:
    """Raise SpecError for a model that costs something where no limit in US dollars is set. what: the limit's name."""
    if limit is None and not price.free:
        raise SpecError(f"{model} costs money ({price}), and there is no {what}", hint=hint, where=where)


def published_price(endpoint: Endpoint) -> Price | None:
    """The price in the table that comes with genai-prices (nothing is fetched); None if the model is not in it."""
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=_TOKENS, output_tokens=_TOKENS)
    try:
        found = calc_price(usage, endpoint.model, provider_api_url=endpoint.url)
    except (LookupError, ValueError):
        return None
    if not found.input_price or not found.output_price:  # listed without a price
        return None
    scale = 1e6 / _TOKENS
    return Price(input=round(float(found.input_price) * scale, 6), output=round(float(found.output_price) * scale, 6))
