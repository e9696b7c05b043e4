"""Transcripts in text files: `Human: … Assistant: …`, named speakers, and chat exports with a time before each line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from studio.core.errors import DataError
from studio.data.readers.encoding import text_lines
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row
from studio.data.turns import SPEAKERS

_TIME = r"(?:\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},? +\d{1,2}:\d{2}(?::\d{2})?(?: ?[AP]M)?\]?(?: -)? +)"
_LINE = re.compile(rf"^\u200e?({_TIME})?([^\W\d_][^:\n]{{0,29}}?) ?: (.*)$")
_STAMP = re.compile(rf"^\u200e?{_TIME}")
_BREAK = re.compile(r"^\s*(?:-{3,}|={3,}|\*{3,}|#{3,})\s*$")
_LOOKED_AT = 400


def speakers(head: bytes, roles: Mapping[str, str]) -> list[str]:
    """The speakers' names if a text is a transcript, else none. roles: names that the settings know, in lower case.

    It is one if nearly all paragraphs begin with a name and at least two speak; and the names are known ones, or each
    line bears a time.
    """
    lines = [line for line in head.decode("utf-8", "replace").splitlines()[:_LOOKED_AT] if line.strip()]
    found = [match for line in lines if (match := _LINE.match(line))]
    if not found or (not _LINE.match(lines[0]) and not _STAMP.match(lines[0]) and not _BREAK.match(lines[0])):
        return []
    names = Counter(match[2].strip() for match in found)
    usual = [name for name, count in names.items() if count > 1 or len(found) < 6]
    stamped = sum(match[1] is not None for match in found) > 0.8 * len(found)
    known = all(_known(re.sub(r"[ _]*\d{1,3}$", "", name), roles) or _known(name, roles) for name in usual)
    if len(usual) < 2 or len(usual) > 8 or not (stamped or known):
        return []
    return usual if len(found) >= 0.3 * len(lines) else []


def rows(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Conversations of a transcript: parted by rules (`---`) or blank lines before a user's turn, else one.

    Raises DataError if it is not clear who is the user and who the assistant.
    """
    turns: list[dict[str, str]] = []
    began, blank, count = 1, False, 0
    unknown: dict[str, None] = {}
    for number, raw in enumerate(text_lines(stream), 1):
        line = raw.rstrip("\r\n")
        match = _LINE.match(line)
        role = _known(match[2].strip(), facts.roles) if match else ""
        known = bool(role)
        stamped = match and match[1] is not None
        if match and not known and (stamped or match[2].strip() in facts.speakers):
            unknown.setdefault(match[2].strip())
            known, role = True, "user"
        if _BREAK.match(line) or (known and blank and role == "user" and turns and turns[-1]["role"] == "assistant"):
            if turns:
                count += 1
                yield _row(turns, facts, began)
            turns = []
            if _BREAK.match(line):
                continue
        if match and known:
            if not turns:
                began = number
            turns.append({"role": role, "content": match[3].strip()})
        elif _STAMP.match(line):
            facts.details["other lines"] = str(int(facts.details.get("other lines", "0")) + 1)
        elif turns and line.strip():
            turns[-1]["content"] = f"{turns[-1]['content']}\n{line}".strip()
        blank = not line.strip()
        if len(unknown) >= 2 and number > _LOOKED_AT:
            break
    if unknown:
        raise _who(list(unknown), facts)
    if turns:
        yield _row(turns, facts, began)


def _row(turns: list[dict[str, str]], facts: Facts, line: int) -> Row:
    return Row({"messages": [turn for turn in turns if turn["content"]]}, facts.name, line)


def _known(name: str, roles: Mapping[str, str]) -> str:
    """The role of a speaker's name: as the settings say, a usual name, or one with a number behind it; else nothing."""
    lowered = name.lower()
    usual = {
        **SPEAKERS,
        "q": "user",
        "question": "user",
        "a": "assistant",
        "answer": "assistant",
        "frage": "user",
        "antwort": "assistant",
    }
    return roles.get(lowered) or usual.get(lowered, "")


def _who(names: list[str], facts: Facts) -> DataError:
    from studio.data.advice import quoted

    one, two = (*names, "NAME")[:2]
    line = f"roles: {{{quoted(one)}: user, {quoted(two)}: assistant}}"
    return DataError(
        f"it is a transcript, and it is not clear who of {', '.join(f'`{name}`' for name in names[:8])} is the assistant",
        hint=f"Write under data: {line} with the right roles, and turns: join if one speaks several times in a row.",
        where=facts.name,
    )
