"""Fields: what a section's settings say of themselves, listed for every face.

Type and range are the annotation, the label is `title`, help is the docstring below the field, choices are a
`Literal`, sections nest. `Ui` holds only what those cannot say. Form, command line, JSON schema and docs read this.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Ui:
    """What a form needs beyond type, range, title and docstring."""

    step: float | None = None
    advanced: bool = False
    placeholder: str = ""


@dataclass(frozen=True)
class Leaf:
    """One setting: its dotted path and everything a face needs to show it."""

    path: str
    type: Any
    default: Any
    label: str
    help: str
    low: float | None = None
    high: float | None = None
    above: bool = False
    """True if `low` itself is not allowed."""
    below: bool = False
    """True if `high` itself is not allowed."""
    choices: tuple[Any, ...] = ()
    optional: bool = False
    """True if None ("decide for me") is allowed."""
    required: bool = False
    many: bool = False
    """True if the value is a list."""
    ui: Ui = field(default_factory=Ui)

    @property
    def span(self) -> str:
        """The numbers allowed, in words: `0 to 1`, `more than 0 and at most 1`, `at least 1`; empty if all are."""
        if self.low is not None and self.high is not None and not (self.above or self.below):
            return f"{_number(self.low)} to {_number(self.high)}"
        low = "" if self.low is None else f"{'more than' if self.above else 'at least'} {_number(self.low)}"
        high = "" if self.high is None else f"{'less than' if self.below else 'at most'} {_number(self.high)}"
        return " and ".join(part for part in (low, high) if part)


def _number(value: float) -> str:
    return f"{value:,}" if float(value).is_integer() else f"{value:g}"


@dataclass(frozen=True)
class Alternatives:
    """A list or choice among sections told apart by their `kind`."""

    path: str
    sections: dict[str, type[BaseModel]]
    label: str
    help: str
    many: bool
    optional: bool = False
    """True if None ("decide for me") is allowed."""


def leaves(section: type[BaseModel], prefix: str = "") -> Iterator[Leaf | Alternatives]:
    """Every field of a section and of the sections in it, in the order they are written."""
    for name, info in section.model_fields.items():
        path = f"{prefix}{name}"
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{path}.")
            continue
        sections = _alternatives(info)
        if sections:
            optional = types.NoneType in _members(inner)
            yield Alternatives(path, sections, _label(name, info), _help(info), _is_list(inner), optional)
        else:
            yield _leaf(path, name, info)


def _leaf(path: str, name: str, info: FieldInfo) -> Leaf:
    kinds = _members(info.annotation)
    choices = tuple(value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind))
    plain = [kind for kind in kinds if kind is not types.NoneType]
    low: Any = None
    high: Any = None
    above = below = False
    for rule in info.metadata:
        match rule:
            case annotated_types.Ge(ge=bound):
                low = bound
            case annotated_types.Gt(gt=bound):
                low, above = bound, True
            case annotated_types.Le(le=bound):
                high = bound
            case annotated_types.Lt(lt=bound):
                high, below = bound, True
            case _:
                pass
    ui = next((rule for rule in info.metadata if isinstance(rule, Ui)), Ui())
    required = info.is_required()
    default = None if required else info.get_default(call_default_factory=True)
    return Leaf(
        path=path,
        type=plain[0] if len(plain) == 1 else Union[tuple(plain)],  # noqa: UP007 - built at run time
        default=default,
        label=_label(name, info),
        help=_help(info),
        low=low,
        high=high,
        above=above,
        below=below,
        choices=choices,
        optional=types.NoneType in kinds,
        required=required,
        many=any(get_origin(kind) in (list, tuple) for kind in plain),
        ui=ui,
    )


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for member in get_args(annotation) for inner in _members(member)]
    return [annotation]


def _alternatives(info: FieldInfo) -> dict[str, type[BaseModel]]:
    members: list[Any] = [info.annotation]
    found: dict[str, type[BaseModel]] = {}
    while members:
        member = members.pop(0)
        if isinstance(member, type) and issubclass(member, BaseModel):
            kind = member.model_fields.get("kind")
            if kind is not None:
                found[str(get_args(kind.annotation)[0])] = member
        else:
            members = [*get_args(member), *members]
    return found


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (list, tuple)


def _label(name: str, info: FieldInfo) -> str:
    return info.title or name.replace("_", " ").capitalize()


def _help(info: FieldInfo) -> str:
    return " ".join((info.description or "").split())
