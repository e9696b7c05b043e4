"""The form as plain values: every field of the spec as text in a box or a choice in a list, and back, without loss.

It is made from the fields themselves (`studio.spec.fields`): label, help, range, choices. An empty box means "decide for
me" where the field allows it, and the field's own default elsewhere.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal

import yaml

from studio import spec as specs
from studio.core.fields import Alternatives, Leaf, Ui, leaves
from studio.core.section import Section
from studio.spec import RunSpec

BY_HAND = ("version", "name", "model.name", "data.train")
"""Fields that the page shows in its own way."""
TITLES = {
    "model": "Precision",
    "data": "Data",
    "adapter": "Adapter",
    "training": "Training",
    "evaluation": "Evidence",
    "tracking": "Tracking",
}
NAMES = {True: "Yes", False: "No"}
DECIDE = "Decide for me"
Unset = type("Unset", (), {})
UNSET = Unset()


@cache
def fields() -> tuple[Leaf, ...]:
    """The fields of the generated form, in the order of the spec.

    A choice among sections is a list of their kinds, then the fields of each as `training.method.dpo.beta`.
    """
    found: list[Leaf] = []
    for item in specs.fields():
        if isinstance(item, Leaf):
            found += [item] if item.path not in BY_HAND else []
        elif not item.many:
            kinds = tuple(item.sections)
            default = None if item.optional else kinds[0]
            ui = Ui(advanced=item.optional)
            found.append(
                Leaf(item.path, Literal[kinds], default, item.label, item.help, choices=kinds, optional=item.optional, ui=ui)
            )
            for kind, section in item.sections.items():
                own = leaves(section, f"{item.path}.{kind}.")
                own = (leaf for leaf in own if isinstance(leaf, Leaf) and not leaf.path.endswith(".kind"))
                found += [replace(leaf, ui=replace(leaf.ui, advanced=True)) if item.optional else leaf for leaf in own]
    return tuple(found)


def chooser(leaf: Leaf) -> tuple[str, str] | None:
    """The field whose choice brings this one up, and that choice; None for a field that is always there."""
    item = next((item for item in _choices() if leaf.path.startswith(f"{item.path}.")), None)
    return (item.path, leaf.path.removeprefix(f"{item.path}.").partition(".")[0]) if item else None


def spec_path(leaf: Leaf) -> str:
    """The field's path in a spec, where a section's kind is no part of it."""
    brings = chooser(leaf)
    return leaf.path.replace(f"{brings[0]}.{brings[1]}.", f"{brings[0]}.") if brings else leaf.path


@cache
def _choices() -> tuple[Alternatives, ...]:
    return tuple(item for item in specs.fields() if isinstance(item, Alternatives) and not item.many)


def section_of(leaf: Leaf) -> str:
    """The section a field belongs to."""
    return leaf.path.partition(".")[0]


def is_choice(leaf: Leaf) -> bool:
    """Whether a field is chosen from a list."""
    return _plain_choice(leaf) or leaf.type is bool


def choices(leaf: Leaf, decided: object = UNSET) -> list[tuple[str, str]]:
    """A field's choices as (label, value); the value that stands for "decide for me" is empty."""
    values = [True, False] if leaf.type is bool else list(leaf.choices)
    found = [
        (NAMES.get(value, str(value)) if isinstance(value, bool) else str(value), to_text(leaf, value)) for value in values
    ]
    if leaf.optional:
        label = (
            DECIDE if decided is UNSET else f"{DECIDE}: {NAMES.get(decided, decided) if isinstance(decided, bool) else decided}"
        )
        found.insert(0, (label, ""))
    return found


def help_of(leaf: Leaf) -> str:
    """What a field is and what may be written, in a line."""
    return leaf.help.replace("`", "") + (f" {leaf.span[0].upper()}{leaf.span[1:]}." if leaf.span else "")


def placeholder(leaf: Leaf) -> str:
    """What stands in an empty box."""
    if leaf.ui.placeholder:
        return leaf.ui.placeholder
    return DECIDE.lower() if leaf.optional else "" if leaf.default in (None, "", [], {}, ()) else to_text(leaf, leaf.default)


def to_text(leaf: Leaf, value: object) -> str:
    """A value as its box shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return _flow(value)[1:-1] if value else ""
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, Section) for item in value):
            return _flow([item.model_dump(mode="json") for item in value])
        items = [str(item) for item in value]
        simple = all(item and item == item.strip() and not any(mark in item for mark in ",[]'\"\n") for item in items)
        return ", ".join(items) if simple else _flow(items)
    return repr(value) if isinstance(value, float) else str(value)


def from_text(leaf: Leaf, text: object) -> Any:
    """What a box says, as a value for the spec; UNSET if it is empty. Wrong words come back as they are."""
    text = "" if text is None else str(text)
    if not text.strip():
        return UNSET
    if leaf.type is bool:
        return {"yes": True, "no": False}.get(text.strip().lower(), text)
    if _plain_choice(leaf):
        return next((value for value in leaf.choices if str(value) == text), text)
    kinds = _kinds(leaf.type)
    if dict in kinds:
        return _mapping(text, plain=dict[str, Any] not in _members(leaf.type))
    if leaf.many and (str not in kinds or "," in text or text.lstrip().startswith("[") or not _is_word(leaf, text)):
        return _items(text)
    if int in kinds or float in kinds:
        number = _number(text, whole=float not in kinds)
        return text.strip() if number is None else number
    return text


def default_text(leaf: Leaf) -> str:
    """What a box shows before anyone wrote in it."""
    return "" if leaf.optional or leaf.default is None else to_text(leaf, leaf.default)


def changed(values: Sequence[Any]) -> dict[str, Any]:
    """What differs from the defaults, by dotted path; `values` stand in the order of `fields`."""
    return changed_among(fields(), values)


def changed_among(leaves: Sequence[Leaf], values: Sequence[Any]) -> dict[str, Any]:
    """What the boxes of these fields say that differs from the defaults, by dotted path."""
    found = {}
    for leaf, text in zip(leaves, values, strict=True):
        value = from_text(leaf, text)
        if value is not UNSET and value != leaf.default:
            found[leaf.path] = value
    for item in _choices():
        default = None if item.optional else next(iter(item.sections))
        kind = found.pop(item.path, default)
        own = {path.rpartition(".")[2]: found[path] for path in found if path.startswith(f"{item.path}.{kind}.")}
        found = {path: value for path, value in found.items() if not path.startswith(f"{item.path}.")}
        if kind is not None and (own or kind != default):
            found[item.path] = {"kind": kind, **own} if own else kind
    return found


def values_of(spec: RunSpec) -> list[str]:
    """What each box shows for a spec, in the order of `fields`."""
    shown = []
    for leaf in fields():
        brings = chooser(leaf)
        if brings and getattr(_at(spec, brings[0]), "kind", None) != brings[1]:
            shown.append(default_text(leaf))
            continue
        value = _at(spec, spec_path(leaf))
        shown.append(to_text(leaf, type(value).model_fields["kind"].default if isinstance(value, Section) else value))
    return shown


def exports() -> list[tuple[str, str]]:
    """The usual exports as (label, value): one for each kind, or one for each choice it needs made."""
    item = next(item for item in specs.fields() if isinstance(item, Alternatives) and item.path == "export")
    found = []
    for kind, section in item.sections.items():
        own = [leaf for leaf in leaves(section) if isinstance(leaf, Leaf) and leaf.path != "kind"]
        made = next((leaf for leaf in own if leaf.choices and not leaf.optional), None)
        options = [{made.path: choice} for choice in made.choices] if made else [{}]
        found += [export_choice({"kind": kind, **option}) for option in options]
    return found


def export_choice(target: dict[str, Any]) -> tuple[str, str]:
    """An export as a choice: its label and its value, in which everything is kept."""
    kept = {name: value for name, value in target.items() if value is not None}
    extra = [str(value) if name == "quant" else f"{name} {value}" for name, value in kept.items() if name != "kind"]
    return " ".join([str(kept["kind"]), *extra]), json.dumps(kept, sort_keys=True)


def _plain_choice(leaf: Leaf) -> bool:
    return bool(leaf.choices) and all(typing.get_origin(kind) is typing.Literal for kind in _members(leaf.type))


def _members(kind: object) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) not in (None, typing.Literal, list, dict) else (kind,)


def _kinds(kind: object) -> set[Any]:
    return {typing.get_origin(member) or member for member in _members(kind)} | {
        type(value)
        for member in _members(kind)
        if typing.get_origin(member) is typing.Literal
        for value in typing.get_args(member)
    }


def _is_word(leaf: Leaf, text: str) -> bool:
    return text.strip() in leaf.choices


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False).strip()


def _mapping(text: str, plain: bool) -> Any:
    """A box's text as a mapping; plain: of texts to texts."""
    try:
        found = yaml.safe_load(text if text.lstrip().startswith("{") else f"{{{text}}}")
    except yaml.YAMLError:
        return text
    if not isinstance(found, dict) or (not plain and None in found.values()):
        return text
    return {str(key): value if value is None or not plain else str(value) for key, value in found.items()}


def _items(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError:
            return text
        return [item if isinstance(item, dict) else str(item) for item in found] if isinstance(found, list) else text
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str, whole: bool) -> int | float | None:
    text = text.strip().replace("_", "")
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return None if whole else float(text)
    except ValueError:
        return None


def _at(spec: RunSpec, path: str) -> Any:
    value: Any = spec
    for name in path.split("."):
        value = getattr(value, name)
    return value
