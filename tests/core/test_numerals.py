"""Numbers in texts, as they are written in different countries."""

from __future__ import annotations

import pytest

from studio.core.numerals import numerals


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,234.50 or 1.234,50 or 1 234,5", [1234.5, 1234.5, 1234.5]),
        ("1,234 and 1.234 and 1.234.567", [1234, 1.234, 1234567]),
        ("3,5 kg, 0,500 l, 12,50 €", [3.5, 0.5, 12.5]),
        ("from −7 to +3, or -.5", [-7, 3, -0.5]),
        ("Turn 15kg by 90°. MC-15 has no number, B2 neither.", [15, 90]),
        ("2e3 and 1.5E-2", [2000, 0.015]),
        ("1, 2, 3.", [1, 2, 3]),
        ("It was 1999.", [1999]),
        ("nothing", []),
    ],
)
def test_a_number_is_what_its_marks_say(text: str, found: list[float]) -> None:
    assert numerals(text) == pytest.approx(found)
