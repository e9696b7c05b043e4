"""Use case of reference: every field of the spec as plain rows, for `studio fields` and docs/fields.md."""

from __future__ import annotations

import typing
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from studio import spec
from studio.core.fields import Alternatives, Leaf, leaves
from studio.core.plain import is_items


class Row(NamedTuple):
    """One field as a table shows it."""

    field: str
    values: str
    default: str
    help: str


def rows() -> list[Row]:
    """Every field, with the fields of each export under `export.<kind>`."""
    found: list[Row] = []
    for item in spec.fields():
        if isinstance(item, Leaf):
            found.append(_row(item))
            continue
        kinds = ", ".join(item.sections)
        values, default = (
            (f"list of {kinds}", "none") if item.many else (kinds, "empty" if item.optional else next(iter(item.sections)))
        )
        found.append(Row(item.path, values, default, item.help))
        for kind, section in item.sections.items():
            found += [_row(leaf) for leaf in leaves(section, f"{item.path}.{kind}.") if _own(leaf)]
    return found


def markdown() -> str:
    """The table as Markdown."""
    lines = ["| field | values | default | |", "|---|---|---|---|"]
    for row in rows():
        cells = [f"`{row.field}`", *(part.replace("|", "\\|") for part in row[1:])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _own(leaf: Leaf | Alternatives) -> typing.TypeGuard[Leaf]:
    return isinstance(leaf, Leaf) and not leaf.path.endswith(".kind")


def _row(leaf: Leaf) -> Row:
    default = "needed" if leaf.required else "empty" if leaf.default is None else _short(leaf.default)
    return Row(leaf.path, _values(leaf), default, leaf.help)


def _values(leaf: Leaf) -> str:
    if leaf.choices:
        plain = [_name(kind) for kind in typing.get_args(leaf.type) if typing.get_origin(kind) is not typing.Literal]
        plain = plain if typing.get_origin(leaf.type) is not typing.Literal else []
        return ", ".join([*(str(choice) for choice in leaf.choices), *plain])
    name = _name(leaf.type)
    return f"{name}, {leaf.span}" if leaf.span else name


def _name(kind: Any) -> str:
    names = {int: "integer", float: "number", str: "text", bool: "yes or no"}
    if kind in names:
        return names[kind]
    if typing.get_origin(kind) is list:
        return "list"
    if typing.get_origin(kind) is dict:
        return "mapping"
    return " or ".join(_name(part) for part in typing.get_args(kind))


def _short(value: object) -> str:
    if is_items(value) and any(isinstance(item, BaseModel) for item in value):
        written = [item.model_dump(mode="json") for item in value]
        return f"`{yaml.safe_dump(written, default_flow_style=True, sort_keys=False, width=10_000).strip()}`"
    return "none" if value in ([], {}, "") else str(value).lower() if isinstance(value, bool) else str(value)
