"""RunSpec: the description of a run, read from YAML, flags, forms or Python.

YAML, the form, `--set` and notebooks all build a spec through `parse`. `None` means "decide for me": the plan decides,
with a reason, and a resolved spec has no undecided value left. *Off* is always a named choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from studio.core.errors import SpecError
from studio.core.fields import Alternatives, Leaf, Ui, leaves
from studio.core.plain import is_list, is_object, type_name
from studio.core.section import DECIDED, Section
from studio.core.validation_errors import Conflict, explain
from studio.data.curation.store import is_reference
from studio.data.settings import PLAIN, Data, ResolvedData
from studio.evaluation.settings import Evaluation, ResolvedEvaluation
from studio.export.targets import AnyTarget
from studio.models.settings import Model, ResolvedModel
from studio.spec import documents
from studio.tracking.settings import Tracking
from studio.training.settings import Adapter, ResolvedAdapter, ResolvedTraining, Training

RECORDED = {**PLAIN, "recorded": True}
"""The validation context of a spec that a run has recorded: old names of fields are read without a word."""


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
    export: list[AnyTarget] = Field(default_factory=list[AnyTarget], title="Exports")
    """Artifacts to export after training, each a mapping with its `kind` and settings."""

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
        if folds := self.evaluation.folds:
            _refuse_folds(self, folds)
        if self.adapter.kind in ("pissa", "olora") and self.training.weight_decay:
            raise Conflict(
                "training.weight_decay",
                f"{self.adapter.kind} is measured from where it began, which weight decay would shrink",
                "Set training.weight_decay to 0, or choose another adapter.kind.",
            )
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


def _refuse_folds(spec: RunSpec, folds: int) -> None:
    """Raise Conflict where a cross-validation is not possible."""
    field, kind = "evaluation.folds", spec.training.method.kind
    if folds == 1:
        raise Conflict(field, "a cross-validation needs at least 2 folds", "Write 5, say, or 0 for none.")
    if spec.data.holdout != 0:
        raise Conflict(
            field,
            "a cross-validation holds out every row in turn, and `data.holdout` keeps some apart",
            "Set data.holdout to 0, or evaluation.folds to 0.",
        )
    if kind in ("grpo", "kto", "distil"):
        raise Conflict(field, f"the method {kind} is not cross-validated", "Hold rows out: set data.holdout to 0.1.")
    if spec.adapter.start_from:
        seen = "the adapter to start from may have been trained on these rows, so that none of them is unseen"
        raise Conflict(field, seen, "Hold rows out: set data.holdout to 0.1.")


class ResolvedSpec(RunSpec, frozen=True):
    """A spec as a plan returns it: every value that was left open is decided. What trains, evaluates and exports takes this."""

    model: ResolvedModel = DECIDED
    data: ResolvedData = DECIDED
    adapter: ResolvedAdapter = DECIDED
    training: ResolvedTraining = DECIDED
    evaluation: ResolvedEvaluation = DECIDED


_Spec = TypeVar("_Spec", bound=RunSpec)


def parse(values: Mapping[str, Any], source: str = "", lines: Mapping[str, str] | None = None) -> RunSpec:
    """Build a spec from nested plain values, as YAML, forms and `--set` give them; in Python, `RunSpec(...)` does.

    source names where the values come from and lines maps dotted paths to `line 3` and the like; both go into the error.
    Raises SpecError for the first thing that is wrong: unknown key (with the nearest right one), type, range, conflict.
    """
    return _checked(RunSpec, values, source, lines, PLAIN)


def parse_resolved(values: Mapping[str, Any], source: str = "", lines: Mapping[str, str] | None = None) -> ResolvedSpec:
    """The same for a spec with every value decided. Raises SpecError for one that is left open."""
    return _checked(ResolvedSpec, values, source, lines, PLAIN)


def _checked(
    kind: type[_Spec],
    values: Mapping[str, Any],
    source: str,
    lines: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
) -> _Spec:
    try:
        return kind.model_validate(dict(values), context=context)
    except ValidationError as found:
        raise explain(found, fields(), source, lines or {}) from None


def as_spec(spec: RunSpec | str | Path | Mapping[str, Any]) -> RunSpec:
    """A spec as it is, from the path of a YAML file, or from a mapping. Raises SpecError."""
    if isinstance(spec, RunSpec):
        return spec
    if isinstance(spec, str | Path):
        if Path(spec).suffix.lower() not in (".yaml", ".yml", ""):
            raise SpecError(
                "expected a spec, got the name of another file",
                hint=f"A spec is a YAML file; to train on this file: RunSpec(data={{'train': {str(spec)!r}}}).",
                where=str(spec),
            )
        return load(spec)
    if isinstance(spec, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - a notebook passes anything
        return _checked(RunSpec, spec, "")
    raise SpecError(
        f"expected a spec, got {type_name(spec)}",
        hint="Give a RunSpec, the path of a YAML file, or a mapping; rows go into it: RunSpec(data={'train': rows}).",
        where="spec",
    )


def load(path: str | Path) -> RunSpec:
    """Read a spec from a YAML file. Raises SpecError naming file, line and field.

    The file may extend another (`extends: chat`, a shipped preset or a file beside it) and use variables (`${DATA}`); its
    paths are relative to its folder, or to the working folder if only that has them.
    """
    path = Path(path).expanduser()
    values, lines = documents.read_file(path)
    return parse(values, str(path), lines)


def load_recorded(path: Path) -> RunSpec:
    """Read a spec that a run has recorded: everything in it is meant as it stands. Raises SpecError."""
    values, lines = documents.parse(documents.read(path), str(path))
    return _checked(RunSpec, values, str(path), lines, RECORDED)


def load_resolved(path: str | Path) -> ResolvedSpec:
    """Read the spec of a planned run. Raises SpecError naming file, line and field."""
    path = Path(path)
    values, lines = documents.parse(documents.read(path), str(path))
    return _checked(ResolvedSpec, values, str(path), lines, RECORDED)


def parse_text(text: str, source: str = "spec") -> RunSpec:
    """Read a spec from YAML text that is no file: it may extend a shipped preset; variables and paths are left as they are.
    Raises SpecError naming source, line and field."""
    values, lines = documents.read_text(text, source)
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
        known = name.startswith("hub:") or is_reference(name)
        return name if known else str(Path(name).expanduser().absolute())

    changes: dict[str, Any] = {"data.train": [full(name) for name in spec.data.files]}
    if isinstance(spec.data.holdout, str):
        changes["data.holdout"] = full(spec.data.holdout)
    if spec.data.replay_from != "builtin":
        changes["data.replay_from"] = full(spec.data.replay_from)
    if spec.evaluation.also:
        changes["evaluation.also"] = [full(name) for name in spec.evaluation.also]
    if spec.evaluation.general not in ("builtin", "off"):
        changes["evaluation.general"] = full(spec.evaluation.general)
    judge = spec.evaluation.judge
    if judge.rubric_file:
        changes["evaluation.judge.rubric"] = full(judge.rubric_file)
    folders = {
        "model.name": spec.model.name,
        "adapter.start_from": spec.adapter.start_from,
        "evaluation.judge.model": judge.model,
    }
    for field, name in folders.items():
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
            changes[path.strip()] = yaml.load(value, documents.Yaml)
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
            if is_list(here):
                here = here[_index(here, key, path)]
                continue
            if not (is_object(here.get(key)) or is_list(here.get(key))):
                here[key] = {}
            here = here[key]
        if is_list(here):
            here[_index(here, last, path)] = value
        else:
            here[last] = value
    return tree


def _index(items: list[Any], key: str, path: str) -> int:
    if key.isdigit() and int(key) < len(items):
        return int(key)
    raise SpecError(
        f"`{key}` is not a place in a list of {len(items)}", hint="Count from 0, or give the whole list.", where=path
    )


def schema() -> dict[str, Any]:
    """The JSON schema of a spec, for editors. A spec that extends another may leave out what that one has."""
    found = RunSpec.model_json_schema()
    extends = {"title": "Extends", "type": "string", "description": "A shipped preset, or a spec beside this one."}
    return {**found, "properties": {documents.EXTENDS: extends, **found["properties"]}, "required": []}


@cache
def fields() -> tuple[Leaf | Alternatives, ...]:
    """Every field of the spec, as the form, the docs table and `studio fields` show it."""
    return tuple(leaves(RunSpec))


def fingerprint(spec: RunSpec) -> str:
    """Eight hex digits of what makes the run what it is; the name, tags and note do not count."""
    values = spec.model_dump(mode="json", exclude={"name": True, "tracking": True})
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]
