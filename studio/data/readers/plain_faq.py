"""A text file that is a FAQ: paragraphs that begin with a question, and what stands below each as its answer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import BinaryIO

from studio.data.readers.encoding import text_lines
from studio.data.readers.facts import Facts
from studio.data.readers.faq import bare_answer, bare_question
from studio.data.rows import Rejected, Row

_LONGEST = 300
"""Characters a question has at most."""
_ASKS = re.compile(r"\s*\S.*[?？]\s*$")
_BULLET = re.compile(r"\s*[-*•‣–]\s+")


def is_dense(head: str) -> bool:
    """Whether a text is a FAQ without blank lines: every other line asks, or every line with a bullet does."""
    lines = [line for line in head.replace("\r\n", "\n").split("\n") if line.strip()]
    asking = [bool(_question(line)) for line in lines]
    if asking and asking[-1]:  # its answer may lie behind what is looked at
        lines, asking = lines[:-1], asking[:-1]
    if sum(asking) < 3 or not asking[0] or "\n\n" in head.strip().replace("\r\n", "\n"):
        return False
    if any(one and two for one, two in itertools.pairwise(asking)):
        return False
    bullets = [bool(_BULLET.match(line)) for line in lines]
    return asking == bullets or asking == [place % 2 == 0 for place in range(len(lines))]


def is_faq(head: str) -> bool:
    """Whether the beginning of a text is a FAQ: its first paragraph asks, at least three do, and no two without an answer."""
    blocks = [block for block in re.split(r"\n[ \t]*\n", head.replace("\r\n", "\n")) if block.strip()]
    asking = [bool(_question(block.strip("\n").split("\n", 1)[0])) for block in blocks]
    whole = [asks and "\n" in block.strip() for asks, block in zip(asking, blocks, strict=True)]
    if sum(asking) < 3 or not asking[0]:
        return False
    if all(whole[:-1]) and len(blocks) > 2:  # question and answer in one paragraph each
        return True
    alternate = all(asks == (place % 2 == 0) for place, asks in enumerate(asking))
    return alternate and not any(whole)


def rows(stream: BinaryIO, facts: Facts, dense: bool = False) -> Iterator[Row | Rejected]:
    """A row for each question. dense: there are no blank lines before them."""
    facts.details["read as"] = "questions and answers"
    facts.remarks.append("It is a list of questions with their answers, read so. To learn it as text, set data.format: text.")
    question, line, blank = "", 0, True
    answer: list[str] = []
    for number, raw in enumerate(text_lines(stream), 1):
        said = raw.rstrip()
        if (blank or dense) and _question(said):
            if question:
                yield _row(question, answer, facts, line)
            question, answer, line = said, [], number
        elif question:
            answer.append(said)
        elif said:
            yield Rejected(facts.name, number, "a paragraph before the first question", "", said[:200])
        blank = not said
    if question:
        yield _row(question, answer, facts, line)


def _question(line: str) -> bool:
    return len(line) <= _LONGEST and _ASKS.match(line) is not None


def _row(question: str, answer: list[str], facts: Facts, line: int) -> Row:
    asked, said = bare_question(_BULLET.sub("", question)), bare_answer("\n".join(answer)) or None
    return Row({"question": asked, "answer": said}, facts.name, line)
