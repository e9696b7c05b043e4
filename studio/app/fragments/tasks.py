"""Fragment of a command that was begun from a page: how far it is, or how it ended."""

from __future__ import annotations

from markupsafe import Markup

from studio.app.fragments.parts import note, notice, progress
from studio.processes.tasks import Task


def working(task: Task | None, what: str) -> Markup:
    """A bar while it works, its error, or that it is done; nothing where none was begun. what: the words before its first line."""
    if task is None:
        return Markup("")
    if task.error:
        return notice(task.error.message, task.error.hint, "bad", task.error.where)
    if task.state == "done":
        return note("Done.")
    words, _, share = task.progress.rpartition(": ")
    done = share.rstrip("%")
    return progress(float(done) if done.isdigit() else 0, 100 if done.isdigit() else 0, words or task.progress or what)
