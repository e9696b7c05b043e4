"""The YAML of a spec: read within bounds, with the line of each field, with `extends`, variables and paths put in.

What a person writes in a file may lean on its surroundings: on another spec (`extends`), on the environment (`${DATA}`), on
files beside it (paths). All that is resolved here, so that what comes out stands for itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import ItemsView, Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from studio.core import resources
from studio.core.errors import SpecError
from studio.core.files import nearest_file
from studio.core.plain import is_object
from studio.core.text import nearest

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is eight times as fast, where there is one


class Yaml(_Loader):
    """YAML in which `off` is the word off and a date is the text it is: only true and false are yes and no (as in YAML 1.2)."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the shape the base class has
        first: [
            (tag, rule)
            for tag, rule in rules
            if tag != "tag:yaml.org,2002:timestamp" and (tag != "tag:yaml.org,2002:bool" or first in "tTfF")
        ]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


Values = dict[str, Any]
Lines = dict[str, str]
"""Where the value of a dotted path stands: `line 3`, or `base.yaml, line 3`."""

EXTENDS = "extends"
MOST_PARENTS = 10
"""Specs that may extend one another."""


def read_file(path: Path, children: tuple[Path, ...] = ()) -> tuple[Values, Lines]:
    """The values of the spec in a file, and of those it extends. Raises SpecError naming file, line and field.

    A variable is put in, and a path that names something beside the file is made to name it from here.
    """
    values, lines = parse(read(path), str(path))
    where = dict(lines)
    _put_in_variables(values, where, str(path))
    _from_here(values, path.parent)
    if EXTENDS not in values:
        return values, lines
    parent = _parent(values.pop(EXTENDS), path.parent, f"{path}, {lines[EXTENDS]}: {EXTENDS}")
    seen = (*children, path.resolve())
    if parent.resolve() in seen or len(seen) > MOST_PARENTS:
        raise SpecError(
            f"`{parent.name}` is extended in a circle", hint="Let one of them stand alone.", where=f"{path}: {EXTENDS}"
        )
    inherited, their_lines = read_file(parent, seen)
    return overlaid(inherited, values), {**{name: _in(parent, line) for name, line in their_lines.items()}, **lines}


def read_text(text: str, source: str) -> tuple[Values, Lines]:
    """The values of a spec that is no file: it may extend a shipped preset, and nothing else is put in."""
    values, lines = parse(text, source)
    if EXTENDS not in values:
        return values, lines
    parent = _parent(values.pop(EXTENDS), None, f"{source}, {lines[EXTENDS]}: {EXTENDS}")
    inherited, their_lines = read_file(parent)
    return overlaid(inherited, values), {**{name: _in(parent, line) for name, line in their_lines.items()}, **lines}


def _in(file: Path, line: str) -> str:
    return line if ", line" in line else f"{file.name}, {line}"


def overlaid(below: Values, above: Values) -> Values:
    """Values laid over others: sections are merged field by field, everything else is replaced. A section of another `kind`
    replaces the one below."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        if is_object(value) and is_object(under) and value.get("kind", under.get("kind")) == under.get("kind"):
            merged[name] = overlaid(under, value)
        else:
            merged[name] = value
    return merged


NOT_SPECS = ("recipes", "comparisons")
"""Folders of `configs/` whose files are no specs: they make rows, and compare ways of answering."""


def presets() -> dict[str, Path]:
    """The shipped specs by the name that `extends` takes."""
    files = sorted(resources.folder("configs").rglob("*.yaml"))
    return {file.stem: file for file in files if file.parent.name not in NOT_SPECS}


def _parent(name: object, folder: Path | None, where: str) -> Path:
    if not isinstance(name, str):
        raise SpecError(f"expected the name of a spec, got {name!r}", hint="Write e.g. extends: chat.", where=where)
    known = presets()
    if folder is not None:
        file = (folder / Path(name).expanduser()).absolute()
        if file.is_file():
            return Path(os.path.relpath(file)) if file.is_relative_to(Path.cwd()) else file
    if name in known:
        return known[name]
    near = nearest(name, list(known))
    hint = f"Did you mean `{near}`?" if near else f"Name a file beside this one, or a preset: {', '.join(known)}."
    raise SpecError(f"there is no spec `{name}`", hint=hint, where=where)


_VARIABLE = re.compile(r"\$(\$?)\{(\w+)(?::-([^}]*))?\}")
_SECRET = re.compile(r"(?i)(key|token|secret|password|credential)")
FREE_TEXT = ("data.system", "tracking.note")
"""Fields whose text is meant as it stands."""


def _put_in_variables(values: Values, lines: Lines, source: str) -> None:
    """Replace `${NAME}` and `${NAME:-otherwise}` in texts by the environment; `$${NAME}` stands for itself."""
    for path, holder, key in _texts(values):
        if path.startswith(FREE_TEXT):
            continue
        line = lines.get(path) or lines.get(path.rpartition(".")[0], "")
        holder[key] = _VARIABLE.sub(lambda match, at=f"{source}, {line}: {path}": _variable(match, at), holder[key])


def _variable(match: re.Match[str], where: str) -> str:
    escaped, name, otherwise = match.groups()
    if escaped:
        return match.group()[1:]
    if _SECRET.search(name):
        raise SpecError(
            f"`{name}` looks like a secret, and a spec holds none",
            hint="Keys are read from the environment or the keyring by themselves.",
            where=where,
        )
    value = os.environ.get(name) or otherwise
    if value is None:
        raise SpecError(
            f"the environment has no `{name}`",
            hint=f"Set it, write ${{{name}:-a default}}, or $${{{name}}} for the text itself.",
            where=where,
        )
    return value


def _texts(values: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every text in nested values: its dotted path, what holds it, and its key there."""
    items: Iterator[tuple[Any, Any]] | ItemsView[str, Any] = values.items() if is_object(values) else enumerate(values)
    for key, value in list(items):
        path = f"{prefix}{key}"
        if isinstance(value, str):
            yield path, values, key
        elif isinstance(value, dict | list):
            yield from _texts(value, f"{path}.")


PATHS = re.compile(
    r"data\.((train|holdout)(\.\d+)?|replay_from)|evaluation\.(also(\.\d+)?|general)|model\.(name|chat_template)"
    r"|adapter\.start_from|training\.method\.teacher"
)
"""The fields that may hold a path."""


def _from_here(values: Values, folder: Path) -> None:
    """Let paths relative to the spec's folder name the same files from the working folder.

    What is not there, and is in the working folder, is left as it is; so is what may be no path: a hub id, a dataset's name.
    """
    if folder.resolve() == Path.cwd():
        return
    for path, holder, key in _texts(values):
        name = holder[key]
        if not PATHS.fullmatch(path) or ":" in name or Path(name).expanduser().is_absolute():
            continue
        there = os.path.normpath(folder / Path(name).expanduser())
        is_pattern = any(mark in name for mark in "*?[")
        exists = any(folder.glob(name)) if is_pattern else Path(there).exists()
        looks_like_file = path.startswith("data.train") and not Path(name).exists()
        if exists or (looks_like_file and not is_pattern):
            holder[key] = there


DATA_FILES = frozenset((".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".parquet", ".arrow", ".xlsx", ".docx", ".gz", ".zip"))
"""Endings of files that hold rows, and never a spec."""


def read(path: Path) -> str:
    """The text of a spec's file. Raises SpecError."""
    if path.is_dir():
        raise SpecError("this is a folder", hint="Name a YAML file in it.", where=str(path))
    if path.is_file() and path.suffix.lower() in DATA_FILES:
        hint = f"`studio init --data {path}` writes a spec for it; or write `data: {{train: {path}}}` into a .yaml file."
        raise SpecError("this is a data file, and a spec is wanted", hint=hint, where=str(path))
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        near = nearest_file(path, "*.y*ml")
        hint = f"Did you mean {path.parent / near}?" if near else "Check the path; `studio init` makes a spec."
        raise SpecError("there is no such file", hint=hint, where=str(path)) from None
    except (UnicodeDecodeError, OSError) as problem:
        raise SpecError(
            f"it cannot be read as text ({problem})", hint="A spec is a UTF-8 YAML file.", where=str(path)
        ) from None


def parse(text: str, source: str) -> tuple[Values, Lines]:
    """The values of a YAML mapping and the line of each dotted path. Raises SpecError."""
    try:
        _bounded(text, source)
        loader = Yaml(text)
        node = loader.get_single_node()
        values = loader.construct_document(node) if node else None
    except yaml.YAMLError as problem:
        mark: Any = getattr(problem, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}" if mark else source
        reason = getattr(problem, "problem", None) or str(problem)
        line = text.splitlines()[int(mark.line)] if mark and mark.line < len(text.splitlines()) else ""
        quoted = ' Inside braces a variable is quoted: {train: "${DATA}/a.csv"}.' if "${" in line and "{" in line else ""
        hint = f"Check indentation, colons and quotes there.{quoted}"
        raise SpecError(f"this is not valid YAML: {reason}", hint=hint, where=where) from None
    if not is_object(values):
        raise SpecError("a spec is a mapping of sections", hint="Begin with `data: {train: your-file.csv}`.", where=source)
    lines: dict[str, int] = {}
    _lines(node, "", lines, source)
    return values, {path: f"line {line}" for path, line in lines.items()}


MOST_NODES, MOST_DEPTH, MOST_DIGITS = 20_000, 50, 100
"""Values, levels and digits of a number that a spec may have; no real one comes near."""


def _bounded(text: str, source: str) -> None:
    """Refuse what a few hundred bytes of YAML can blow up: aliases, deep nesting, endless lists, numbers without end."""
    depth = 0
    events = cast("Iterator[Any]", yaml.parse(text, Loader=Yaml))  # pyright: ignore[reportUnknownMemberType]
    for number, event in enumerate(events):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        long = isinstance(event, yaml.ScalarEvent) and len(event.value) > MOST_DIGITS and event.value.isdigit()
        reason = (
            "aliases (`*name`) are not read in a spec" if isinstance(event, yaml.AliasEvent)
            else f"it is nested more than {MOST_DEPTH} levels deep" if depth > MOST_DEPTH
            else f"it has more than {MOST_NODES:,} values" if number > MOST_NODES
            else f"a number has more than {MOST_DIGITS} digits" if long
            else ""
        )  # fmt: skip
        if reason:
            line = f"{source}, line {event.start_mark.line + 1}" if event.start_mark else source
            raise SpecError(reason, hint="Write the values out plainly.", where=line)


def _lines(node: yaml.Node | None, prefix: str, lines: dict[str, int], source: str) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            path = f"{prefix}{key.value}"
            if path in lines:
                raise SpecError(
                    f"`{path}` is written twice, first at line {lines[path]}",
                    hint="Keep one of them.",
                    where=f"{source}, line {key.start_mark.line + 1}",
                )
            lines[path] = key.start_mark.line + 1
            _lines(value, f"{path}.", lines, source)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            lines[f"{prefix}{place}"] = value.start_mark.line + 1
            _lines(value, f"{prefix}{place}.", lines, source)
