"""The teacher of a distillation: which model it is, and whether its probabilities or its answers are learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from studio.core.errors import JobError, SpecError, StudioError
from studio.core.files import sha256
from studio.evaluation.judge.settings import endpoint as endpoint_of
from studio.models import loading
from studio.models.settings import Model
from studio.remote.endpoint import Endpoint, access
from studio.remote.prices import PriceUnknown, price_of, require_limit
from studio.runs import folder as folders
from studio.spec import RunSpec
from studio.training.methods.distil import Distil
from studio.training.teacher import same_tokens

FIELD = "training.method.teacher"
Learned = Literal["probabilities", "answers"]


@dataclass(frozen=True)
class Teacher:
    """A model on this machine, and the adapter on it if the teacher is a run."""

    name: str
    """As the spec has it."""
    model: Model
    base_model: loading.FoundModel
    adapter: Path | None = None
    learn: Learned = "probabilities"
    why: str = "teacher and student have the same tokens"

    @property
    def key(self) -> str:
        """What its words depend on."""
        weights = sha256(self.adapter / "adapter_model.safetensors") if self.adapter else ""
        return f"{self.model.model_dump_json()} {self.base_model.revision} {weights}"


@dataclass(frozen=True)
class RemoteTeacher:
    """A model behind an API: its answers are learned, since an API gives text."""

    name: str
    endpoint: Endpoint
    learn: Learned = "answers"
    why: str = "the teacher is behind an API, which gives text"

    @property
    def key(self) -> str:
        """What its answers depend on."""
        return f"{self.endpoint.base} {self.endpoint.model}"


def refuse_without_teacher(spec: RunSpec) -> None:
    """Raise SpecError if the method distils and no teacher is named."""
    method = spec.training.method
    if isinstance(method, Distil) and not method.teacher:
        raise SpecError(
            "distillation needs a teacher",
            hint="Name a run, the folder of a model, a model of the hub, or URL#MODEL.",
            where=FIELD,
        )


def teacher(spec: RunSpec, home: Path, student: Any, dtype: str, planning: bool = False) -> Teacher | RemoteTeacher | None:
    """The teacher that the spec names; None for a method without one. student: its tokenizer, None if it is not here.

    planning: a model of the hub that is not on this machine is taken from the facts that are shipped, as `loading.find` has it.

    Raises SpecError if there is no such model, or if its probabilities are asked for and its tokens are not the student's.
    """
    method = spec.training.method
    if not isinstance(method, Distil):
        return None
    refuse_without_teacher(spec)
    if method.teacher.startswith(("http://", "https://")):
        return _remote(method)
    found = _run(method.teacher, home) or _model(method, dtype, planning)
    problem = None
    if student is not None and found.base_model.has_tokenizer:
        problem = same_tokens(student, loading.tokenizer(found.base_model))
    if problem and method.learn == "probabilities":
        raise SpecError(
            f"the probabilities of {method.teacher} cannot be the student's: {problem}",
            hint="Set training.method.learn to answers: the teacher then answers the rows' prompts.",
            where=FIELD,
        )
    if method.learn == "answers" or problem:
        return Teacher(found.name, found.model, found.base_model, found.adapter, "answers", problem or "as set")
    return found


def _remote(method: Distil) -> RemoteTeacher:
    """Raises SpecError for an address that is none, a missing key, an unknown price, or a price without a ceiling."""
    if (method.price_in is None) != (method.price_out is None):
        raise SpecError(
            "a price is two numbers", hint="Set both, or neither.", where="training.method.price_in, training.method.price_out"
        )
    price = (method.price_in, method.price_out) if method.price_in is not None and method.price_out is not None else None
    endpoint = endpoint_of(method.teacher, method.teacher_key, price)
    if method.learn == "probabilities":
        raise SpecError(
            "an API gives answers, not the probabilities of every token",
            hint="Set training.method.learn to answers, or name a model on this machine.",
            where="training.method.learn",
        )
    access(endpoint)
    try:
        cost = price_of(endpoint)
    except PriceUnknown as problem:
        hint = "Set training.method.price_in and price_out, in US dollars per million tokens; 0 and 0 if it is free."
        raise SpecError(problem.message, hint=hint, where="training.method.price_in") from None
    hint = "Set training.method.ceiling in US dollars; it is never exceeded."
    require_limit(endpoint.model, cost, method.ceiling, where="training.method.ceiling", hint=hint)
    return RemoteTeacher(method.teacher, endpoint)


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
