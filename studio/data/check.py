"""Row by row: does it fit the detected format, and can it be learned from? What does not is rejected with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from studio.data.detect import Detection
from studio.data.formats import FORMATS
from studio.data.notes import Notes, Unusable
from studio.data.rows import Conversation, Rejected, Row
from studio.data.settings import Data

SHOWN = 200
"""Characters of a rejected row that are kept for the list a person reads."""


def check(
    rows: Iterable[Row | Rejected], detection: Detection, settings: Data, notes: Notes | None = None
) -> Iterator[Conversation | Rejected]:
    """Rows as conversations, or rejected with file, line, column and reason; rows rejected before pass through.

    A conversation without a system prompt gets `settings.system`. notes: collects what is odd but usable.
    """
    notes = Notes() if notes is None else notes
    convert = FORMATS[detection.format].convert
    columns = detection.columns
    system = {"role": "system", "content": settings.system} if settings.system else None
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        notes.at(row.file, row.line)
        try:
            conversation = convert(row, columns, notes)
        except Unusable as problem:
            yield Rejected(row.file, row.line, problem.reason, problem.column, beginning(row.values))
            continue
        if system and conversation.messages and conversation.messages[0]["role"] != "system":
            conversation = Conversation(
                (system, *conversation.messages), conversation.tools, "", conversation.file, conversation.line
            )
        yield conversation


def beginning(values: object) -> str:
    """The first characters of a row, as JSON."""
    try:
        text = orjson.dumps(values, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        text = str(values).encode("utf-8", "replace").decode()
    return text[:SHOWN]
