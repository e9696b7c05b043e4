"""python: a function of your own scores the answers. Off unless the person at the machine switches it on."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from studio.core.errors import SpecError
from studio.data.verifiers.verifier import Example, Message, Verifier, content

WHERE = "data.verifier.function"
FLAG = "STUDIO_OWN_CODE"
"""The environment variable that allows code of one's own to be run. A spec alone never can: it may come from anybody."""


class Python(Verifier, frozen=True):
    """`score(answer, expected)` or `score(answer, expected, message)`: texts in, a number from 0 to 1 out."""

    summary: ClassVar[str] = f"a Python function of your own; only with {FLAG}=1 in the environment"
    example: ClassVar[Example] = Example("12", {"content": "12"}, 1.0)
    kind: Literal["python"] = "python"
    function: str = Field(default="operator:eq", pattern=r"^.+:[A-Za-z_]\w*$", title="Function")
    """`module:function`, or `path/to/file.py:function`. It is run in the training process, as trusted as the studio itself."""

    def refuse(self) -> None:
        """Raise SpecError unless the environment allows code of one's own. Nothing of it is loaded."""
        _refuse_unless_allowed(self.function, os.environ.get(FLAG, ""))

    def score(self, answer: str, expected: Message) -> float:
        """What the function returns. Raises SpecError if it is not allowed, not there, or returns no number from 0 to 1."""
        function = _function(self.function, os.environ.get(FLAG, ""))
        try:
            wants = len(inspect.signature(function).parameters)
        except ValueError:
            wants = 2
        value = function(*(answer, content(expected), dict(expected))[: min(3, wants)])
        score = float(value) if isinstance(value, int | float) else math.nan
        if not 0 <= score <= 1:
            raise SpecError(
                f"{self.function} returned {value!r} for an answer, and a score is a number from 0 to 1",
                hint="Return a float such as 0.5, or True and False.",
                where="data.verifier.function",
            )
        return score


@lru_cache(maxsize=8)
def _function(name: str, flag: str) -> Callable[..., Any]:
    _refuse_unless_allowed(name, flag)
    module, _, attribute = name.rpartition(":")
    try:
        if module.endswith(".py"):
            path = Path(module).expanduser()
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} cannot be read as a module")
            loaded = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded)
        else:
            loaded = importlib.import_module(module)
        return getattr(loaded, attribute)
    except (ImportError, OSError, AttributeError, SyntaxError) as problem:
        raise SpecError(
            f"{name} cannot be loaded: {problem}",
            hint="Write module:function or path/to/file.py:function.",
            where=WHERE,
        ) from None


def _refuse_unless_allowed(name: str, flag: str) -> None:
    if flag != "1":
        raise SpecError(
            f"the verifier {name} is code, and code of your own is not run unless you allow it",
            hint=f"Read the code; then set {FLAG}=1 in the environment of the studio.",
            where=WHERE,
        )
