"""Checks of the data's content, one file each. To add one: write its file, then add its name here. The list is the registry."""

from __future__ import annotations

from studio.data.checks import (
    boilerplate,
    control_text,
    duplicates,
    echo,
    html,
    invisible,
    loops,
    personal,
    placeholders,
    secrets,
)
from studio.data.checks.base import Check

CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        duplicates.CHECK,
        boilerplate.CHECK,
        echo.CHECK,
        loops.CHECK,
        placeholders.CHECK,
        control_text.CHECK,
        html.CHECK,
        invisible.CHECK,
        personal.CHECK,
        secrets.CHECK,
    )
}
"""Every check by its name."""
