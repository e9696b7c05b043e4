"""Personal data that a pattern and a checksum can tell: e-mail, card, IBAN, IP address, US social security number."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, whole_text
from studio.data.rows import Conversation

_MAIL = re.compile(r"\b[\w.+-]{1,64}@(?:[\w-]+\.)+[A-Za-z]{2,}\b")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){11,18}(?![\d-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", re.IGNORECASE)
_IP = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
_SSN = re.compile(r"(?<!\d)(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?!\d)")


def look(row: Conversation) -> str:
    """The kind of what is found; never the value itself, which would travel with the report."""
    text = whole_text(row)
    if "@" in text and _MAIL.search(text):
        return "e-mail address"
    if sum(map(str.isdigit, text)) < 7:
        return ""
    if _SSN.search(text):
        return "social security number"
    if any(is_card(match[0]) for match in _CARD.finditer(text)):
        return "card number"
    if any(is_iban(match[0]) for match in _IBAN.finditer(text)):
        return "IBAN"
    return "IP address" if _IP.search(text) else ""


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
