"""What is found out about a file while it is read, and the limits that no file may exceed."""

from __future__ import annotations

from dataclasses import dataclass, field

ROW_BYTES = 64 << 20
"""The largest single row, and line, that is read."""


@dataclass
class Facts:
    """Filled in by readers, shown in the report. remarks: what of the file was not read, and other surprises."""

    name: str
    kind: str = ""
    encoding: str = "utf-8"
    details: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
