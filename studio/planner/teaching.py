"""The teacher of a distillation: which model it is, and whether its words can be the student's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.errors import JobError, SpecError, StudioError
from studio.core.files import sha256
from studio.models import loading
from studio.models.settings import Model
from studio.runs import folder as folders
from studio.spec import RunSpec
from studio.training.methods.distil import Distil
from studio.training.teacher import same_tokens

FIELD = "training.method.teacher"


@dataclass(frozen=True)
class Teacher:
    """A model, and the adapter on it if the teacher is a run."""

    name: str
    """As the spec has it."""
    model: Model
    found: loading.Found
    adapter: Path | None = None

    @property
    def key(self) -> str:
        """What its words depend on."""
        weights = sha256(self.adapter / "adapter_model.safetensors") if self.adapter else ""
        return f"{self.model.model_dump_json()} {self.found.revision} {weights}"


def refuse_without_teacher(spec: RunSpec) -> None:
    """Raise SpecError if the method distils and no teacher is named."""
    method = spec.training.method
    if isinstance(method, Distil) and not method.teacher:
        raise SpecError(
            "distillation needs a teacher", hint="Name a run, the folder of a model, or a model of the hub.", where=FIELD
        )


def teacher(spec: RunSpec, home: Path, student: Any, dtype: str, planning: bool = False) -> Teacher | None:
    """The teacher that the spec names; None for a method without one. student: its tokenizer, None if it is not here.

    planning: a model of the hub that is not on this machine is taken from the facts that are shipped, as `loading.find` has it.

    Raises SpecError if there is no such model, or its tokenizer writes other tokens than the student's.
    """
    method = spec.training.method
    if not isinstance(method, Distil):
        return None
    refuse_without_teacher(spec)
    found = _run(method.teacher, home) or _model(method, dtype, planning)
    both = student is not None and found.found.has_tokenizer
    problem = same_tokens(student, loading.tokenizer(found.found)) if both else None
    if problem:
        raise SpecError(
            f"the words of {method.teacher} cannot be the student's: {problem}",
            hint="Let the teacher answer the rows' prompts instead (`studio make`), and train on its answers by sft.",
            where=FIELD,
        )
    return found


def _run(name: str, home: Path) -> Teacher | None:
    try:
        run = folders.find(name, home)
    except JobError:
        return None
    if not (run.adapter / "adapter_config.json").exists():
        raise SpecError(f"run {run.id} has no trained adapter", hint="Wait until it is trained, or resume it.", where=FIELD)
    model = run.resolved_spec().model
    return Teacher(name, model, loading.find(model), run.adapter)


def _model(method: Distil, dtype: str, planning: bool) -> Teacher:
    model = Model.model_validate(
        {"name": method.teacher, "quantization": method.teacher_quantization, "dtype": dtype, "attention": "sdpa"}
    )
    try:
        return Teacher(method.teacher, model, loading.find(model, planning))
    except StudioError as problem:
        raise SpecError(
            f"`{method.teacher}` is neither a run nor a model: {problem.message}", hint=problem.hint, where=FIELD
        ) from None
