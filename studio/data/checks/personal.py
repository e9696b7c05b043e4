"""Personal data that a pattern and a checksum can tell: e-mail, card, IBAN, IP address, US social security number."""

from __future__ import annotations

import re
from dataclasses import dataclass

from studio.data.checks.base import Check, whole_text
from studio.data.rows import Conversation

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
    "CARD": "card number",
    "IP": "IP address",
}
"""What each kind is called in words, in the order in which they are looked for: of two that overlap the first counts."""


def spans(text: str) -> list[Span]:
    """Where a text holds personal data, in order and without overlaps."""
    found: list[Span] = []
    for kind in _kinds_in(text):
        for match in _PATTERNS[kind].finditer(text):
            if _valid(kind, match[0]) and not any(match.start() < span.end and span.start < match.end() for span in found):
                found.append(Span(match.start(), match.end(), kind))
    return sorted(found, key=lambda span: span.start)


def look(row: Conversation) -> str:
    """The kind of what is found; never the value itself, which would travel with the report."""
    text = whole_text(row)
    for kind in _kinds_in(text):
        if any(_valid(kind, match[0]) for match in _PATTERNS[kind].finditer(text)):
            return NAMES[kind]
    return ""


def _kinds_in(text: str) -> list[str]:
    """The kinds that a text may hold at all, told by what costs little."""
    kinds = ["EMAIL"] if "@" in text else []
    return kinds + [kind for kind in NAMES if kind != "EMAIL"] if sum(map(str.isdigit, text)) >= 7 else kinds


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
    "names, addresses, phone numbers and national numbers of other countries",
    look=look,
)
