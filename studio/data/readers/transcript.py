"""Transcripts in text files: `Human: … Assistant: …`, named speakers, and chat exports with a time before each line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from studio.core.text import plural
from studio.data.readers.encoding import text_lines
from studio.data.readers.facts import Facts
from studio.data.readers.speakers import who
from studio.data.rows import Rejected, Row
from studio.data.speakers import MARKS, bare, known
from studio.data.times import oldest_first
from studio.data.turns import EVERYBODY

_DATE = r"\d{1,4}[./-] ?\d{1,2}[./-] ?\d{2,4}\.?"
_CLOCK = r"(?:[오午上下][전후前後午] ?)?\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s?[AaPp]\.?\s?[Mm]\b\.?)?"
_TIME = rf"(?:\[?{_DATE},?\s+(?:(?:à|às|at|um|alle|om|kl\.?|a las)\s+)?{_CLOCK}(?:\s?Uhr)?\]?,?(?:\s[-–])?\s+)"
_LINE = re.compile(
    rf"^[{MARKS}]*(?:#{{1,6}}\s+|\*\*)?(?:({_TIME})([^:\n]{{1,60}}?)|([^\W\d_][^:\n]{{0,29}}?))\s?:(?:\*\*)?(?: (.*)|$)$"
)
_STAMP = re.compile(rf"^[{MARKS}]*{_TIME}")
_NO_TEXT = re.compile(r"<[^<>]{3,40}>|(?:image|video|audio|sticker|GIF|document|Contact card) omitted")
"""What an export writes in place of a picture or a voice message."""
_BREAK = re.compile(r"^\s*(?:-{3,}|={3,}|\*{3,}|#{3,})\s*$")
_LOOKED_AT = 400
_TURNED = "The newest message stood first; each conversation was turned round, the oldest first."


def speakers(head: bytes, roles: Mapping[str, str]) -> list[str]:
    """The speakers' names if a text is a transcript, else none. roles: names that the settings know, in lower case.

    It is one if nearly all paragraphs begin with a name and at least two speak; and the names are known ones, or each
    line bears a time, or two speakers take turns in every line.
    """
    lines = [line for line in head.decode("utf-8", "replace").splitlines()[:_LOOKED_AT] if line.strip()]
    found = [spoken for line in lines if (spoken := _spoken(line))]
    if not found or (not _spoken(lines[0]) and not _STAMP.match(lines[0]) and not _BREAK.match(lines[0])):
        return []
    times = sum(spoken.stamped for spoken in found)
    stamped = times > 0.8 * len(found) or (times > 2 and bool(_STAMP.match(lines[0])))
    names = Counter(spoken.name for spoken in found if spoken.stamped or not stamped)
    usual = [name for name, count in names.items() if count > 1 or len(found) < 6]
    roles = {name: role for name, role in roles.items() if name != EVERYBODY}
    by_name = all(known(re.sub(r"[ _]*\d{1,3}$", "", name), roles) or known(name, roles) for name in usual)
    if len(usual) < 2 or len(usual) > 8 or not (stamped or by_name or _take_turns([spoken.name for spoken in found], lines)):
        return []
    return usual if len(found) >= 0.3 * len(lines) else []


def _take_turns(names: list[str], lines: list[str]) -> bool:
    """Whether two speakers of any name take turns in every line of a text: then it is asked who they are."""
    return len(names) == len(lines) >= 6 and len(set(names)) == 2 and all(map(str.__ne__, names, names[1:]))


def rows(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Conversations of a transcript: parted by rules (`---`) or blank lines before a user's turn, else one.

    Raises DataError if it is not clear who is the user and who the assistant.
    """
    turns: list[dict[str, str]] = []
    began, blank, every_stamped = 1, False, False
    media = notices = 0
    unknown: dict[str, None] = {}
    for number, raw in enumerate(text_lines(stream), 1):
        line = raw.rstrip("\r\n")
        spoken = _spoken(line)
        if spoken and every_stamped and not spoken.stamped:
            spoken = None  # a line with a colon that goes on with the message above
        role = known(spoken.name, facts.roles) if spoken else ""
        speaks = bool(role)
        if spoken and not speaks and (spoken.stamped or spoken.name in facts.speakers):
            unknown.setdefault(spoken.name)
            speaks, role = True, "user"
        if _BREAK.match(line) or (speaks and blank and role == "user" and turns and turns[-1]["role"] == "assistant"):
            if turns:
                yield _row(turns, facts, began)
            turns = []
            if _BREAK.match(line):
                continue
        if spoken and speaks and _NO_TEXT.fullmatch(spoken.text):
            media += 1
        elif spoken and speaks:
            every_stamped = every_stamped or (not turns and spoken.stamped)
            if not turns:
                began = number
            turns.append({"role": role, "content": spoken.text, "time": spoken.time})
        elif _STAMP.match(line):
            notices += 1
        elif turns and line.strip():
            turns[-1]["content"] = f"{turns[-1]['content']}\n{line}".strip()
        blank = not line.strip()
        if len(unknown) >= 2 and number > _LOOKED_AT:
            break
    if unknown:
        raise who(list(unknown), facts, text=True)
    if media or notices:
        facts.remarks.append(f"Left out: {plural(media, 'message')} without text, {plural(notices, 'notice')} of the chat app.")
    if turns:
        yield _row(turns, facts, began)


@dataclass(frozen=True)
class _Spoken:
    """A line in which somebody speaks."""

    name: str
    text: str
    time: str
    """As it is written before the name, or nothing."""

    @property
    def stamped(self) -> bool:
        """Whether a time stands before the name."""
        return bool(self.time)


def _spoken(line: str) -> _Spoken | None:
    match = _LINE.match(line)
    if match is None:
        return None
    name = bare(match[2] or match[3])
    return _Spoken(name, (match[4] or "").strip(f"{MARKS} \t"), (match[1] or "").strip("[] \t-–,")) if name else None


def _row(turns: list[dict[str, str]], facts: Facts, line: int) -> Row:
    ordered = oldest_first(turns, "time")
    if ordered is not turns and _TURNED not in facts.remarks:
        facts.remarks.append(_TURNED)
    spoken = [{"role": turn["role"], "content": turn["content"]} for turn in ordered if turn["content"]]
    return Row({"messages": spoken}, facts.name, line)
