"""Checks of the data's content, one file each. To add one: write its file, then add its name here. The list is the registry."""

from __future__ import annotations

from studio.data.checks import (
    boilerplate,
    contradictions,
    control_text,
    cut,
    duplicates,
    echo,
    escapes,
    html,
    invisible,
    labels,
    language,
    leakage,
    lengths,
    links,
    loops,
    mojibake,
    one_answer,
    personal,
    placeholders,
    repeats,
    secrets,
    swapped,
)
from studio.data.checks.base import Check

CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        repeats.CHECK,
        duplicates.CHECK,
        contradictions.CHECK,
        leakage.CHECK,
        labels.CHECK,
        one_answer.CHECK,
        lengths.CHECK,
        cut.CHECK,
        swapped.CHECK,
        echo.CHECK,
        boilerplate.CHECK,
        loops.CHECK,
        links.CHECK,
        language.CHECK,
        placeholders.CHECK,
        control_text.CHECK,
        html.CHECK,
        escapes.CHECK,
        invisible.CHECK,
        mojibake.CHECK,
        personal.CHECK,
        secrets.CHECK,
    )
}
"""Every check by its name."""
