"""The real embedding model of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.core.errors import ModelError
from studio.retrieval import minilm


def folder() -> Path:
    """The model's folder. Skips the test, in words, where it cannot be had."""
    try:
        return minilm.fetch()
    except ModelError as problem:
        pytest.skip(str(problem))
