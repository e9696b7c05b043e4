"""`studio feedback`: answers that people rate, correct and flag, and the rows made of them."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studio.cli import show
from studio.cli.options import Home, Json
from studio.core.errors import SpecError
from studio.core.files import studio_home
from studio.core.text import plural, shorten

if TYPE_CHECKING:
    from pathlib import Path

    from studio.app.feedback import CollectedAnswer

app = typer.Typer(help="Rate, correct and flag answers, and make dataset rows of them.", no_args_is_help=True)
Answer = Annotated[str, typer.Argument(metavar="ANSWER", help="An answer's number, or the id a server gave it.")]


class State(StrEnum):
    """Answers by what people said of them."""

    unrated = "unrated"
    rated = "rated"
    good = "good"
    bad = "bad"
    corrected = "corrected"
    flagged = "flagged"


class Origin(StrEnum):
    """Where an answer was given."""

    chat = "chat"
    evidence = "evidence"
    served = "served"


class Into(StrEnum):
    """What rows are made of answers."""

    rows = "rows"
    labels = "labels"
    pairs = "pairs"


Which = Annotated[State | None, typer.Option("--state", help="Only answers in this state.")]
Where = Annotated[Origin | None, typer.Option("--origin", help="Only answers given there.")]


@app.command()
def on(home: Home = None, json: Json = False) -> None:
    """Let people rate answers on the pages Chat and Evidence. A server collects with `studio serve --collect`."""
    _turn(True, home, json)


@app.command()
def off(home: Home = None, json: Json = False) -> None:
    """Stop collecting on the pages; what was collected stays."""
    _turn(False, home, json)


def _turn(wanted: bool, home: Path | None, json: bool) -> None:
    from studio.app import feedback

    settings = feedback.turn(wanted, home)
    if json:
        show.as_json({"collecting": settings.pages, "home": str(studio_home(home))})
    elif wanted:
        show.say(f"on: answers that people rate are stored, personal data masked. {feedback.NAMES_NOT_COVERED}")
    else:
        show.say("off: nothing more is collected on the pages; what was collected stays")


@app.command("list")
def list_(
    state: Which = None,
    origin: Where = None,
    model: Annotated[str, typer.Option("--model", help="Only answers of this model.")] = "",
    unused: Annotated[bool, typer.Option("--unused", help="Only answers that are in no dataset yet.")] = False,
    most: Annotated[int, typer.Option("--limit", min=1, help="Maximum number of answers shown.")] = 20,
    home: Home = None,
    json: Json = False,
) -> None:
    """List the collected answers, newest first."""
    from studio.app import feedback

    query = _query(state, origin, model, unused)
    found = feedback.list_feedback(query, home, most=most)
    if json:
        show.as_json({"collecting": feedback.collecting(studio_home(home)).pages, "answers": [_dict(item) for item in found]})
        return
    rows = [
        (str(item.number), item.origin, item.model, shorten(item.question, 50), shorten(item.text, 50), _said(item))
        for item in found
    ]
    show.table(("answer", "from", "model", "question", "answered", "feedback"), rows)
    if not found:
        show.say("No answers. Turn collecting on: studio feedback on, or studio serve --collect.")


@app.command("show")
def show_(answer: Answer, home: Home = None, json: Json = False) -> None:
    """Show one answer with its conversation and what people said of it."""
    from studio.app import feedback

    item = feedback.find(answer, home)
    if json:
        show.as_json(_dict(item))
        return
    show.heading(f"{item.number}: {item.model}, {item.origin}")
    for turn in (*item.messages, item.answer):
        show.say(f"{turn['role']}: {turn.get('content') or ''}")
    for name, text in (("rating", item.rating), ("correction", item.correction), ("flag", item.flag)):
        if text:
            show.say(f"{name}: {text}", "bold")
    about = {
        "run": item.run,
        "by": item.by,
        "in": ", ".join(dict.fromkeys(item.datasets.values())),
        "masked:": ", ".join(item.masked),
    }
    words = [f"{name} {value}" for name, value in about.items() if value]
    show.say("; ".join([*words, "held out: not for training"] if item.held_out else words))


@app.command()
def rate(
    answer: Answer,
    good: Annotated[bool, typer.Option("--good", help="The answer is good.")] = False,
    bad: Annotated[bool, typer.Option("--bad", help="The answer is bad.")] = False,
    correct: Annotated[str | None, typer.Option("--correct", metavar="TEXT", help="What the answer should be.")] = None,
    flag: Annotated[str | None, typer.Option("--flag", metavar="TEXT", help="Why somebody should look at it.")] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Rate, correct or flag an answer. An empty TEXT takes a correction or flag back."""
    from studio.app import feedback

    if good and bad:
        raise SpecError("an answer is good or bad", hint="Give one of --good and --bad.", where="studio feedback rate")
    item = feedback.rate_answer(answer, "good" if good else "bad" if bad else None, correct, flag, home)
    show.as_json(_dict(item)) if json else show.say(f"{item.number}: {_said(item)}")


@app.command()
def delete(
    answers: Annotated[
        list[str] | None, typer.Argument(metavar="[ANSWER]…", help="Answers by number or id.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All answers, or all in --state and of --origin.")] = False,
    older: Annotated[float | None, typer.Option("--older", min=0, metavar="DAYS", help="Answers older than that.")] = None,
    state: Which = None,
    origin: Where = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Delete collected answers. Rows that were made of them stay in their datasets."""
    from studio.app import feedback

    if sum((bool(answers), every, older is not None)) != 1:
        raise SpecError("which answers?", hint="Name them, or give --older DAYS or --all.", where="studio feedback delete")
    if answers:
        count = feedback.delete(answers, home)
    else:
        count = feedback.delete_older(older if older is not None else -1, home, _query(state, origin, "", False))
    show.as_json({"deleted": count}) if json else show.say(f"deleted: {plural(count, 'answer')}")


@app.command("to-dataset")
def to_dataset(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset of the library, or the name of a new one.")],
    into: Annotated[
        Into, typer.Option("--as", help="rows: corrections and good answers; labels: rated answers; pairs: better and worse.")
    ] = Into.rows,
    answers: Annotated[
        list[str] | None,
        typer.Option(
            "--answer", metavar="ANSWER", help="Only this answer; repeatable [default: rated ones that were not added yet]."
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Save the dataset's next version at once.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Add rows made of rated answers to a dataset, as edits on its desk, or make a new dataset of them."""
    from studio.app import feedback

    done = feedback.feedback_dataset(name, into.value, answers or (), home, write)
    if json:
        show.as_json(asdict(done))
        return
    same = f"; {plural(done.unchanged, 'row')} there already" if done.unchanged else ""
    show.say(f"{done.written or done.reference}: {plural(done.added, 'row')} added{same}", "bold")
    for reason in done.left_out:
        show.say(f"left out: {reason}", "yellow")
    if done.held_out and done.held_out != (done.written or done.reference):
        show.say(f"Rows whose questions are held out are in {done.held_out}: evaluate on it, do not train on it.")
    if not done.written:
        show.say(f"Review them: studio data curate {done.reference}, then --write; or in the browser on the desk.")


def _query(state: State | None, origin: Origin | None, model: str, unused: bool) -> Any:
    from studio.app.feedback import Query

    return Query(state=state.value if state else "", origin=origin.value if origin else "", model=model, unused=unused)


def _said(item: CollectedAnswer) -> str:
    flag = f"flag: {shorten(item.flag, 40)}" if item.flag else ""
    return ", ".join(filter(None, (item.rating, "corrected" if item.correction else "", flag))) or "–"


def _dict(item: CollectedAnswer) -> dict[str, Any]:
    return item.as_json()
