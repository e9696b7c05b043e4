"""Record: the frozen, versioned type of what one part of Studio writes and another reads.

The class that writes a file is the class that reads it. A file carries the version of its layout; one without a version
was written before layouts were numbered and counts as version 1. Fields that this release does not know are ignored, so
that a later release of the same layout version may add some.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from studio.core.errors import StudioError, error_from
from studio.core.files import append_json, write_json
from studio.core.plain import is_object


class RecordError(StudioError):
    """A file that Studio wrote cannot be read: it is damaged, or of a version that this release does not read."""

    exit_code = 2


class Record(BaseModel):
    """A group of values that is written as JSON and read by the same class. Also the base of the groups inside one.

    Constructing one checks types and refuses unknown names; a mistake there is a bug of ours.
    """

    # a validator is built when it is first used: a command uses few of all records
    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", protected_namespaces=())

    label: ClassVar[str] = "record"
    """What messages call it, e.g. "plan"."""
    schema_version: ClassVar[int] = 1
    """The version of the layout that `write` writes; raised when an older reader would misread the new layout."""
    remedy: ClassVar[str] = "Restore the file from a backup, or delete it."
    """What to do about a file that cannot be read."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in `path`. Raises RecordError; FileNotFoundError if there is no such file."""
        try:
            values = json.loads(path.read_bytes())
        except FileNotFoundError:
            raise
        except OSError as error:
            raise RecordError(
                f"the {cls.label} cannot be read: {error.strerror}", hint="Check the permissions of the file.", where=str(path)
            ) from None
        except ValueError as error:
            raise cls._damaged(f"not valid JSON ({error})", str(path)) from None
        return cls.from_json(values, where=str(path))

    @classmethod
    def from_json(cls, values: object, where: str = "") -> Self:
        """The record that `as_json` gave, brought up to this version first. Raises RecordError; where names the source."""
        if not is_object(values):
            raise cls._damaged(f"expected a JSON object, got {type(values).__name__}", where)
        version = values.get("version", 1)
        if not isinstance(version, int) or version < 1:
            raise cls._damaged(f"`version` expected a positive integer, got {version!r}", where)
        if version > cls.schema_version:
            raise RecordError(
                f"the {cls.label} was written by a newer release of Studio (version {version}; this release reads up to "
                f"{cls.schema_version})",
                hint="Update Studio, or open it with the release that wrote it.",
                where=where,
            )
        values = {name: value for name, value in values.items() if name != "version"}
        try:
            for older in range(version, cls.schema_version):
                values = cls.upgrade(values, older)
            return cls.model_validate(values, extra="ignore")
        except ValidationError as error:
            raise cls._damaged(_first_problem(error), where) from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            detail = f"({type(error).__name__}: {error})"
            raise cls._damaged(f"version {version} cannot be brought up to {cls.schema_version} {detail}", where) from None

    @classmethod
    def upgrade(cls, values: dict[str, Any], version: int) -> dict[str, Any]:
        """The values of layout `version` as layout `version + 1`. A class overrides it when it raises `schema_version`."""
        raise ValueError("no upgrade is known")

    def as_json(self) -> dict[str, Any]:
        """As JSON values, the version first."""
        return {"version": self.schema_version, **self.model_dump(mode="json")}

    def write(self, path: Path, durable: bool = True) -> Path:
        """Write the record so that a reader sees the old file or the new one, never half of it (`files.write_text`)."""
        return write_json(path, self.as_json(), durable)

    def as_line(self) -> dict[str, Any]:
        """As the JSON values of a line among others: without fields at their defaults, without the version while it is 1."""
        version = {} if self.schema_version == 1 else {"version": self.schema_version}
        return {**version, **self.model_dump(mode="json", exclude_defaults=True)}

    def append(self, path: Path) -> None:
        """Append the record to `path` as one line of JSON, in a single write."""
        append_json(path, self.as_line())

    @classmethod
    def read_lines(cls, path: Path) -> list[Self]:
        """The records of a file that was written as a whole, one a line, none left out. Raises RecordError with the line."""
        return [cls.from_json(values, where) for where, values in json_lines(path, cls.label, cls.remedy)]

    @classmethod
    def _damaged(cls, what: str, where: str) -> RecordError:
        return RecordError(f"the {cls.label} is damaged: {what}", hint=cls.remedy, where=where)


class ErrorRecord(Record):
    """A StudioError as it is kept in status files and events, and sent between processes."""

    label: ClassVar[str] = "error"

    kind: str
    """The name of the error's class."""
    message: str
    hint: str = ""
    where: str = ""

    @classmethod
    def of(cls, error: StudioError) -> ErrorRecord:
        """The record of an error."""
        return cls(kind=type(error).__name__, message=error.message, hint=error.hint, where=error.where)

    def error(self) -> StudioError:
        """The error again, of its own class where that is known."""
        return error_from(self.model_dump())

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


def json_lines(path: Path, label: str, remedy: str = Record.remedy) -> Iterator[tuple[str, object]]:
    """Where each line of a file stands, as `path:line`, and its JSON value. Raises RecordError for a line that holds none.

    For files that are written as a whole, in which a line's number says what it is of; `files.read_json_lines` is for those
    that are appended to. label: what a line is, for messages. remedy: what to do about a damaged one.
    """
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{path}:{number}"
                try:
                    yield where, json.loads(line)
                except ValueError as error:
                    raise RecordError(f"the {label} is damaged: not valid JSON ({error})", hint=remedy, where=where) from None
    except FileNotFoundError:
        raise RecordError(f"the {label} is missing", hint=remedy, where=str(path)) from None


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"required field `{path}` is missing"
    text = str(problem["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    given = repr(problem.get("input"))
    given = given if len(given) <= 80 else given[:77] + "..."
    return f"`{path}` {text[:1].lower() + text[1:]}, got {given}" if path else text
