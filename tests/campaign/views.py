"""Every view of a home: the commands, the pages, what pages and the supervisor read; and whether a damaged file takes one down.

A view of a thing that is whole must come, whatever is damaged elsewhere. A view of the damaged thing may refuse, in a
sentence with a hint. None may end in an internal error.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.app import exports, library, overview, queue, runs, servers, serving, upkeep
from studio.cli.main import run as command
from studio.core.errors import StudioError
from studio.runs import supervisor
from tests.campaign import whole_home


@dataclass(frozen=True)
class View:
    """A look at a home. item: the thing it shows, relative to the home; empty for a list or the home as a whole."""

    name: str
    item: str
    look: Callable[[], str]
    """Returns what is wrong, else nothing; raises StudioError for a refusal."""
    words: tuple[str, ...] = ()
    """The command's, if it is one."""


def failures(home: Path, damaged: Collection[str], views: list[View]) -> list[str]:
    """What is wrong with the views of a home in which the things `damaged` are damaged: each a view, and what it said."""
    found = []
    for view in views:
        try:
            said = view.look()
        except StudioError as error:
            said = "" if error.hint else f"an error without a hint: {error}"
            if not said and not any(concerns(view.item, item) for item in damaged):
                said = f"refused, and it shows nothing damaged: {error}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            found.append(f"{view.name}: {said[:300]}")
    return found


def concerns(item: str, damaged: str) -> bool:
    """Whether a view of `item` may refuse while `damaged` is damaged."""
    return bool(item) and (item == damaged or damaged.startswith(f"{item}/") or item.startswith(f"{damaged}/"))


def read(home: Path) -> list[View]:
    """What pages, the queue and the supervisor read of every home."""
    looks: dict[str, Callable[[], Any]] = {
        "rows of the runs page": lambda: overview.rows(home),
        "steps of the home page": lambda: overview.path(home),
        "disk of the home page": lambda: overview.disk(home),
        "the queue": lambda: queue.order(home),
        "the supervisor's look": lambda: supervisor.any_active(home),
        "what can be served": lambda: servers.choices(home),
        "running servers": lambda: [serving.running(home), servers.servers(home)],
        "the library": lambda: [library.versions(home), library.models(home)],
        "every run's exports": lambda: [exports.list_exports(item) for item in runs.list_runs(home)],
        "every run's events and metrics": lambda: [(item.events, item.metrics) for item in runs.list_runs(home)],
        "the doctor": lambda: upkeep.check(home),
    }
    return [View(name, "", quietly(look)) for name, look in looks.items()]


def of_runs(home: Path) -> list[View]:
    """The commands about runs, of every run there is."""
    found = [_command(home, "", "runs", "list"), _command(home, "", "clean", "--dry-run")]
    for run in runs.list_runs(home):
        found.append(_command(home, f"runs/{run.id}", "runs", "show", run.id))
    return [*read(home), *_in_json(home, found)]


def commands(home: Path) -> list[View]:
    """Every command that shows what lies in a home that `whole_home` filled, for people and for programs."""
    return [*read(home), *_in_json(home, list(_commands(home, whole_home.names(home))))]


def lists(home: Path) -> list[View]:
    """The commands that list what lies in a home."""
    words = ("runs list", "clean --dry-run", "documents list", "index list", "make list", "cascade list", "data list", "doctor")
    return [_command(home, "", *each.split()) for each in words]


def _commands(home: Path, named: dict[str, list[str]]) -> Iterator[View]:
    out = home.parent / "out"
    yield from lists(home)
    yield _command(home, "runs", "runs", "compare", *named["runs"])
    for run in named["runs"]:
        for words in (["runs", "show", run], ["savings", run], ["judge", run]):
            yield _command(home, f"runs/{run}", *words)
    for name in named["datasets"]:
        for words in (
            ["curate", name],
            ["diff", name],
            ["export", name, "--to", f"{out}.jsonl"],
            ["inspect", f"dataset:{name}"],
        ):
            yield _command(home, f"datasets/{name}", "data", *words)
    for name in named["documents"]:
        yield _command(home, f"documents/{name}", "documents", "show", name)
        yield _command(home, f"documents/{name}", "documents", "show", name, "--document", "aurel.md")
        yield _command(home, f"documents/{name}", "documents", "export", name, "--out", f"{out}.passages")
    for name in named["indexes"]:
        yield _command(home, f"indexes/{name}", "index", "search", name, "How much does the lamp cost?")
    for job in named["making"]:
        yield _command(home, f"making/{job}", "make", "report", job)


def of_pages(home: Path, pages: Any) -> list[View]:
    """Every page, at every address that shows something. pages: a `Pages` of this home."""
    from tests.campaign.pages import visits

    return [
        View(f"/{page}?{'&'.join(f'{key}={value}' for key, value in query.items())}", item, _page(pages, page, query))
        for page, query, item in visits(home)
    ]


def _page(pages: Any, page: str, query: dict[str, str]) -> Callable[[], str]:
    def look() -> str:
        import gradio

        shown = io.StringIO()
        try:
            with contextlib.redirect_stderr(shown):
                pages.open(page, query)
        except gradio.Error as error:
            said = str(error.message)
            if "Internal error" in said:
                return shown.getvalue()[-300:]
            raise StudioError(said, hint="as shown") from None
        return ""

    return look


def quietly(look: Callable[[], Any]) -> Callable[[], str]:
    """A look of which nothing but an error is wrong."""

    def looked() -> str:
        look()
        return ""

    return looked


def _in_json(home: Path, views: list[View]) -> list[View]:
    return [*views, *(_command(home, view.item, *view.words, "--json") for view in views)]


def _command(home: Path, item: str, *words: str) -> View:
    def look() -> str:
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = command([*words, "--home", str(home)])
        said = errors.getvalue()
        if "internal error" in said or "internal error" in out.getvalue():
            return said or out.getvalue()
        document = json.loads(out.getvalue()) if "--json" in words else None
        reported = words[:2] == ("data", "inspect") and code == 2 and out.getvalue()  # the report says what is wrong
        if code == 0 or reported or (words[0] == "doctor" and code == 1):
            return ""
        message, _, hint = said.partition("→")
        raise StudioError(message.strip() or f"ended with {code}: {document}"[:200], hint=hint.strip())

    return View(f"studio {' '.join(words)}", item, look, words)
