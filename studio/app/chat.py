"""Use case of talking: the same message to base and tuned, through the encode and the template that were trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import ModelError
from studio.models.settings import Model

if TYPE_CHECKING:
    from studio.app.runs import Run


@dataclass(frozen=True)
class Sides:
    """Two answers to one message. tuned is empty for a bare model."""

    base: str
    tuned: str

    def __str__(self) -> str:
        return f"base:  {self.base}\ntuned: {self.tuned}" if self.tuned else self.base

    def _repr_html_(self) -> str:
        from studio.core.html import render

        return render("studio.core", "sides.html", base=self.base, tuned=self.tuned)


class Talker:
    """A loaded run or model that answers. Base and tuned share one set of weights: the adapter is switched off and on."""

    def __init__(self, run: Run | None = None, model: Model | str | None = None, adapter: Path | None = None) -> None:
        """A run, or a model, or an adapter folder on a model. Raises StudioError for what cannot be loaded."""
        from studio import pipeline, worker
        from studio.models import loading

        worker.set_environment()
        self.system, self.tuned = "", run is not None or adapter is not None
        """The system prompt it was trained with; and whether there is an adapter to switch off."""
        if run is not None:
            prepared = pipeline.reopen(run.folder)
            self.model = loading.attach_adapter(pipeline.load(prepared), run.folder.adapter)
            self.tokenizer = prepared.tokenizer
            self.system = run.spec.data.system or ""
            return
        wanted = _as_loaded(model or "starter")
        found = loading.find(wanted)
        self.model = loading.load_base(wanted, _device(), found)
        self.tokenizer = loading.tokenizer(found, wanted.chat_template)
        if adapter is not None:
            self.model = loading.attach_adapter(self.model, adapter)

    def say(self, messages: list[dict[str, Any]], tuned: bool, **sampling: Any) -> Iterator[str]:
        """Stream the answer of one side to a conversation."""
        from contextlib import nullcontext

        from studio.data.render import encode_prompt
        from studio.models.generation import stream

        prompt = encode_prompt(messages, self.tokenizer)
        off = nullcontext() if tuned or not self.tuned else self.model.disable_adapter()
        with off:
            yield from stream(self.model, prompt, self.tokenizer, **sampling)

    def ask(self, message: str, system: str | None = None, **sampling: Any) -> Sides:
        """Both answers to one message. system: None takes the system prompt it was trained with, an empty one takes none."""
        system = self.system if system is None else system
        messages = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": message}]
        base = "".join(self.say(messages, tuned=False, **sampling))
        tuned = "".join(self.say(messages, tuned=True, **sampling)) if self.tuned else ""
        return Sides(base, tuned)


def open_talker(given: str, home: Path | str | None, base: str = "") -> Talker:
    """Whatever a name stands for, ready to be asked: a run, an export, an adapter folder, a model.

    base: the base model of an adapter folder, where it is not the one the folder names. Raises StudioError.
    """
    from studio.app import runs, serving
    from studio.core.files import studio_home

    source = serving.locate(given, studio_home(home), base)
    if source.gguf is not None or source.quantized:
        raise ModelError(
            "chat loads models with transformers, and this is for another engine",
            hint=f"Serve it and ask the server: studio serve {given}.",
            where=given,
        )
    if source.run:
        return Talker(runs.find(source.run, home))
    talker = Talker(None, source.model, source.adapter)
    talker.system = source.system
    return talker


def _device() -> str:
    from studio.hardware import machine

    return machine.probe().device


def _as_loaded(model: Model | str) -> Model:
    """A model with what it leaves open decided by the device."""
    given = Model(name=model) if isinstance(model, str) else model
    values = given.model_dump()
    values["quantization"] = given.quantization or "none"
    values["dtype"] = given.dtype or ("fp32" if _device() == "cpu" else "bf16")
    values["attention"] = given.attention or "sdpa"
    return Model(**values)


_talkers: dict[Path, Talker] = {}


def ask(run: Any, message: str, **sampling: Any) -> Sides:
    """Ask a run; the model stays loaded for the next question, one model at a time."""
    if run.folder.path not in _talkers:
        _talkers.clear()
        _talkers[run.folder.path] = Talker(run)
    return _talkers[run.folder.path].ask(message, **sampling)
