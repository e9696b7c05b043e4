"""Numbers as people write them in texts: `1,234.50`, `1.234,50`, `1 234,5`, `3,5`, `−7`, `1e6`."""

from __future__ import annotations

import re

_SPACES = "\u00a0\u2009\u202f "
NUMERAL = re.compile(
    r"(?<![\w.,])(?<!\w[-−])[-−+]?(?:"
    rf"[1-9]\d{{0,2}}(?:[{_SPACES}]\d{{3}})+(?!\d)(?:[.,]\d+)?"  # 1 234,5
    r"|[1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?"  # 1,234.50
    r"|[1-9]\d{0,2}(?:\.\d{3})+,\d+"  # 1.234,50
    r"|[1-9]\d{0,2}(?:\.\d{3}){2,}(?!\d)"  # 1.234.567
    r"|\d+(?:[.,]\d+)?"  # 12, 3.5 and 3,5
    r"|\.\d+"
    r")(?:e[+-]?\d+)?",
    re.IGNORECASE,
)
"""One number. A lone comma before three digits parts thousands, a lone point never does: `1,234` is 1234, `1.234` is 1.234."""

_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:e[+-]?\d+)?", re.IGNORECASE)


def numerals(text: str) -> list[float]:
    """The numbers in a text, in order; a digit behind a letter or a letter's hyphen belongs to a name such as MC-15."""
    return [_value(found) for found in NUMERAL.findall(text)]


def _value(written: str) -> float:
    plain = re.sub(rf"[{_SPACES}]", "", written).replace("\N{MINUS SIGN}", "-")
    comma, point = plain.rfind(","), plain.rfind(".")
    if comma > point and not _THOUSANDS.fullmatch(plain):
        return float(plain.replace(".", "").replace(",", "."))
    plain = plain.replace(",", "")
    return float(plain.replace(".", "") if plain.count(".") > 1 else plain)
