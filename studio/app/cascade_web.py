"""Calibrating and testing a cascade from a page, which asks no model in its own process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from studio.app import comparison_web, local_server
from studio.core.errors import SpecError
from studio.processes import tasks
from studio.processes.tasks import Task

Verb = Literal["calibrate", "report"]
VERBS: tuple[Verb, ...] = ("calibrate", "report")
_NAME = "cascade"


@dataclass(frozen=True)
class Uploads:
    """Files of questions that a person dropped, by where the questions come from."""

    held_out: Sequence[str] = ()
    fresh: Sequence[str] = ()
    out_of_scope: Sequence[str] = ()

    def arguments(self, home: Path) -> list[str]:
        """As options of the command. Raises SpecError for a file that was not dropped into this studio."""
        found: list[str] = []
        for option, files in (("held-out", self.held_out), ("fresh", self.fresh), ("out-of-scope", self.out_of_scope)):
            for file in files or ():
                if not Path(file).resolve().is_relative_to((home / "ui" / "uploads").resolve()):
                    raise SpecError("this file was not dropped here", hint="Drop it into the field.", where=Path(file).name)
                found += [f"--{option}", file]
        return found


def smalls(home: Path) -> list[tuple[str, str]]:
    """Runs and models that may be the small one, as (label, name)."""
    return comparison_web.choices(home)[0]


def begin_calibrating(
    home: Path, small: str, url: str, model: str, prices: tuple[float, float] | None, risk: float, files: Uploads
) -> Task:
    """Begin to calibrate in a process that outlives the page. risk: a share. Raises StudioError."""
    if small not in {value for _, value in smalls(home)}:
        raise SpecError("choose a run or a model of the list", hint="It answers first.", where="Small model")
    url, model = (url or "").strip(), (model or "").strip()
    if not (url.startswith(("http://", "https://")) and model):
        raise SpecError(
            "expected the large model's address and name", hint="For example https://openrouter.ai/api/v1.", where="Large model"
        )
    local_server.endpoint(f"{url}#{model}")  # a server that this studio may not ask is refused here
    price = ["--price-in", str(prices[0]), "--price-out", str(prices[1])] if prices else []
    arguments = ["cascade", "calibrate", small, "--large", f"{url}#{model}", "--risk", str(risk), *price]
    return _begin(home, "calibrate", [*arguments, *files.arguments(home)])


def begin_reporting(home: Path, cascade: str, ceiling: float, machine: float, files: Uploads) -> Task:
    """Begin the report on new questions. ceiling: US dollars for the large model; machine: US dollars an hour.

    Raises StudioError.
    """
    limit = ["--ceiling", str(ceiling)] if ceiling else []
    arguments = ["cascade", "report", cascade, *limit, "--small-cost", str(machine), "--yes"]
    return _begin(home, "report", [*arguments, *files.arguments(home)])


def _begin(home: Path, verb: Verb, arguments: list[str]) -> Task:
    return tasks.begin(_folder(home), verb, _NAME, arguments, home)


def task(home: Path) -> Task | None:
    """What was begun last, if anything."""
    found = [task for verb in VERBS if (task := tasks.task(_folder(home), verb, _NAME)) is not None]
    return max(found, key=lambda item: item.begun, default=None)


def forget(home: Path) -> None:
    """Forget what was begun, and end it if it still works; answers that were paid for are kept."""
    for verb in VERBS:
        tasks.stop(_folder(home), verb, _NAME)


def _folder(home: Path) -> Path:
    return home / "cascades" / ".tasks"
