"""Text recognition of pages that are pictures, where the extra `ocr` is installed; their lines in reading order."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from studio.documents.readers.pdf_page import Line

if TYPE_CHECKING:
    import numpy as np

SURE = 0.8
"""The score below which what was recognized is not taken: it reads like text and is not."""
UPRIGHT = 0.95
"""The score below which a page is also read turned, as scanners are fed from any side."""
DPI = 150


@dataclass(frozen=True)
class Recognized:
    """A stretch of text in a picture, with its box in pixels from the upper left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0

    @property
    def height(self) -> float:
        """Pixels."""
        return self.bottom - self.top


def available() -> bool:
    """Whether text can be recognized here. Imports nothing."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def recognize(picture: np.ndarray) -> tuple[list[Recognized], float]:
    """The text in a picture (height x width x 3, uint8), turned upright, and the mean score from 0 to 1."""
    import numpy as np

    best = _recognize(picture)
    if best[1] >= UPRIGHT:
        return best
    sideways = sum(item.height > 1.5 * (item.right - item.left) for item in best[0] if len(item.text) > 2)
    turns = (1, 2, 3) if not best[0] else (1, 3) if sideways > len(best[0]) / 2 else (2,)
    turned = [_recognize(np.ascontiguousarray(np.rot90(picture, turn))) for turn in turns]
    return max(best, *turned, key=lambda item: item[1])


def _recognize(picture: object) -> tuple[list[Recognized], float]:
    found = _engine()(picture, use_cls=False)  # which turns single lines: a page upside down would not be noticed
    if not found.txts:
        return [], 0.0
    items = [
        Recognized(text, *map(float, (*box.min(axis=0), *box.max(axis=0))), score=float(score))
        for box, text, score in zip(found.boxes, found.txts, found.scores, strict=True)
    ]
    return items, sum(item.score for item in items) / len(items)


@functools.cache
def _engine() -> Any:
    RapidOCR = importlib.import_module("rapidocr").RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(params={"Global.log_level": "error"})


def lines(items: Sequence[Recognized], size: float) -> list[Line]:
    """Recognized text as lines in reading order, as if it were set in a font of `size` points with 1.3 times that from line
    to line: what is larger by a third than most of it is so in the lines, too."""
    if not items:
        return []
    height = median(item.height for item in items)
    rows = [_row(row) for part in _columns(list(items), height) for row in _rows(part)]
    steps = [low.top - high.top for high, low in pairwise(rows) if 0.8 * height < low.top - high.top < 3 * height]
    points = 1.3 * size / (median(steps) if steps else 1.5 * height)
    made = []
    for row in rows:
        large = row.height > 1.35 * height
        baseline = -row.bottom * points
        scaled = round(2 * size * row.height / height) / 2 if large else size
        made.append(Line(row.text, baseline, row.left * points, scaled, False, baseline))
    return made


def _columns(items: list[Recognized], height: float) -> Iterator[list[Recognized]]:
    """The parts of a page in the order in which they are read: columns one after the other, parted by what spans them."""
    gutter = _gutter(items, height)
    if gutter is None:
        yield items
        return
    spanning = sorted((item for item in items if item.left < gutter < item.right), key=lambda item: item.top)
    bounds = [float("-inf"), *(item.top for item in spanning), float("inf")]
    for number, (above, below) in enumerate(pairwise(bounds)):
        if number:
            yield [spanning[number - 1]]
        part = [item for item in items if item not in spanning and above <= item.top < below]
        for side in ([item for item in part if item.right <= gutter], [item for item in part if item.left >= gutter]):
            if side:
                yield from _columns(side, height)


def _gutter(items: list[Recognized], height: float) -> float | None:
    """Where the page is parted into columns: with at least three full lines on each side, and few lines across."""
    left, right = min(item.left for item in items), max(item.right for item in items)
    best: tuple[int, float] | None = None
    x = left + 0.2 * (right - left)
    while x < left + 0.8 * (right - left):
        sides = [item for item in items if item.right <= x], [item for item in items if item.left >= x]
        fewest = min(map(len, sides))
        across = len(items) - sum(map(len, sides))
        full = fewest >= 3 and all(median(item.right - item.left for item in side) > 0.2 * (right - left) for side in sides)
        if full and across <= fewest / 2 and (best is None or fewest - across > best[0]):
            best = (fewest - across, x)
        x += height / 2
    return best[1] if best else None


def _rows(items: list[Recognized]) -> list[list[Recognized]]:
    """Text on one height is one row, also where a page was scanned a little askew."""
    rows: list[list[Recognized]] = []
    for item in sorted(items, key=lambda item: item.top + item.bottom):
        middle = (item.top + item.bottom) / 2
        last = rows[-1][-1] if rows else None
        if last is not None and last.top < middle < last.bottom and (last.right <= item.left or item.right <= last.left):
            rows[-1].append(item)
        else:
            rows.append([item])
    return rows


def _row(items: list[Recognized]) -> Recognized:
    items = sorted(items, key=lambda item: item.left)
    return Recognized(
        " ".join(item.text for item in items),
        items[0].left,
        min(item.top for item in items),
        items[-1].right,
        max(item.bottom for item in items),
    )
