"""Every view of a home: the commands, the tables of the pages, the supervisor's look, the doctor."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.app import library, overview, queue, runs, servers, serving, upkeep
from studio.cli.main import run as command
from studio.core.errors import StudioError
from studio.runs import supervisor


def failures(home: Path, run: str) -> list[str]:
    """What is wrong with the views of a home of which one file is damaged: each a view, and what it said."""
    found = []
    for name, view in _views(home, run).items():
        try:
            said = view()
        except StudioError as error:
            said = "" if error.hint else f"an error without a hint: {error}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            found.append(f"{name}: {said}")
    return found


def _views(home: Path, run: str) -> dict[str, Callable[[], str]]:
    def of(what: Callable[[], Any]) -> Callable[[], str]:
        def look() -> str:
            what()
            return ""

        return look

    shown = ["runs", "show", run]
    listed = ["runs", "list"]
    commands = (listed, [*listed, "--json"], shown, [*shown, "--json"], ["clean", "--dry-run"])
    views = {f"studio {' '.join(words)}": _command([*words, "--home", str(home)]) for words in commands}
    return views | {
        "rows of the runs page": of(lambda: overview.rows(home)),
        "steps of the home page": of(lambda: overview.path(home)),
        "disk of the home page": of(lambda: overview.disk(home)),
        "the queue": of(lambda: queue.order(home)),
        "the supervisor's look": of(lambda: supervisor.any_active(home)),
        "what can be served": of(lambda: servers.choices(home)),
        "running servers": of(lambda: [serving.running(home), servers.servers(home)]),
        "the library": of(lambda: [library.versions(home), library.models(home)]),
        "a run's exports": of(lambda: [item.artifacts for item in runs.list_runs(home)]),
        "a run's events and metrics": of(lambda: [(item.events, item.metrics) for item in runs.list_runs(home)]),
        "the doctor": of(lambda: upkeep.check(home)),
    }


def _command(words: list[str]) -> Callable[[], str]:
    def run() -> str:
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = command(words)
        said = errors.getvalue()
        if "internal error" in said or "internal error" in out.getvalue():
            return (said or out.getvalue())[:300]
        if "--json" in words:
            json.loads(out.getvalue())
        elif code and "→" not in said:
            return f"a refusal without a hint: {said[:200]}"
        return ""

    return run
