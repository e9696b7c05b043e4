"""`studio init`: a commented spec for your own data, from questions or options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from studio.cli import show
from studio.cli.options import Json
from studio.core.errors import SpecError, StudioError

Answer = TypeVar("Answer")


def init(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to write it [default: NAME.yaml].")] = None,
    data: Annotated[str | None, typer.Option("--data", help="A file, a folder, hub:owner/name, or dataset:NAME[@N].")] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", help="The task, e.g. chat or classification [default: inferred from the rows]."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The base model [default: what fits].")] = None,
    gpu: Annotated[str | None, typer.Option("--gpu", help='GPU to plan for, e.g. "RTX 3060" [default: this machine].')] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run [default: from the data].")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; choose everything that is not set.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is already there.")] = False,
    json: Json = False,
) -> None:
    """Write a spec for your data: settings for the task, a model that fits, and a reason for every choice."""
    from studio.app import starting
    from studio.core.files import write_text

    asking = sys.stdin.isatty() and not yes and not json
    if file is not None:
        _refuse_existing(file, overwrite)
    if data is None:
        if not asking:
            raise SpecError("no data were given", hint="studio init --data FILE", where="--data")
        data = _answer("Your data (a file, a folder, hub:owner/name)", _data)
    if asking and task is None:
        task = _task(data)
    if asking and gpu is None:
        gpu = _answer('GPU to plan for, e.g. "RTX 3060" (empty: this machine)', starting.known_gpu, "")
    if asking and model is None:
        model = _answer("Base model (empty: the largest of the task's family that fits)", str, "")
    draft = starting.draft(data, task, model or None, gpu or None, name, file.absolute().parent if file else None)
    if file is None:
        file = Path(f"{draft.name}.yaml")
        if asking and file.exists() and not overwrite:
            file = _answer(f"{file} is already there; write to", _new_file)
        _refuse_existing(file, overwrite)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, draft.text)
    if json:
        fits = draft.plan.fits if draft.plan else None
        show.as_json({"file": str(file), "name": draft.name, "task": draft.task, "model": draft.model, "fits": fits})
        return
    show.say(f"{file}: task {draft.task} ({draft.why}), base model {draft.model}", "bold")
    for line in draft.plan.summary if draft.plan else ():
        show.say(f"  {line}")
    if draft.plan is None:
        show.say(f"! {draft.why_model}", "yellow")
    if draft.plan and not draft.plan.fits:
        show.say("! It does not fit: see what would with studio plan.", "yellow")
    show.say(f"Next: studio plan {file}, then studio train {file}")


def _answer(question: str, check: Callable[[str], Answer], default: str | None = None) -> Answer:
    """What is answered in the terminal, once it can be used: a wrong answer is shown with what to do and asked again."""
    while True:
        answer = str(typer.prompt(question, default=default, show_default=bool(default))).strip().strip("'\"")
        try:
            return check(answer)
        except StudioError as error:
            show.say(str(error), "yellow")


def _data(answer: str) -> str:
    from studio.app import starting

    starting.inspected(answer)
    return answer


def _task(data: str) -> str | None:
    """The task asked for; None for the one that the rows look like, so that the spec names the reason of the guess."""
    from studio.app import starting

    guess, why = starting.guess_task(data)
    for known, about in starting.tasks().items():
        show.say(f"  {known:<15} {about}", "bold" if known == guess else "")
    chosen = _answer(f"Task ({why})", lambda answer: starting.known_task(answer.lower()), guess)
    return None if chosen == guess else chosen


def _new_file(answer: str) -> Path:
    _refuse_existing(Path(answer), overwrite=False)
    return Path(answer)


def _refuse_existing(file: Path, overwrite: bool) -> None:
    if file.exists() and not overwrite:
        raise SpecError("the file already exists", hint="Name another one, or pass --overwrite.", where=str(file))
