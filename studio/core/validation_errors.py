"""What is wrong with settings, in a user's words: the field, its line, what was found, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from pydantic import ValidationError

from studio.core.errors import SpecError
from studio.core.fields import Alternatives, Leaf, leaves
from studio.core.plain import is_object
from studio.core.text import nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Items = Sequence[Leaf | Alternatives]
_KINDS = {"int_": "an integer", "float_": "a number", "bool_": "true or false", "string_type": "a string"}
"""What was expected, by the beginning of the name of pydantic's type of problem."""


class Conflict(ValueError):
    """Fields that contradict each other, on its way through pydantic. where: empty for the field that is validated."""

    def __init__(self, where: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.where, self.message, self.hint = where, message, hint


def explain(error: ValidationError, items: Items, source: str, lines: Mapping[str, str]) -> SpecError:
    """The first problem pydantic found as a SpecError; an unknown key goes before all else, as it explains the rest."""
    problems = error.errors(include_url=False)
    problem = next((item for item in problems if item["type"] == "extra_forbidden"), problems[0])
    newer = next((item for item in problems if item["loc"] == ("version",) and item["type"] == "less_than_equal"), None)
    if newer is not None:  # all else that is unknown may be known to the release that wrote it
        problem = newer
    path, leaf = _field(problem["loc"], items)
    conflict = problem.get("ctx", {}).get("error")
    if isinstance(conflict, Conflict):
        path, message, hint = conflict.where or path, conflict.message, conflict.hint
    elif problem is newer:
        message = f"written by a newer release of Studio (version {_shown(problem['input'])}; this release reads up to "
        message, hint = (
            f"{message}{problem.get('ctx', {}).get('le')})",
            "Update Studio, or open it with the release that wrote it.",
        )
    elif problem["type"] == "extra_forbidden":
        message, hint = _unknown(path, problem["loc"], items)
    elif problem["type"] == "missing":
        message, hint = "required field is missing", _example(path)
    elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        message, hint = _unknown_kind(path, problem["input"], items)
    elif problem["type"] in ("model_type", "model_attributes_type", "list_type") and leaf is None:
        message, hint = (
            f"expected a {'list' if problem['type'] == 'list_type' else 'mapping'}, got {_shown(problem['input'])}",
            _written(path, items),
        )
    else:
        message, hint = f"{_expected(problem, leaf)}, got {_shown(problem.get('input'))}", _allowed(leaf)
    place = ", ".join(part for part in (source, _line(path, lines)) if part)
    return SpecError(message, hint=hint, where=f"{place}: {path}" if place else path)


def _field(loc: tuple[int | str, ...], items: Items) -> tuple[str, Leaf | None]:
    """pydantic's location as our dotted path and the field there; names of union members are left out."""
    by_path = {item.path: item for item in items}
    kept: list[str] = []
    for place, part in enumerate(loc):
        here = by_path.get(".".join(kept))
        if isinstance(here, Leaf):
            return here.path, here
        if isinstance(here, Alternatives):
            rest = [str(name) for name in loc[place:]]
            number = [rest.pop(0)] if rest and rest[0].isdigit() else []
            section = here.sections.get(rest[0]) if rest else None
            inner = rest[1:2] if section else rest[:1]
            leaf = next((item for item in leaves(section) if item.path in inner), None) if section else None
            return ".".join([here.path, *number, *inner]), leaf if isinstance(leaf, Leaf) else None
        kept.append(str(part))
    here = by_path.get(".".join(kept))
    return ".".join(kept), here if isinstance(here, Leaf) else None


def _line(path: str, lines: Mapping[str, str]) -> str:
    while path:
        if path in lines:
            return lines[path]
        path = path.rpartition(".")[0]
    return ""


def _expected(problem: ErrorDetails, leaf: Leaf | None) -> str:
    """What should stand there, from the field itself rather than from the member of a union that failed last."""
    if leaf and leaf.choices:
        other = "a list of names or " if leaf.many else _other(leaf.type)
        return f"expected {other}one of {', '.join(map(str, leaf.choices))}"
    if leaf and leaf.many:
        return "expected a list: [one, another]" if get_origin(leaf.type) is list else "expected a name or a list of names"
    if kind := next((words for begin, words in _KINDS.items() if problem["type"].startswith(begin)), ""):
        return f"expected {kind}"
    text = str(problem["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


def _other(of: object) -> str:
    return "" if get_origin(of) is Literal else "an integer or " if int in get_args(of) else "a string or "


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _allowed(leaf: Leaf | None) -> str:
    if leaf is None:
        return "See `studio fields`."
    if leaf.choices:
        return f"Choose one of: {', '.join(str(choice) for choice in leaf.choices)}."
    return f"Allowed: {leaf.span}. {leaf.help}" if leaf.span else leaf.help


def _unknown(path: str, loc: tuple[int | str, ...], items: Items) -> tuple[str, str]:
    parent, _, name = path.rpartition(".")
    known = _known(parent, loc, items)
    elsewhere = [item.path for item in items if item.path.rpartition(".")[2] == name]
    near = nearest(name, known) or (elsewhere[0] if elsewhere else None)
    hint = f"Did you mean `{near}`?" if near else f"Valid keys: {', '.join(known)}."
    if parent and near == name:
        hint = f"`{name}` belongs at the top level, beside `{parent.partition('.')[0]}`."
    if known == ["kind"]:
        hint = f"Remove it: `{next(part for part in reversed(loc[:-1]) if isinstance(part, str))}` has no settings."
    return f"unknown key `{name}`", hint


def _known(parent: str, loc: tuple[int | str, ...], items: Items) -> list[str]:
    for item in items:
        if isinstance(item, Alternatives) and f"{parent}.".startswith(f"{item.path}."):
            section = next((kind for name, kind in item.sections.items() if name in loc), None)
            return list(section.model_fields) if section else list(item.sections)
    prefix = f"{parent}." if parent else ""
    return sorted({item.path[len(prefix) :].split(".")[0] for item in items if item.path.startswith(prefix)})


def _unknown_kind(path: str, value: object, items: Items) -> tuple[str, str]:
    kinds = next(
        (list(item.sections) for item in items if isinstance(item, Alternatives) and path.startswith(item.path)), list[str]()
    )
    if not is_object(value) or "kind" not in value:
        return (
            f"expected a mapping with a `kind`, got {_shown(value)}",
            f"Write for example {{kind: {kinds[0]}}}; valid kinds: {', '.join(kinds)}.",
        )
    near = nearest(str(value["kind"]), kinds)
    return f"unknown kind {value['kind']!r}", f"Did you mean `{near}`?" if near else f"Choose one of: {', '.join(kinds)}."


def _written(path: str, items: Items) -> str:
    """How a section, or a list of alternatives, is written."""
    for item in items:
        if isinstance(item, Alternatives) and item.path == path:
            example = f"{{kind: {next(iter(item.sections))}}}"
            return f"Write `{path}: {f'[{example}]' if item.many else example}`; valid: {', '.join(item.sections)}."
    first = next((item.path.removeprefix(f"{path}.") for item in items if item.path.startswith(f"{path}.")), "name")
    return f"Write `{path}: {{{first}: ...}}`."


def _example(path: str) -> str:
    return "Name a file: `data: {train: your-file.csv}`." if path.startswith("data") else "Set a value."
