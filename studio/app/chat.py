"""Use case of talking: the same message to base and tuned, through the encode and the template that were trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from studio.core.errors import JobError, ModelError, SpecError
from studio.core.messages import ChatMessage, chat_message
from studio.core.text import plural
from studio.models.settings import Model

if TYPE_CHECKING:
    from studio.app.runs import Run
    from studio.retrieval.grounding import Grounding


Messages = str | Sequence[Mapping[str, Any]]
"""One question, or a conversation as the chat template takes it: mappings with `role` and `content`."""
ROLES = ("system", "user", "assistant", "tool")


def as_messages(conversation: Messages, system: str = "") -> list[ChatMessage]:
    """A question or a conversation as messages that end with what is to be answered; `system` first, if they have no own.

    Raises SpecError naming the message.
    """
    if isinstance(conversation, str):
        if not conversation.strip():
            raise SpecError("the question is empty", hint="Write what is to be asked.", where="messages")
        conversation = [{"role": "user", "content": conversation}]
    if not isinstance(conversation, Sequence) or not conversation:  # pyright: ignore[reportUnnecessaryIsInstance] - a notebook passes anything
        raise SpecError(
            f"expected a text or a list of messages, got {_shown(conversation)}", hint=MESSAGE_HINT, where="messages"
        )
    for index, turn in enumerate(conversation):
        where = f"messages[{index}]"
        if not isinstance(turn, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - a notebook passes anything
            raise SpecError(f"expected a message, got {_shown(turn)}", hint=MESSAGE_HINT, where=where)
        if turn.get("role") not in ROLES:
            found = _shown(turn.get("role")) if "role" in turn else "none"
            raise SpecError(f"expected a role, got {found}", hint=f"One of {', '.join(ROLES)}.", where=where)
        if not isinstance(turn.get("content"), str) and not turn.get("tool_calls"):
            raise SpecError(f"expected content, got {_shown(turn.get('content'))}", hint="It is a text.", where=where)
    if conversation[-1]["role"] not in ("user", "tool"):
        raise SpecError(
            f"the last message is from {conversation[-1]['role']}: there is nothing to answer",
            hint="End with a message from user.",
            where=f"messages[{len(conversation) - 1}]",
        )
    messages = [cast("ChatMessage", {**turn, "content": turn.get("content") or ""}) for turn in conversation]
    return [chat_message("system", system), *messages] if system and messages[0]["role"] != "system" else messages


MESSAGE_HINT = "Write [{'role': 'user', 'content': '...'}], or just the question as a text."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True)
class Sides:
    """Two answers to one message. tuned is empty for a bare model."""

    base: str
    tuned: str

    def __str__(self) -> str:
        return f"base:  {self.base}\ntuned: {self.tuned}" if self.tuned else self.base

    def _repr_html_(self) -> str:
        from studio.core.html import render

        return render("studio.core", "sides.html", question="", base=self.base, tuned=self.tuned)


class Talker:
    """A loaded run or model that answers. Base and tuned share one set of weights: the adapter is switched off and on."""

    def __init__(self, run: Run | None = None, model: Model | str | None = None, adapter: Path | None = None) -> None:
        """A run, or a model, or an adapter folder on a model; it has the GPU until `close`.

        Raises JobError while a run has the GPU, StudioError for what cannot be loaded.
        """
        from studio import worker
        from studio.app import gpu_use

        worker.set_environment()
        self.system, self.tuned = "", run is not None or adapter is not None
        """The system prompt it was trained with; and whether there is an adapter to switch off."""
        with contextlib.ExitStack() as gpu:
            gpu.enter_context(gpu_use.or_refuse("a chat", "Chat when it has ended."))
            self.model: Any
            self.tokenizer: Any
            self.model, self.tokenizer = self._load(run, model, adapter)
            self._gpu = gpu.pop_all()

    def _load(self, run: Run | None, model: Model | str | None, adapter: Path | None) -> tuple[Any, Any]:
        from studio import pipeline
        from studio.models import loading

        if run is not None:
            prepared = pipeline.reopen(run.folder)
            self.system = run.spec.data.system or ""
            return loading.attach_adapter(pipeline.load(prepared), run.folder.adapter), prepared.tokenizer
        wanted = _as_loaded(model or "starter")
        found = loading.find(wanted)
        base = loading.load_base(wanted, _device(), found)
        return loading.attach_adapter(base, adapter) if adapter else base, loading.tokenizer(found, wanted.chat_template)

    def say(
        self,
        messages: Sequence[Mapping[str, Any]],
        tuned: bool,
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Iterator[str]:
        """Stream the answer of one side to a conversation. temperature 0 gives the most likely answer."""
        from contextlib import nullcontext

        from studio.data.render import encode_prompt
        from studio.models.generation import stream

        prompt = encode_prompt([dict(message) for message in messages], self.tokenizer)
        off = nullcontext() if tuned or not self.tuned else self.model.disable_adapter()
        with off:
            yield from stream(self.model, prompt, self.tokenizer, max_tokens, temperature, top_p, seed)

    def close(self) -> None:
        """Unload the model and leave the GPU to others."""
        from studio.models.loading import free_memory

        self.model = self.tokenizer = None
        free_memory()
        self._gpu.close()

    @property
    def context(self) -> int:
        """Tokens of prompt and answer that the model has positions for."""
        return int(getattr(self.model.config, "max_position_embeddings", None) or 8_192)

    def prompt_tokens(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """The tokens of the prompt that a conversation is asked with."""
        from studio.data.render import encode_prompt

        return len(encode_prompt([dict(message) for message in messages], self.tokenizer))

    def ask(self, messages: Messages, system: str | None = None, **sampling: Any) -> Sides:
        """Both answers to one question or conversation. system: None takes the system prompt it was trained with, an empty
        one takes none. sampling: as `say` takes it. Raises SpecError for what are no messages."""
        asked = as_messages(messages, self.system if system is None else system)
        base = "".join(self.say(asked, tuned=False, **sampling))
        tuned = "".join(self.say(asked, tuned=True, **sampling)) if self.tuned else ""
        return Sides(base, tuned)


class Conversation:
    """A conversation with a run over several turns: base and tuned each go on from their own answers.

    messages: the tuned model's side so far.
    """

    def __init__(self, talker: Talker, system: str | None = None, **sampling: Any) -> None:
        """system: None takes the system prompt it was trained with. sampling: as `Talker.say` takes it."""
        self._talker, self._sampling = talker, sampling
        prompt = talker.system if system is None else system
        start = [chat_message("system", prompt)] if prompt else []
        self._sides: list[list[ChatMessage]] = [list(start) for _ in ([False, True] if talker.tuned else [False])]
        self._turns: list[tuple[str, Sides]] = []

    @property
    def messages(self) -> list[ChatMessage]:
        """What was said so far, on the tuned side."""
        return [turn.copy() for turn in self._sides[-1]]

    def say(self, message: str) -> Sides:
        """Say something and get both answers."""
        question = as_messages(message)[-1]
        answers = [
            "".join(self._talker.say([*side, question], tuned=bool(index), **self._sampling))
            for index, side in enumerate(self._sides)
        ]
        for side, answer in zip(self._sides, answers, strict=True):
            side += [question, {"role": "assistant", "content": answer}]
        self._turns.append((message, Sides(answers[0], answers[1] if len(answers) > 1 else "")))
        return self._turns[-1][1]

    def _repr_html_(self) -> str:
        from studio.core.html import render

        return "".join(
            render("studio.core", "sides.html", question=message, base=sides.base, tuned=sides.tuned)
            for message, sides in self._turns
        )

    def __repr__(self) -> str:
        return f"<Conversation: {plural(len(self._turns), 'question')}>"

    def __str__(self) -> str:
        return "\n\n".join(f"you:   {message}\n{sides}" for message, sides in self._turns)


def open_talker(reference: str, home: Path | str | None, base: str = "") -> Talker:
    """Whatever a name stands for, ready to be asked: a run, an export, an adapter folder, a model.

    base: the base model of an adapter folder, where it is not the one the folder names. Raises StudioError.
    """
    from studio.app import runs
    from studio.core.files import studio_home
    from studio.models.chat import write_day
    from studio.runs import served_models

    source = served_models.locate(reference, studio_home(home), base)
    if source.gguf is not None or source.quantized:
        raise ModelError(
            "chat loads models with transformers, and this is for another engine",
            hint=f"Serve it and ask the server: studio serve {reference}.",
            where=reference,
        )
    if source.run:
        return Talker(runs.find(source.run, home))
    talker = Talker(None, source.model, source.adapter)
    talker.system = source.system
    write_day(talker.tokenizer, source.day)
    return talker


def open_grounding(index: str, home: Path | str | None) -> Grounding:
    """The passages of an index, for answers with citations. Raises StudioError."""
    from studio.core.files import studio_home
    from studio.retrieval import index as retrieval
    from studio.retrieval.grounding import Grounding

    return Grounding(retrieval.find(studio_home(home), index))


def _device() -> str:
    from studio.hardware import machine

    return machine.probe().device


def _as_loaded(model: Model | str) -> Model:
    """A model with what it leaves open decided by the device."""
    given = Model(name=model) if isinstance(model, str) else model
    from studio.models import loading

    return loading.as_loaded(given, _device())


_talkers: dict[Path, Talker] = {}


def talker(run: Run) -> Talker:
    """The run, loaded; it stays so for the next question, one run at a time. Raises JobError if it has no adapter."""
    if not (run.folder.adapter / "adapter_config.json").exists():
        raise JobError(
            f"this run has no trained adapter (state: {run.status.state})",
            hint="Wait for the end of its training, or see its error.",
            where=run.id,
        )
    if run.folder.path not in _talkers:
        _unload()
        _talkers[run.folder.path] = Talker(run)
    return _talkers[run.folder.path]


def leave_gpu() -> None:
    """Unload what `talker` keeps if it is on a GPU: a run, an export or an evaluation of the same Python process needs that."""
    from studio.hardware import machine

    if _talkers and machine.probe().gpu is not None:
        _unload()


def _unload() -> None:
    for one in _talkers.values():
        one.close()
    _talkers.clear()
