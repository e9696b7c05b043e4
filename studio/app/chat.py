"""Use case of talking: the same message to base and tuned, through the encode and the template that were trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.models.settings import Model


@dataclass(frozen=True)
class Sides:
    """Two answers to one message. tuned is empty for a bare model."""

    base: str
    tuned: str

    def __str__(self) -> str:
        return f"base:  {self.base}\ntuned: {self.tuned}" if self.tuned else self.base

    def _repr_html_(self) -> str:
        from html import escape

        cells = "".join(
            f"<td style='vertical-align:top;text-align:left'>{escape(text)}</td>" for text in (self.base, self.tuned)
        )
        return f"<table><tr><th>base</th><th>tuned</th></tr><tr>{cells}</tr></table>"


class Talker:
    """A loaded run or model that answers. Base and tuned share one set of weights: the adapter is switched off and on."""

    def __init__(self, run: Any = None, model: str | None = None) -> None:
        from studio import pipeline, worker
        from studio.models import loading

        worker.set_environment()
        if run is not None:
            prepared = pipeline.reopen(run.folder)
            self.model = loading.attach_adapter(pipeline.load(prepared), run.folder.adapter)
            self.tokenizer = prepared.tokenizer
        else:
            from studio.hardware import machine

            device = machine.probe().device
            wanted = Model(
                name=model or "starter", quantization="none", dtype="fp32" if device == "cpu" else "bf16", attention="sdpa"
            )
            found = loading.find(wanted)
            self.model, self.tokenizer = loading.load_base(wanted, device, found), loading.tokenizer(found, None)
        self.tuned = run is not None

    def say(self, messages: list[dict[str, Any]], tuned: bool, **sampling: Any) -> Iterator[str]:
        """Stream the answer of one side to a conversation."""
        from contextlib import nullcontext

        from studio.data.render import encode_prompt
        from studio.models.generation import stream

        prompt = encode_prompt(messages, self.tokenizer)
        off = nullcontext() if tuned or not self.tuned else self.model.disable_adapter()
        with off:
            yield from stream(self.model, prompt, self.tokenizer, **sampling)

    def ask(self, message: str, system: str = "", **sampling: Any) -> Sides:
        """Both answers to one message."""
        messages = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": message}]
        base = "".join(self.say(messages, tuned=False, **sampling))
        tuned = "".join(self.say(messages, tuned=True, **sampling)) if self.tuned else ""
        return Sides(base, tuned)


_talkers: dict[Path, Talker] = {}


def ask(run: Any, message: str, **sampling: Any) -> Sides:
    """Ask a run; the model stays loaded for the next question, one model at a time."""
    if run.folder.path not in _talkers:
        _talkers.clear()
        _talkers[run.folder.path] = Talker(run)
    return _talkers[run.folder.path].ask(message, **sampling)
