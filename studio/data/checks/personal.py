"""Personal data that a pattern and a checksum can tell: e-mail, card, IBAN, phone, IP address, national identity numbers."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from studio.data.checks.base import Check, Said
from studio.data.checks.national import NATIONAL

_PATTERNS = {
    "EMAIL": re.compile(r"\b[\w.+-]{1,64}@(?:[\w-]+\.)+[A-Za-z]{2,}\b"),
    "CARD": re.compile(r"(?<![\d-])\d(?:[ -]?\d){11,18}(?![\d-])"),
    "IBAN": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.IGNORECASE),
    "IP": re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])"),
    "SSN": re.compile(r"(?<!\d)(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?!\d)"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """A place of a text that holds personal data. kind: what it is, as masks call it."""

    start: int
    end: int
    kind: str


NAMES = {
    "EMAIL": "e-mail address",
    "SSN": "social security number",
    "IBAN": "IBAN",
    "NATIONAL_ID": "national identity number",
    "CARD": "card number",
    "IP": "IP address",
    "PHONE": "phone number",
}
"""What each kind is called in words, in the order in which they are looked for: of two that overlap the first counts."""

_LABELLED_PHONE = re.compile(
    r"\b(?:tel(?:efon|ephone|\.)?|phone|call|mobile?|handy|cell|fax|whatsapp|sms)\b[^\d\n+(]{0,16}(\+?\(?\d[\d ()/.-]{5,17}\d)",
    re.IGNORECASE,
)
"""A number behind a word for a phone, valid or not: made-up and local ones are not valid by the numbering plan."""
_FOUR_DIGITS = re.compile(r"\d(?:\D{0,3}\d){3}")
_SEVEN_DIGITS = re.compile(r"\d(?:\D{0,3}\d){6}")


def spans(text: str, regions: Sequence[str] = ()) -> list[Span]:
    """Where a text holds personal data, in order and without overlaps.

    regions: countries (ISO 3166) whose national numbers and phone numbers without a country code are looked for, too.
    """
    found: list[Span] = []
    for span in _all(text, regions):
        if not any(span.start < other.end and other.start < span.end for other in found):
            found.append(span)
    return sorted(found, key=lambda span: span.start)


def look(said: Said) -> str:
    """The kind of what is found; never the value itself, which would travel with the report."""
    return next((NAMES[span.kind] for span in _all(said.whole, said.options.regions)), "")


def _all(text: str, regions: Sequence[str]) -> Iterator[Span]:
    """All that is found, kind by kind, overlaps included."""
    if "@" in text:
        yield from (Span(*match.span(), "EMAIL") for match in _PATTERNS["EMAIL"].finditer(text))
    if not _FOUR_DIGITS.search(text):
        return
    many = _SEVEN_DIGITS.search(text) is not None
    for kind in NAMES:
        if kind == "NATIONAL_ID":
            yield from _national(text, regions)
        elif kind == "PHONE" and many:
            yield from _phones(text, regions)
        elif kind in _PATTERNS and kind != "EMAIL" and many:
            for match in _PATTERNS[kind].finditer(text):
                if _valid(kind, match[0]):
                    yield Span(*match.span(), kind)


def _national(text: str, regions: Sequence[str]) -> Iterator[Span]:
    for region in regions:
        if region in NATIONAL:
            pattern, valid = NATIONAL[region]
            yield from (Span(*match.span(), "NATIONAL_ID") for match in pattern.finditer(text) if valid(match[0]))


def _phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    yield from (Span(*match.span(1), "PHONE") for match in _LABELLED_PHONE.finditer(text))
    numbers = _phonenumbers()
    for region in (regions or (None,)) if numbers else ():
        if region is None and "+" not in text:
            continue  # without a country only numbers with their country code can be told
        yield from (Span(match.start, match.end, "PHONE") for match in numbers.PhoneNumberMatcher(text, region))


@functools.cache
def _phonenumbers() -> Any:
    """The library of numbering plans; None in an installation older than the need for it."""
    if importlib.util.find_spec("phonenumbers") is None:
        return None
    return importlib.import_module("phonenumbers")


def _valid(kind: str, value: str) -> bool:
    return is_card(value) if kind == "CARD" else is_iban(value) if kind == "IBAN" else True


def is_card(number: str) -> bool:
    """Whether a number of 12 to 19 digits passes Luhn's checksum, as one in ten other numbers does."""
    digits = [int(digit) for digit in number if digit.isdigit()][::-1]
    doubled = sum(divmod(2 * digit, 10)[0] + divmod(2 * digit, 10)[1] for digit in digits[1::2])
    return (sum(digits[::2]) + doubled) % 10 == 0 and len(set(digits)) > 1


def is_iban(number: str) -> bool:
    """Whether an IBAN's check digits are right (ISO 13616)."""
    plain = number.replace(" ", "").upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


CHECK = Check(
    "personal_data",
    "warning",
    "texts hold personal data",
    "names of people, which no pattern tells (--names MODEL looks for them); addresses; phone numbers without a "
    "country code and national identity numbers of countries that data.regions does not name "
    f"(known: {', '.join(sorted(NATIONAL))}, and US social security numbers)",
    look=look,
)
