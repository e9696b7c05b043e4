"""The two endpoints that write: chat and plain completions. What needs the tokenizer happens in the encoding thread."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from studio.core.errors import StudioError
from studio.serving import requests, shapes, toolcalls
from studio.serving.answering import Inbox, Request
from studio.serving.constraint import json_grammar
from studio.serving.errors import bad, translated
from studio.serving.job import Job, Piece, Told
from studio.serving.metrics import Metrics
from studio.serving.requests import ChatRequest, TextRequest
from studio.serving.served import Served

Receiver = Callable[[int], Callable[[Piece], None]]


def make_chat(served: Served, request: ChatRequest, inbox: Inbox, client: str, begun: float, metrics: Metrics) -> Request:
    """A chat request with its jobs. Raises ApiError."""
    limits = served.scheduler.limits
    count = request.n or 1
    if count > limits.choices:
        raise requests.too_many("n", count, limits.choices, "n")
    messages = requests.conversation(request.messages)
    tools = _tools(request)
    try:
        prompt = served.words.chat(messages, tools)
    except StudioError as problem:
        raise translated(problem) from None
    grammar, param = _grammar(served, request, tools)
    form = served.form if tools else None
    jobs = [
        served.job(
            request, prompt, request.most, _seed(request.seed, place), client, _receiver(inbox, place),
            grammar=grammar, param=param, special=form is not None, logprobs=_alternatives(request, limits.top_logprobs),
        )
        for place in range(count)
    ]  # fmt: skip
    shape = ChatShape(served, jobs, form, frozenset(tool["function"]["name"] for tool in tools))
    return Request(served, jobs, shape, len(prompt), begun, metrics)


def make_text(served: Served, request: TextRequest, inbox: Inbox, client: str, begun: float, metrics: Metrics) -> Request:
    """A plain completion's request with its jobs, one per prompt and choice. Raises ApiError."""
    limits = served.scheduler.limits
    count = (request.n or 1) * len(request.prompts)
    if not request.prompts or count > limits.choices:
        raise requests.too_many("prompts times n", count, limits.choices, "prompt")
    if request.logprobs is not None and request.logprobs > limits.top_logprobs:
        raise requests.too_many("logprobs", request.logprobs, limits.top_logprobs, "logprobs")
    if request.max_tokens == 0 and not request.echo:
        raise bad("max_tokens is 0 and echo is false: there is nothing to answer", "max_tokens")
    format_ = requests.schema(request.response_format)
    prompts = [_ids(served, prompt) for prompt in request.prompts]
    jobs: list[Job] = []
    for prompt in prompts:
        for again in range(request.n or 1):
            jobs.append(
                served.job(
                    request, prompt, 16 if request.max_tokens is None else request.max_tokens,
                    _seed(request.seed, again), client, _receiver(inbox, len(jobs)),
                    grammar=json_grammar(format_) if format_ is not None else None,
                    logprobs=request.logprobs, prompt_logprobs=request.echo and request.logprobs is not None,
                )
            )  # fmt: skip
    shape = TextShape(served, jobs, request.echo, request.logprobs is not None)
    return Request(served, jobs, shape, sum(map(len, prompts)), begun, metrics)


class ChatShape:
    """See `studio.serving.answering.Shape`."""

    object, chunk_object, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def __init__(self, served: Served, jobs: Sequence[Job], form: toolcalls.Form | None, known: frozenset[str]) -> None:
        self._served, self._jobs, self._form, self._known = served, jobs, form, known
        self._begun: set[int] = set()
        self._holds = [toolcalls.Hold(form) if form else None for _ in jobs]
        self._told: dict[int, list[Told]] = {}

    def chunk(self, place: int, piece: Piece) -> list[dict[str, Any]]:
        """A piece as deltas: the role first, then text, calls at the end."""
        found: list[dict[str, Any]] = []
        if place not in self._begun:
            self._begun.add(place)
            found.append(shapes.delta(place, {"role": "assistant", "content": ""}))
        self._told.setdefault(place, []).extend(self._shown(piece))
        hold = self._holds[place]
        text = hold.add(piece.text) if hold else piece.text
        calls: list[toolcalls.Call] = []
        if hold and self._form and piece.last:
            rest, calls = toolcalls.read(hold.rest(), self._form, self._known)
            text += rest
        if text:
            found.append(shapes.delta(place, {"content": text}, logprobs=self._logprobs(place)))
        if calls:
            found.append(shapes.delta(place, {"tool_calls": [call.as_dict(index) for index, call in enumerate(calls)]}))
        if piece.last:
            logprobs = self._logprobs(place) if self._told.get(place) else None
            found.append(shapes.delta(place, {}, "tool_calls" if calls else piece.finish, logprobs))
        return found

    def choice(self, place: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole answer."""
        text, calls = "".join(piece.text for piece in pieces), list[toolcalls.Call]()
        if self._form:
            text, calls = toolcalls.read(text, self._form, self._known)
        self._told[place] = [told for piece in pieces for told in self._shown(piece)]
        finish = "tool_calls" if calls else pieces[-1].finish or "stop"
        named = [call.as_dict() for call in calls]
        return shapes.chat_choice(place, text if text or not calls else None, named, finish, self._logprobs(place))

    def _shown(self, piece: Piece) -> tuple[Told, ...]:
        """What is told of a piece: the end-of-turn token is not part of an answer."""
        ended = piece.finish == "stop" and piece.told and piece.told[-1].token in self._served.words.ends
        return piece.told[:-1] if ended else piece.told

    def _logprobs(self, place: int) -> dict[str, Any] | None:
        if self._jobs[place].logprobs is None:
            return None
        return shapes.chat_logprobs(self._told.pop(place, []), self._served.words)


class TextShape:
    """See `studio.serving.answering.Shape`."""

    object, chunk_object, prefix = "text_completion", "text_completion", "cmpl"

    def __init__(self, served: Served, jobs: Sequence[Job], echo: bool, logprobs: bool) -> None:
        self._served, self._jobs, self._echo, self._wanted = served, jobs, echo, logprobs
        self._offsets = [0] * len(jobs)
        self._echoed: set[int] = set()

    def chunk(self, place: int, piece: Piece) -> list[dict[str, Any]]:
        """A piece as a chunk; the prompt goes with the first one."""
        text, told = piece.text, piece.told
        if place not in self._echoed:
            self._echoed.add(place)
            if self._echo:
                text, told = self._prompt(place) + text, piece.prompt_told + told
        if not text and not told and not piece.last:
            return []
        return [shapes.text_choice(place, text, piece.finish, self._logprobs(place, told))]

    def choice(self, place: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole completion."""
        text = (self._prompt(place) if self._echo else "") + "".join(piece.text for piece in pieces)
        told = [told for piece in pieces for told in (*(piece.prompt_told if self._echo else ()), *piece.told)]
        return shapes.text_choice(place, text, pieces[-1].finish, self._logprobs(place, told))

    def _prompt(self, place: int) -> str:
        return self._served.words.decode(self._jobs[place].prompt)

    def _logprobs(self, place: int, told: Sequence[Told]) -> dict[str, Any] | None:
        if not self._wanted:
            return None
        found = shapes.text_logprobs(told, self._served.words, self._offsets[place])
        self._offsets[place] += sum(map(len, found["tokens"]))
        return found


def _receiver(inbox: Inbox, place: int) -> Callable[[Piece], None]:
    return lambda piece: inbox.put(place, piece)


def _seed(given: int | None, place: int) -> int:
    """Each choice its own; without a seed, another one every time."""
    return secrets.randbits(63) if given is None else (given + place) % (1 << 63)


def _alternatives(request: ChatRequest, most: int) -> int | None:
    if not request.logprobs:
        if request.top_logprobs:
            raise bad("top_logprobs needs logprobs to be true", "top_logprobs")
        return None
    if (request.top_logprobs or 0) > most:
        raise requests.too_many("top_logprobs", request.top_logprobs or 0, most, "top_logprobs")
    return request.top_logprobs or 0


def _tools(request: ChatRequest) -> list[dict[str, Any]]:
    tools = requests.functions(request.tools)
    if request.tool_choice == "none":
        return []
    if request.tool_choice not in (None, "auto") and not tools:
        raise bad("tool_choice asks for a call and there are no tools", "tool_choice")
    return tools


def _grammar(served: Served, request: ChatRequest, tools: list[dict[str, Any]]) -> tuple[str | None, str]:
    """What the answer must follow: a call that tool_choice forces, or response_format; and which parameter says so."""
    choice = request.tool_choice
    if choice in (None, "auto", "none"):
        format_ = requests.schema(request.response_format)
        return (json_grammar(format_) if format_ is not None else None), "response_format"
    form = served.form
    if form is None:
        raise bad("this model's template writes no tool calls that could be asked for; leave tool_choice out", "tool_choice")
    wanted = tools
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        wanted = [tool for tool in tools if tool["function"]["name"] == name]
        if not wanted:
            raise bad(f"tool_choice names {name!r}, which is not among the tools", "tool_choice")
    return toolcalls.grammar(form, wanted, served.words.spell), "tool_choice"


def _ids(served: Served, prompt: str | list[int]) -> list[int]:
    if isinstance(prompt, str):
        return served.words.plain(prompt)
    size = served.words.size()
    wrong = next((token for token in prompt if not 0 <= token < size), None)
    if wrong is not None:
        raise bad(f"token {wrong} is not in the vocabulary of {size}", "prompt")
    return prompt
