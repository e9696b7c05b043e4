"""What is found out about a file while it is read, and the limits that no file may exceed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ROW_BYTES = 64 << 20
"""The largest single row, and line, that is read."""
COLUMNS = 16_384
"""The most columns of a table, which is also the most that a spreadsheet holds."""


@dataclass
class Facts:
    """Filled in by readers, shown in the report; and the settings that readers mind.

    remarks: what of the file was not read, and other surprises.
    """

    name: str
    kind: str = ""
    encoding: str = "utf-8"
    details: dict[str, str] = field(default_factory=dict[str, str])
    remarks: list[str] = field(default_factory=list[str])
    format: str = ""
    """The format the settings name, or nothing."""
    columns: tuple[str, ...] = ()
    """The columns, and paths into them, that the settings name: a row that has them all is not opened any further."""
    sheet: str = ""
    """The sheet of a workbook to read. Empty: the first with a table in it."""
    header_row: int | None = None
    """The line or row (from 1) that names the columns. Empty: the first with content."""
    roles: Mapping[str, str] = field(default_factory=dict[str, str])
    """Speakers' names in lower case, and their roles."""
    speakers: tuple[str, ...] = ()
    """The speakers of a transcript, as they are written in it."""
    message_order: str = ""
    """How the messages of a conversation are put in order where each is a row. Empty: by their times."""
