"""The one tree of errors a user may see: what, where, and what to do.

Raised where the value is used; shown in four places only (cli, ui, worker, data report). Anything that is not a
`StudioError` is a bug of ours and is shown as one.
"""

from __future__ import annotations


class StudioError(Exception):
    """Something the user can act on.

    message: what is wrong, with what was found. hint: what to do. where: the field, file or line it concerns.
    """

    exit_code = 1
    """The command's exit status: 1 the work failed, 2 the input is wrong and nothing was started, 3 it does not fit."""

    def __init__(self, message: str, *, hint: str, where: str = "") -> None:
        super().__init__(message, hint, where)
        self.message, self.hint, self.where = message, hint, where

    def __reduce__(self):
        return _rebuild, (type(self), self.message, self.hint, self.where)

    @property
    def sentence(self) -> str:
        """Where and what, without the hint: for texts that say what to do in a place of its own."""
        where = self.where.replace("\n", "\ufffd")  # a file may be called anything: it must not look like a line of ours
        return f"{where}: {self.message}" if where else self.message

    def __str__(self) -> str:
        return f"{self.sentence}\n→ {self.hint}" if self.hint else self.sentence

    def _render_traceback_(self) -> list[str]:
        """How IPython shows it: what, where and what to do, without the frames in between, which are not the user's."""
        return f"{type(self).__name__}: {self}".splitlines()

    def as_dict(self) -> dict[str, str]:
        """The error as plain values, for events, status files and `--json`."""
        return {"kind": type(self).__name__, "message": self.message, "hint": self.hint, "where": self.where}


def _rebuild(kind: type[StudioError], message: str, hint: str, where: str) -> StudioError:
    return kind(message, hint=hint, where=where)


class SpecError(StudioError):
    """The spec is wrong: an unknown key, a wrong type, a value out of range, fields that contradict each other."""

    exit_code = 2


class DataError(StudioError):
    """A dataset cannot be used, or a row of it cannot."""

    exit_code = 2


class ModelError(StudioError):
    """A model or its tokenizer cannot be found or used."""

    exit_code = 2


class HardwareError(StudioError):
    """The machine cannot do this: memory, disk, a missing device or part."""


class OutOfMemory(HardwareError):
    """Memory ran out while training: on the device, or the machine's own."""


class DoesNotFit(HardwareError):
    """What was asked for needs more memory or disk space than the machine has; found before it was started."""

    exit_code = 3


class TrainingError(StudioError):
    """Training stopped because its result would be worthless, or cannot go on."""


class Diverged(TrainingError):
    """Training went wrong on the way: a loss or a gradient became infinite or no number."""


class EvaluationError(StudioError):
    """A run cannot be evaluated."""


class ExportError(StudioError):
    """An export could not be written or did not answer as the adapter did."""


class JobError(StudioError):
    """A run cannot be found, started, stopped or resumed as asked."""

    exit_code = 2


class Stopped(Exception):
    """The run was asked to stop and has saved what it needs to go on. Not an error."""


def error_from(values: dict[str, str]) -> StudioError:
    """The error that `as_dict` described, e.g. read back from a run folder."""
    kinds = {kind.__name__: kind for base in [StudioError, *StudioError.__subclasses__()] for kind in base.__subclasses__()}
    kind = kinds.get(values.get("kind", ""), StudioError)
    return kind(values["message"], hint=values.get("hint", ""), where=values.get("where", ""))


AS_COMMAND = "\n→ Here: "
"""In a hint, what stands before each command that follows it; pages have fields of their own and leave these out."""
TO_FILL_IN = "COLUMN"
"""Where a hint cannot know the name of a column: no command is made of it."""
DAMAGED = (StudioError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What reading the files of a damaged run folder raises."""
