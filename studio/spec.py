"""RunSpec: the description of a run, read from YAML, flags, forms or Python.

YAML, the form, `--set` and notebooks all build a spec through `parse`. `None` means "decide for me": the plan decides,
with a reason, and a resolved spec has no undecided value left. *Off* is always a named choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from studio.core.errors import SpecError
from studio.core.files import nearest_file
from studio.core.section import DECIDED, Alternatives, Leaf, Section, Ui, leaves
from studio.core.wrong import Conflict, explain
from studio.data.settings import PLAIN, Data, ResolvedData
from studio.evaluation.settings import Evaluation, ResolvedEvaluation
from studio.export.targets import AnyTarget
from studio.models.settings import Model, ResolvedModel
from studio.tracking.settings import Tracking
from studio.training.settings import Adapter, ResolvedAdapter, ResolvedTraining, Training


class RunSpec(Section, frozen=True):
    """One fine-tuning run from data to exports."""

    version: Annotated[int, Ui(advanced=True)] = Field(default=1, ge=1, le=1, title="Spec version")
    """The version of this layout."""
    name: str = Field(default="run", min_length=1, max_length=80, title="Name")
    """What you call the run; part of its folder's name."""
    model: Model = Field(default_factory=Model)
    data: Data
    adapter: Adapter = Field(default_factory=Adapter)
    training: Training = Field(default_factory=Training)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    tracking: Tracking = Field(default_factory=Tracking)
    export: list[AnyTarget] = Field(default_factory=list, title="Exports")
    """What is made of the finished run: `adapter`, `merged`, `gguf`."""

    if TYPE_CHECKING:  # a mapping makes a section too, which a type checker cannot read from the fields

        def __init__(
            self,
            *,
            data: Data | Mapping[str, Any],
            name: str = "run",
            model: Model | Mapping[str, Any] = ...,
            adapter: Adapter | Mapping[str, Any] = ...,
            training: Training | Mapping[str, Any] = ...,
            evaluation: Evaluation | Mapping[str, Any] = ...,
            tracking: Tracking | Mapping[str, Any] = ...,
            export: Sequence[AnyTarget | Mapping[str, Any]] = ...,
            version: int = 1,
        ) -> None: ...

    @model_validator(mode="after")
    def _sections_agree(self) -> RunSpec:
        share = self.data.holdout
        if isinstance(share, float) and not 0 <= share < 0.9:
            raise Conflict(
                "data.holdout", f"{share} is not a share from 0 to below 0.9", "Write a share such as 0.1, or a file."
            )
        no_held_out = share == 0
        if no_held_out and self.training.keep == "best":
            raise Conflict(
                "training.keep",
                "`best` needs held-out rows and `data.holdout` is 0",
                "Set data.holdout to 0.1, or keep to last.",
            )
        if no_held_out and self.training.early_stopping != "off":
            raise Conflict(
                "training.early_stopping",
                "it needs held-out rows and `data.holdout` is 0",
                "Set data.holdout to 0.1, or turn it off.",
            )
        if isinstance(self.training.early_stopping, int) and self.training.early_stopping < 1:
            raise Conflict("training.early_stopping", "must be at least 1, or `off`", "Write off, or a number such as 3.")
        both = (self.training.batch_size, self.training.micro_batch)
        if both[0] and both[1] and both[0] % both[1]:
            raise Conflict(
                "training.micro_batch",
                f"{both[1]} does not divide the effective batch of {both[0]}",
                "Choose a micro-batch that divides training.batch_size, or leave it empty.",
            )
        kinds = [json.dumps(target.model_dump(), sort_keys=True) for target in self.export]
        if len(set(kinds)) != len(kinds):
            raise Conflict("export", "the same export is asked for twice", "Remove one of them.")
        return self


class ResolvedSpec(RunSpec, frozen=True):
    """A spec as a plan returns it: every value that was left open is decided. What trains, evaluates and exports takes this."""

    model: ResolvedModel = DECIDED
    data: ResolvedData = DECIDED
    adapter: ResolvedAdapter = DECIDED
    training: ResolvedTraining = DECIDED
    evaluation: ResolvedEvaluation = DECIDED


_Spec = TypeVar("_Spec", bound=RunSpec)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is eight times as fast, where there is one


class _Yaml(_Loader):
    """YAML in which `off` is the word off: only true and false are yes and no (as in YAML 1.2)."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - the shape the base class has
        first: [(tag, rule) for tag, rule in rules if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def parse(values: Mapping[str, Any], source: str = "", lines: Mapping[str, int] | None = None) -> RunSpec:
    """Build a spec from nested plain values, as YAML, forms and `--set` give them; in Python, `RunSpec(...)` does.

    source names where the values come from and lines maps dotted paths to line numbers; both go into the error.
    Raises SpecError for the first thing that is wrong: unknown key (with the nearest right one), type, range, conflict.
    """
    return _checked(RunSpec, values, source, lines, PLAIN)


def parse_resolved(values: Mapping[str, Any], source: str = "", lines: Mapping[str, int] | None = None) -> ResolvedSpec:
    """The same for a spec with every value decided. Raises SpecError for one that is left open."""
    return _checked(ResolvedSpec, values, source, lines, PLAIN)


def _checked(
    kind: type[_Spec],
    values: Mapping[str, Any],
    source: str,
    lines: Mapping[str, int] | None = None,
    context: Mapping[str, Any] | None = None,
) -> _Spec:
    try:
        return kind.model_validate(dict(values), context=context)
    except ValidationError as found:
        raise explain(found, fields(), source, lines or {}) from None


def as_spec(given: RunSpec | str | Path | Mapping[str, Any]) -> RunSpec:
    """A spec as it is, from the path of a YAML file, or from a mapping. Raises SpecError."""
    if isinstance(given, RunSpec):
        return given
    if isinstance(given, str | Path):
        if Path(given).suffix.lower() not in (".yaml", ".yml", ""):
            raise SpecError(
                "expected a spec, got the name of another file",
                hint=f"A spec is a YAML file; to train on this file: RunSpec(data={{'train': {str(given)!r}}}).",
                where=str(given),
            )
        return load(given)
    if isinstance(given, Mapping):
        return _checked(RunSpec, given, "")
    raise SpecError(
        f"expected a spec, got {type(given).__module__.partition('.')[0]}.{type(given).__name__}",
        hint="Give a RunSpec, the path of a YAML file, or a mapping; rows go into it: RunSpec(data={'train': rows}).",
        where="spec",
    )


def load(path: str | Path) -> RunSpec:
    """Read a spec from a YAML file. Raises SpecError naming file, line and field."""
    path = Path(path)
    return parse_text(_read(path), source=str(path))


def load_resolved(path: str | Path) -> ResolvedSpec:
    """Read the spec of a planned run. Raises SpecError naming file, line and field."""
    path = Path(path)
    values, lines = _yaml(_read(path), str(path))
    return parse_resolved(values, str(path), lines)


def parse_text(text: str, source: str = "spec") -> RunSpec:
    """Read a spec from YAML text. Raises SpecError naming source, line and field."""
    values, lines = _yaml(text, source)
    return parse(values, source, lines)


def dump(spec: RunSpec) -> str:
    """The spec as YAML, every field written, so that reading it gives an equal spec."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def dump_asked(spec: RunSpec) -> str:
    """The spec as YAML with only the fields that were given."""
    values = {"version": 1, **spec.model_dump(mode="json", exclude_unset=True)}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def edit(spec: _Spec, changes: Mapping[str, Any], source: str = "edit") -> _Spec:
    """The spec with dotted fields changed, checked again: `edit(spec, {"training.epochs": 2})`. Raises SpecError."""
    return _checked(type(spec), nested(changes, spec.model_dump(mode="json", exclude_unset=True)), source)


def with_full_paths(spec: _Spec) -> _Spec:
    """The spec with local files named in full, so that it can be repeated from anywhere."""

    def full(name: str) -> str:
        return name if name.startswith(("hub:", "dataset:")) else str(Path(name).expanduser().absolute())

    changes: dict[str, Any] = {"data.train": [full(name) for name in spec.data.files]}
    if isinstance(spec.data.holdout, str):
        changes["data.holdout"] = full(spec.data.holdout)
    if spec.evaluation.also:
        changes["evaluation.also"] = [full(name) for name in spec.evaluation.also]
    if spec.evaluation.general not in ("builtin", "off"):
        changes["evaluation.general"] = full(spec.evaluation.general)
    for field, name in (("model.name", spec.model.name), ("adapter.start_from", spec.adapter.start_from)):
        if name and Path(name).expanduser().is_dir():
            changes[field] = full(name)
    if spec.model.chat_template:
        changes["model.chat_template"] = full(spec.model.chat_template)
    return edit(spec, changes)


def parse_settings(items: Iterable[str], form: str = "--set section.field=value") -> dict[str, Any]:
    """`--set a.b=c` items as dotted paths and YAML values (`2e-4` is a number, `[a, b]` a list, `null` undecided).

    form: how one is written, for who wrote it otherwise.
    """
    changes: dict[str, Any] = {}
    for item in items:
        path, equals, value = item.partition("=")
        if not equals or not path.strip():
            raise SpecError(f"`{item}` is not a setting", hint=f"Write {form}.", where="--set")
        try:
            changes[path.strip()] = yaml.load(value, _Yaml)
        except yaml.YAMLError:
            changes[path.strip()] = value
    return changes


def nested(flat: Mapping[str, Any], onto: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Dotted paths as nested values, laid over `onto`; a number in a path is a place in a list (`export.0.quant`)."""
    tree: Any = json.loads(json.dumps(onto or {}))
    for path, value in flat.items():
        *parents, last = path.split(".")
        here: Any = tree
        for key in parents:
            if isinstance(here, list):
                here = here[_place(here, key, path)]
                continue
            if not isinstance(here.get(key), (dict, list)):
                here[key] = {}
            here = here[key]
        if isinstance(here, list):
            here[_place(here, last, path)] = value
        else:
            here[last] = value
    return tree


def _place(items: list[Any], key: str, path: str) -> int:
    if key.isdigit() and int(key) < len(items):
        return int(key)
    raise SpecError(
        f"`{key}` is not a place in a list of {len(items)}", hint="Count from 0, or give the whole list.", where=path
    )


def schema() -> dict[str, Any]:
    """The JSON schema of a spec, for editors."""
    return RunSpec.model_json_schema()


def fields() -> list[Leaf | Alternatives]:
    """Every field of the spec, as the form, the docs table and `studio fields` show it."""
    return list(leaves(RunSpec))


def fingerprint(spec: RunSpec) -> str:
    """Eight hex digits of what makes the run what it is; the name, tags and note do not count."""
    values = spec.model_dump(mode="json", exclude={"name": True, "tracking": True})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def _read(path: Path) -> str:
    if path.is_dir():
        raise SpecError("this is a folder", hint="Name a YAML file in it.", where=str(path))
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        near = nearest_file(path, "*.y*ml")
        hint = f"Did you mean {path.parent / near}?" if near else "Check the path; presets lie in configs/."
        raise SpecError("there is no such file", hint=hint, where=str(path)) from None
    except (UnicodeDecodeError, OSError) as problem:
        raise SpecError(
            f"it cannot be read as text ({problem})", hint="A spec is a UTF-8 YAML file.", where=str(path)
        ) from None


def _yaml(text: str, source: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The values of a YAML mapping and the line of each dotted path."""
    try:
        _bounded(text, source)
        loader = _Yaml(text)
        node = loader.get_single_node()
        values = loader.construct_document(node) if node else None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"{source}, line {mark.line + 1}" if mark else source
        reason = getattr(problem, "problem", None) or str(problem)
        raise SpecError(
            f"this is not valid YAML: {reason}", hint="Check indentation, colons and quotes there.", where=where
        ) from None
    if not isinstance(values, dict):
        raise SpecError("a spec is a mapping of sections", hint="Begin with `data: {train: your-file.csv}`.", where=source)
    lines: dict[str, int] = {}
    _lines(node, "", lines, source)
    return values, lines


MOST_NODES, MOST_DEPTH, MOST_DIGITS = 20_000, 50, 100
"""Values, levels and digits of a number that a spec may have; no real one comes near."""


def _bounded(text: str, source: str) -> None:
    """Refuse what a few hundred bytes of YAML can blow up: aliases, deep nesting, endless lists, numbers without end."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Yaml)):
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
