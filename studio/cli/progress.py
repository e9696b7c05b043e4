"""How far something is, on stderr: a bar in a terminal, else a line now and then that a log or a page can read."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from studio.core.signals import heard_as_interrupt
from studio.tracking.reporter import Reporter, Silent


class Progress:
    """Shows progress from the first report on; `with Progress() as bar: work(bar.show)`. Work of this process that is asked to
    end (SIGTERM) ends as by Ctrl-C: it puts its things away."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._said = ("", -1.0, 0.0)
        self._signals = heard_as_interrupt()

    def __enter__(self) -> Progress:
        self._signals.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self._bar:
            self._bar.stop()
        self._signals.__exit__(*raised)

    def show(self, done: float, total: float, what: str) -> None:
        """Show how far it is; where the total is not known (0), how much is done."""
        share = done / total if total else 0.0
        how_far = f"{what}: {share:.0%}" if share else f"{what}: {done:,.0f}" if done and not total else what
        if sys.stderr.isatty():
            self._bar = self._bar or _begun()
            self._bar.update(self._bar.task_ids[0], completed=share, description=what if total else how_far)
            return
        said, shown, when = self._said
        now = time.monotonic()
        further = share - shown >= 0.05 or (done and not total)
        if what != said or (share >= 1 > shown) or (further and now - when >= 1):
            self._said = (what, share, now)
            print(how_far, file=sys.stderr, flush=True)


@contextlib.contextmanager
def reporting(quiet: bool = False) -> Iterator[Reporter]:
    """A reporter that shows progress on stderr; quiet: only where a log or a page reads it."""
    with Progress() as bar:
        yield _Shown(bar if not (quiet and sys.stderr.isatty()) else None)


class _Shown(Silent):
    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Shown."""
        if self._bar:
            self._bar.show(done, total, what)


def _begun() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("  {task.description}"), BarColumn(bar_width=30))
    bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
    bar.add_task("", total=1.0)
    bar.start()
    return bar
