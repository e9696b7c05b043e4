"""A metric of one's own: a Python function from a file, run only where a person names it for this evaluation.

A spec cannot name one: specs are passed on, and reading one must never run code.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.errors import SpecError
from studio.evaluation.metric import Metric

SHARE, NUMBER = "own:", "own-number:"
"""How the names of figures begin that come from a person's function: with values from 0 to 1, and others."""


@dataclass(frozen=True)
class Own:
    """name: what the report calls it. function: takes answer and reference, and the question if it has a third parameter."""

    name: str
    function: Callable[..., Any]


def metric(name: str) -> Metric | None:
    """The figure of that name; None if it is not one's own."""
    kind, _, label = name.partition(":")
    if f"{kind}:" not in (SHARE, NUMBER):
        return None
    formula = f"mean of your function {label}(answer, reference)"
    return Metric(name, label, "higher", "share" if name.startswith(SHARE) else "number", formula)


def load(named: str) -> Own:
    """The function `FILE.py:FUNCTION`. Runs the file. Raises SpecError if there is no such function."""
    path, _, function = named.rpartition(":")
    file = Path(path).expanduser()
    if not path or not file.is_file():
        raise SpecError(
            "there is no such metric", hint="Name a file and a function: --metric my_metrics.py:cites_page.", where=named
        )
    spec = importlib.util.spec_from_file_location(f"studio_own_metric_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise SpecError("this is not a Python file", hint="Name a file that ends in .py.", where=str(file))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SpecError(
            f"it cannot be read: {type(error).__name__}: {error}", hint="Correct the file.", where=str(file)
        ) from error
    found = getattr(module, function, None)
    if not callable(found) or len(inspect.signature(found).parameters) not in (2, 3):
        raise SpecError(
            f"{file.name} has no function {function}(answer, reference) or {function}(answer, reference, question)",
            hint="Name a function that takes these.",
            where=named,
        )
    return Own(function, found)
