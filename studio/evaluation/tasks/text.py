"""Free text, short or long: the figures every set has. Which one is read first depends on the length of the references."""

from __future__ import annotations

from studio.evaluation.tasks.task import Task

TASK = Task("text", (), "", lambda references: bool(references), lambda references: lambda reference, answer: {})
