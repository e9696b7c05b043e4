"""National identity numbers by country, each by its form and its check digit."""

from __future__ import annotations

import re
from collections.abc import Callable


def _digits(text: str) -> list[int]:
    return [int(letter) for letter in text if letter.isdigit()]


def _weighted(digits: list[int], weights: tuple[int, ...]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=False))


def _germany(text: str) -> bool:
    """Tax number: eleven digits, ISO 7064 mod 11,10; one of the first ten twice or thrice."""
    digits = _digits(text)
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return digits[0] != 0 and len(set(digits[:10])) in (8, 9) and (11 - product) % 10 == digits[10]


def _france(text: str) -> bool:
    """Social security number: 97 less the number modulo 97."""
    plain = re.sub(r"\s", "", text).upper()
    number = plain[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(plain[13:15])


def _spain(text: str) -> bool:
    """DNI or NIE: a letter for the number modulo 23."""
    plain = text.upper().replace("-", "")
    number = plain[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


def _italy(text: str) -> bool:
    """Codice fiscale: a check letter over odd and even places."""
    odd = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25,
        24, 23,
    ), strict=True))  # fmt: skip
    plain = text.upper()
    total = sum(
        odd[letter] if place % 2 == 0 else (int(letter) if letter.isdigit() else ord(letter) - 65)
        for place, letter in enumerate(plain[:15])
    )
    return chr(65 + total % 26) == plain[15]


def _netherlands(text: str) -> bool:
    """BSN: nine digits, the eleven test."""
    digits = _digits(text)
    return any(digits) and _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _poland(text: str) -> bool:
    """PESEL: eleven digits with a date in front."""
    digits = _digits(text)
    month, day = (digits[2] * 10 + digits[3]) % 20, digits[4] * 10 + digits[5]
    check = (10 - _weighted(digits[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3))) % 10
    return 1 <= month <= 12 and 1 <= day <= 31 and check == digits[10]


def _brazil(text: str) -> bool:
    """CPF: eleven digits with two check digits."""
    digits = _digits(text)

    def check(count: int) -> int:
        rest = sum(digit * (count + 1 - place) for place, digit in enumerate(digits[:count])) * 10 % 11
        return rest % 10

    return len(set(digits)) > 1 and check(9) == digits[9] and check(10) == digits[10]


def _china(text: str) -> bool:
    """Resident identity card: eighteen places, ISO 7064 mod 11,2, with a date of birth."""
    plain = text.upper()
    rest = _weighted(_digits(plain[:17]), (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11
    return 1 <= int(plain[10:12]) <= 12 and 1 <= int(plain[12:14]) <= 31 and "10X98765432"[rest] == plain[17]


def _sweden(text: str) -> bool:
    """Personal number: a date and four digits that pass Luhn's check."""
    digits = _digits(text)[-10:]
    total = sum(sum(divmod(digit * (2 - place % 2), 10)) for place, digit in enumerate(digits))
    return 1 <= digits[2] * 10 + digits[3] <= 12 and total % 10 == 0


def _form_is_enough(text: str) -> bool:
    return True


NATIONAL: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "DE": (re.compile(r"(?<![\d-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\d-])"), _germany),
    "FR": (re.compile(r"(?<!\d)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?!\d)"), _france),
    "ES": (re.compile(r"\b(?:\d{8}|[XYZ]\d{7})-?[A-Z]\b"), _spain),
    "IT": (re.compile(r"\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b", re.IGNORECASE), _italy),
    "NL": (re.compile(r"(?<![\d-])\d{9}(?![\d-])"), _netherlands),
    "PL": (re.compile(r"(?<![\d-])\d{11}(?![\d-])"), _poland),
    "BR": (re.compile(r"(?<!\d)\d{3}\.?\d{3}\.?\d{3}-?\d{2}(?!\d)"), _brazil),
    "CN": (re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])\d{2}\d{3}[\dXx](?!\d)"), _china),
    "SE": (re.compile(r"(?<!\d)(?:19|20)?\d{6}[-+]\d{4}(?!\d)"), _sweden),
    "GB": (
        re.compile(r"\b(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b"),
        _form_is_enough,
    ),
}
"""Form and check of the national number of each country that is known."""
