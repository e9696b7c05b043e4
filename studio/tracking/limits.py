"""What a call to a tracker may take and may tell: so many seconds, no secrets, and nothing of how the machine is laid out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from studio.tracking import secrets

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """The call's result or error, or TimeoutError after `seconds`; the call is then left behind in its thread."""
    result: list[T] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            result.append(call())
        except BaseException as problem:
            error.append(problem)

    thread = threading.Thread(target=run, daemon=True, name="wandb-call")
    thread.start()
    thread.join(seconds)
    if error:
        raise RuntimeError(redacted(error[0])) from error[0]
    if not result:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds")
    return result[0]


def redacted(problem: BaseException) -> str:
    """An error in one line, without secrets."""
    return secrets.redact(" ".join(str(problem).split())[:300]) or type(problem).__name__


def without_paths(value: object) -> Any:
    """The value with folders left out of every path, keys included: in the home folder they are written from ~, elsewhere
    only the last part stays, since how a machine is laid out is nobody's business. Keys that become the same are numbered."""
    if isinstance(value, dict):
        shown: dict[Any, Any] = {}
        for key, item in value.items():
            shown[_another(without_paths(key), shown)] = without_paths(item)
        return shown
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str):
        return value
    path, home = Path(value), Path.home()
    if not path.is_absolute():
        return value
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) and len(home.parts) > 1 else path.name


def _another(key: object, taken: dict[Any, Any]) -> Any:
    """The key, numbered if it is taken: `rows.csv`, `rows.csv (2)`."""
    number, wanted = 2, key
    while key in taken:
        key, number = f"{wanted} ({number})", number + 1
    return key
