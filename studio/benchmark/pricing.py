"""What a million written tokens cost: on one's own hardware by the hour, at an API by its prices.

Both count the same thing, tokens written together with the prompts they took, so that they can stand in one table. All
amounts are in one currency, the user's own. There is no table of prices here: it would be old next month. An API's prices
are those given, or those it tells itself (OpenRouter and Together do, in US dollars).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.benchmark.result import Level
from studio.core.text import count

HOURS = 3 * 365 * 8
"""Hours a bought machine works in its life: three years of eight hours a day."""
ELECTRICITY = 0.30
"""Per kWh, where nothing is given."""


@dataclass(frozen=True)
class Hardware:
    """What one's own hardware costs. per_hour: rented; price: bought, spread over HOURS; watts: the whole machine's."""

    per_hour: float | None = None
    price: float | None = None
    watts: float | None = None
    electricity: float = ELECTRICITY

    def hourly(self, measured: float | None) -> tuple[float, str] | None:
        """Cost of an hour at work and how it is made up; measured: watts of the cards. None where nothing is known."""
        if self.per_hour is not None:
            return self.per_hour, f"{self.per_hour:g} an hour"
        watts = self.watts if self.watts is not None else measured
        parts = []
        total = 0.0
        if self.price is not None:
            total += self.price / HOURS
            parts.append(f"{self.price:g} over {count(HOURS)} hours at work")
        if watts is not None:
            total += watts / 1000 * self.electricity
            whose = "" if self.watts is not None else " of the cards, measured"
            parts.append(f"{watts:.0f} W{whose} at {self.electricity:g} per kWh")
        told = " and ".join(parts) + ("; electricity is left out, as its watts are not known" if watts is None else "")
        return (total, told) if parts else None


@dataclass(frozen=True)
class Tariff:
    """An API's prices for a million tokens read and written. source: who says so."""

    read: float
    written: float
    source: str


def of_hardware(hardware: Hardware, level: Level) -> tuple[float, str] | None:
    """Cost of a million tokens at a level's throughput, the machine busy all the time, and how it was reckoned."""
    hourly, speed = hardware.hourly(level.watts), level.tokens_per_second.median
    return (hourly[0] / (speed * 3600) * 1e6, hourly[1]) if hourly and speed else None


def of_api(tariff: Tariff, level: Level) -> float | None:
    """Cost of a million tokens written, with the prompts they took."""
    return (level.prompt_tokens * tariff.read + level.tokens * tariff.written) / level.tokens if level.tokens else None


def told_by_api(model: str, listed: Sequence[dict[str, Any]], host: str) -> Tariff | None:
    """The prices an API tells in its list of models; None if it tells none.

    OpenRouter: `pricing.prompt`, `.completion`, dollars a token. Together: `pricing.input`, `.output`, dollars a million.
    """
    found = next((item.get("pricing") for item in listed if item.get("id") == model), None)
    if not isinstance(found, dict):
        return None
    for read, written, scale in (("prompt", "completion", 1e6), ("input", "output", 1.0)):
        try:
            return Tariff(float(found[read]) * scale, float(found[written]) * scale, f"{host}'s list of models, in US dollars")
        except (KeyError, TypeError, ValueError):
            continue
    return None
