"""Settings of the data section on the command line, and the advice of a refusal as a command that follows it."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.core.errors import AS_COMMAND, TO_FILL_IN, DataError, SpecError
from studio.core.text import nearest

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="data.FIELD=VALUE", help="Any setting of the data section, e.g. data.header_row=4 or data.sheet=FAQ."
    ),
]
Columns = Annotated[list[str] | None, typer.Option("--column", metavar="ROLE=COLUMN", help="Which column has which role.")]
Roles = Annotated[list[str] | None, typer.Option("--role", metavar="NAME=ROLE", help="Which speaker has which role.")]
Format = Annotated[str | None, typer.Option(help="The format of the rows, if it cannot be detected.")]
Turns = Annotated[str | None, typer.Option(help="Order of turns: strict, join or keep.")]

_VALUE = r'\{(?:"(?:[^"\\]|\\.)*"|[^{}"])*\}|"(?:[^"\\]|\\.)*"|[\w*]+'
_OR = re.compile(r"(?:  \([^()]*(?:\([^()]*\)[^()]*)*\))?  or  ")


def changed(
    settings: Sequence[str] | None,
    columns: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    format: str | None = None,
    turns: str | None = None,
) -> dict[str, Any]:
    """Fields of the data section that the options of a command set. Raises SpecError."""
    from studio import spec as specs

    flat: dict[str, Any] = {}
    for path, value in specs.parse_settings(settings or (), "--set data.FIELD=VALUE, e.g. --set data.header_row=4").items():
        inner = path.removeprefix("data.")
        _require_known(inner.partition(".")[0], path)
        flat[inner] = value
    changes = specs.nested(flat)
    named = {"columns": _pairs(columns), "roles": _pairs(roles), "format": format, "turns": turns}
    return {**changes, **{field: value for field, value in named.items() if value}}


def _require_known(field: str, path: str) -> None:
    """Raises SpecError for a path whose field is none of the data section."""
    from studio import spec as specs

    every = [leaf.path.split(".") for leaf in specs.fields()]
    known = sorted({f"data.{names[1]}" for names in every if names[0] == "data"})
    if f"data.{field}" in known:
        return
    if field in {names[0] for names in every}:
        raise SpecError(
            f"`{path}` is no setting of the data section", hint="Write e.g. --set data.header_row=4.", where="--set"
        )
    near = nearest(f"data.{field}", known)
    raise SpecError(
        f"unknown setting `data.{field}`",
        hint=f"Did you mean `{near}`?" if near else f"Known: {', '.join(known)}.",
        where="--set",
    )


def _pairs(items: Sequence[str] | None) -> dict[str, str]:
    return {left.strip(): right.strip() for left, _, right in (item.partition("=") for item in items or ())}


@contextlib.contextmanager
def advising(command: str, files: Sequence[str], spec: Path | None, changes: Mapping[str, Any]) -> Iterator[None]:
    """A refusal that says what to write in a spec also says which command reads the file that way."""
    try:
        yield
    except DataError as error:
        if lines := commands(error.hint, command, files, spec, changes):
            error.hint = AS_COMMAND.join((error.hint, *lines))
        raise


def commands(hint: str, command: str, files: Sequence[str], spec: Path | None, changes: Mapping[str, Any]) -> list[str]:
    """The advice of a hint as commands: one for each way that it offers, but none where a name is still to be filled in."""
    start = ["studio", "data", command, *files, *(("--spec", str(spec)) if spec else ())]
    return [
        shlex.join([*start, *_options({field: _flow(value) for field, value in changes.items()} | chosen)])
        for chosen in alternatives(hint)
        if not any(TO_FILL_IN in value for value in chosen.values())
    ]


def alternatives(hint: str) -> list[dict[str, str]]:
    """The settings that a hint says to write, with their values as YAML; a further one where it says `or`."""
    from studio.spec import fields

    known = "|".join(field.path[5:] for field in fields() if re.fullmatch(r"data[.]\w+", field.path))
    setting = re.compile(rf"(?<![\w{{])(?:data\.)?({known}): ({_VALUE})")
    found: list[dict[str, str]] = []
    end = 0
    for match in setting.finditer(hint):
        between = hint[end : match.start()]
        if not found or _OR.fullmatch(between):
            found.append({})
        elif between != ", ":
            break
        found[-1][match[1]] = match[2]
        end = match.end()
    return found


def _options(settings: Mapping[str, str]) -> list[str]:
    return [word for field, value in settings.items() for word in ("--set", f"data.{field}={value}")]


def _flow(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
