"""Which kind of answers the references of a set are."""

from __future__ import annotations

from collections.abc import Sequence

from studio.evaluation.tasks import code, labels, lists, numbers, objects, text, toolcalls
from studio.evaluation.tasks.task import Task

TASKS: dict[str, Task] = {module.TASK.kind: module.TASK for module in (toolcalls, objects, code, labels, numbers, lists, text)}
"""By kind, in the order in which they are tried: the first that recognises the references is taken."""


def choose(references: Sequence[str], wanted: str = "auto") -> Task:
    """The task of a set: as set, else the first that recognises the references."""
    if wanted != "auto":
        return TASKS[wanted]
    return next((task for task in TASKS.values() if task.recognise(references)), text.TASK)
