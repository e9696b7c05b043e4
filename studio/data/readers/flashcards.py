"""Flashcards as their programs export them as text: `#separator:tab` and the like above one card a line."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from typing import BinaryIO

from studio.data.readers.encoding import text_lines
from studio.data.readers.facts import ROW_BYTES, Facts
from studio.data.readers.faq import text_of_page
from studio.data.rows import Rejected, Row

_SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " ", "colon": ":"}
_ABOUT = frozenset(("guid", "notetype", "deck", "tags"))
"""Columns that a line above the cards gives to what describes a card."""


def are_cards(head: bytes) -> bool:
    """Whether a text begins as such an export does."""
    return head.lstrip(b"\xef\xbb\xbf").lower().startswith((b"#separator:", b"#html:"))


def rows(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """A row for each card: its front as the question, its back as the answer; further fields by their names or numbers."""
    csv.field_size_limit(ROW_BYTES)
    said: dict[str, str] = {}
    first, lines = "", text_lines(stream)
    began = 0
    for line in lines:
        if not line.startswith("#"):
            first = line
            break
        began += 1
        name, _, value = line[1:].partition(":")
        said[name.strip().lower()] = value.strip("\r\n")
    mark = said.get("separator", "tab").strip()
    mark = _SEPARATORS.get(mark.lower(), mark[:1] or "\t")
    about = {int(place) - 1 for name, place in said.items() if name.split(" ")[0] in _ABOUT and place.strip().isdigit()}
    named = next(csv.reader([said.get("columns", "")], delimiter=mark), list[str]())
    facts.remarks.append("It holds flashcards: the front is the question, the back the answer.")
    reader = csv.reader(itertools.chain([first] if first else [], lines), delimiter=mark)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            yield Rejected(facts.name, began + reader.line_num, f"broken row: {problem}", "", "")
            continue
        if not any(cells):
            continue
        fields = [(place, cell) for place, cell in enumerate(cells) if place not in about]
        texts = [text_of_page(cell) if said.get("html", "").strip().lower() == "true" else cell for _, cell in fields]
        names = ["question", "answer", *(_name(named, place) for place, _ in fields[2:])]
        yield Row(dict(zip(names, texts, strict=False)), facts.name, began + reader.line_num)


def _name(named: list[str], index: int) -> str:
    return named[index].strip() if index < len(named) and named[index].strip() else f"field {index + 1}"
