"""The longest row: what becomes of encoded rows that are longer, and the arrays without them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import orjson

from studio.core.errors import DataError
from studio.core.files import folder_aside, write_json
from studio.core.text import count
from studio.data.arrays import Writer
from studio.data.pieces import can_be_cut, spans
from studio.data.rows import Conversation, numbered_lines
from studio.data.shorten import shortened
from studio.data.tokens import Tokens

Overlong = Literal["drop", "truncate", "split", "error"]


def shorten_into(out: Path, tokens: Tokens, max_length: int, overlong: Overlong, long: set[int], key: str) -> None:
    """Write the tokens into the folder `out`, with those rows dropped, truncated or split that `long` has the numbers of."""
    source = _Source([Path(file) for file in tokens.meta["source"]]) if overlong == "truncate" else None
    with folder_aside(out) as aside:
        with Writer(aside, per_row=tokens.per_row, labelled=tokens.wanted is not None) as writer:
            writer.files = list(tokens.meta["files"])
            writer.list, writer.dropped = list(tokens.meta["dropped"]["rows"]), tokens.meta["dropped"]["count"]
            for index in range(len(tokens) // tokens.per_row):
                numbers = range(index * tokens.per_row, (index + 1) * tokens.per_row)
                if index not in long:
                    _take(writer, tokens, numbers)
                else:
                    _shorten(writer, tokens, numbers, max_length, overlong, source)
        if not writer.rows:
            raise DataError(
                f"no row is at most {count(max_length)} tokens long; the shortest has {count(int(tokens.lengths.min()))}",
                hint="Raise data.max_length, or set data.overlong to truncate, or to split for plain text.",
                where="data.max_length",
            )
        kept = {name: tokens.meta[name] for name in ("source", "train_on", "notes")}
        limits = {"max_length": max_length, "overlong": overlong}
        write_json(aside / "meta.json", {**kept, **limits, **writer.meta(key)})


def _take(writer: Writer, tokens: Tokens, numbers: Sequence[int]) -> None:
    """A row as it is."""
    file, line, place = (int(value) for value in tokens.positions[numbers[0]])
    for number in numbers:
        writer.add(*tokens[number], file, line, place, tokens.wanted is None or bool(tokens.wanted[number]))


def _shorten(
    writer: Writer, tokens: Tokens, numbers: Sequence[int], max_length: int, overlong: Overlong, source: _Source | None
) -> None:
    """A row that is too long: its pieces, its end, or nothing. Answers that are compared or labelled are never cut."""
    file, line, place = (int(value) for value in tokens.positions[numbers[0]])
    ids, mask = max((tokens[number] for number in numbers), key=lambda sequence: len(sequence[0]))
    longer = f"longer than {count(max_length)} tokens ({count(len(ids))})"
    if tokens.wanted is not None:
        writer.drop(tokens.meta["files"][file], line, f"it is {longer}")
        return
    if overlong == "split" and can_be_cut(mask):
        for begin, end in spans(len(ids), max_length):
            learned = np.array(mask[begin:end])
            learned[0] &= begin == 0  # it was predicted by the piece before
            writer.add(ids[begin:end], learned, file, line, place)
        return
    row = source.line(place) if source is not None else None
    if row is not None and row.passage:
        writer.add(ids[-max_length:], mask[-max_length:], file, line, place)
        writer.cut(tokens.meta["files"][file], line, len(ids), max_length)
        return
    cut = shortened(row, tokens.tokenizer, tokens.meta["train_on"], max_length) if row is not None else None
    if cut is None:
        what = "its last answer alone is" if source else "it is"
        writer.drop(tokens.meta["files"][file], line, f"{what} {longer}")
        return
    writer.add(np.array(cut.ids), np.array(cut.mask), file, line, place)
    writer.cut(tokens.meta["files"][file], line, len(ids), len(cut.ids))


class _Source:
    """Lines of the encoded files by number, asked for in rising order."""

    def __init__(self, files: list[Path]) -> None:
        self.lines = numbered_lines(*files)

    def line(self, number: int) -> Conversation:
        return next(Conversation.from_dict(orjson.loads(line)) for place, line in self.lines if place == number)
