"""Text recognition of pages that are pictures, where the extra `ocr` is installed."""

from __future__ import annotations

import functools
import importlib
import logging
from importlib.util import find_spec
from typing import Any

SURE = 0.8
"""The score below which what was recognized is not taken: it reads like text and is not."""
DPI = 150


def available() -> bool:
    """Whether text can be recognized here. Imports nothing."""
    return find_spec("rapidocr") is not None and find_spec("onnxruntime") is not None


def recognize(picture: Any) -> tuple[list[str], float]:
    """The lines of text in a picture (height x width x 3, uint8), from top to bottom, and the mean score from 0 to 1."""
    found = _engine()(picture)
    if not found.txts:
        return [], 0.0
    lines = sorted(
        zip(found.boxes, found.txts, strict=True), key=lambda item: (float(item[0][:, 1].min()), float(item[0][0][0]))
    )
    return [line for _, line in lines], sum(map(float, found.scores)) / len(found.scores)


@functools.cache
def _engine() -> Any:
    RapidOCR = importlib.import_module("rapidocr").RapidOCR

    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return RapidOCR(params={"Global.log_level": "error"})
