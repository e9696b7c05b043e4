"""The two endpoints that write: chat and plain completions. What needs the tokenizer happens in an encoding thread."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from studio.core.errors import StudioError
from studio.core.messages import ChatMessage, Tool, ToolCall, chat_message
from studio.serving import documents, requests, toolcalls
from studio.serving.answering import Answer, Inbox
from studio.serving.collecting import key_of
from studio.serving.constraint import json_grammar
from studio.serving.errors import bad, translated
from studio.serving.job import Job, Piece, TokenLogprob
from studio.serving.metrics import Metrics
from studio.serving.requests import ChatRequest, TextRequest
from studio.serving.served import Served

if TYPE_CHECKING:
    from studio.documents.records import Passage


def make_chat(served: Served, request: ChatRequest, inbox: Inbox, client: str, begun: float, metrics: Metrics) -> Answer:
    """The answer to a chat request, its jobs made but not yet queued. Raises ApiError."""
    limits = served.scheduler.limits
    count = request.n or 1
    if count > limits.choices:
        raise requests.too_many("n", count, limits.choices, "n")
    if len(request.messages) > limits.messages:
        raise requests.too_many("messages", len(request.messages), limits.messages, "messages")
    asked = served.with_system(requests.as_conversation(request.messages))
    tools = _tools(request)
    try:
        messages, passages = served.grounded(asked)
    except StudioError as error:
        raise translated(error) from None
    served.require_short(_read_texts(messages), "messages")
    try:
        prompt = served.tokenizer.chat(messages, tools, request.chat_template_kwargs or {})
    except StudioError as error:
        raise translated(error) from None
    grammar, param = _grammar(served, request, tools)
    form = served.form if tools else None
    jobs = [
        served.job(
            request, prompt, request.token_limit, _seed(request.seed, index), client, _receiver(inbox, index),
            grammar=grammar, param=param, special=form is not None, logprobs=_alternatives(request, limits.top_logprobs),
        )
        for index in range(count)
    ]  # fmt: skip
    names = frozenset(tool["function"]["name"] for tool in tools)
    format_ = ChatFormat(served, jobs, form, names, param == "tool_choice", passages, asked)

    def completed(name: str) -> None:
        if served.collector is not None and request.store is not False:
            for index, message in format_.messages.items():
                served.collector.collect(key_of(name, index), served.name, asked, tools, message)

    return Answer(served, jobs, format_, len(prompt), inbox, begun, metrics, request.stream, request.with_usage, completed)


def make_text(served: Served, request: TextRequest, inbox: Inbox, client: str, begun: float, metrics: Metrics) -> Answer:
    """The answer to a plain completion's request, its jobs made, one per prompt and choice. Raises ApiError."""
    limits = served.scheduler.limits
    count = (request.n or 1) * len(request.prompts)
    if not request.prompts or count > limits.choices:
        raise requests.too_many("prompts times n", count, limits.choices, "prompt")
    if request.logprobs is not None and request.logprobs > limits.top_logprobs:
        raise requests.too_many("logprobs", request.logprobs, limits.top_logprobs, "logprobs")
    if request.max_tokens == 0 and not request.echo:
        raise bad("max_tokens is 0 and echo is false: there is nothing to answer", "max_tokens")
    schema = requests.schema(request.response_format)
    grammar = json_grammar(schema.content, schema.strict) if schema is not None else None
    prompts = [_ids(served, prompt) for prompt in request.prompts]
    jobs: list[Job] = []
    for prompt in prompts:
        for choice in range(request.n or 1):
            jobs.append(
                served.job(
                    request, prompt, 16 if request.max_tokens is None else request.max_tokens,
                    _seed(request.seed, choice), client, _receiver(inbox, len(jobs)), grammar=grammar,
                    logprobs=request.logprobs, prompt_logprobs=request.echo and request.logprobs is not None,
                )
            )  # fmt: skip
    format_ = TextFormat(served, jobs, request.echo, request.logprobs is not None)
    prompt_tokens = sum(map(len, prompts))
    return Answer(served, jobs, format_, prompt_tokens, inbox, begun, metrics, request.stream, request.with_usage)


class ChatFormat:
    """See `studio.serving.answering.ResponseFormat`."""

    object, chunk_object, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def __init__(
        self,
        served: Served,
        jobs: Sequence[Job],
        form: toolcalls.Form | None,
        names: frozenset[str],
        forced: bool = False,
        passages: Sequence[Passage] = (),
        conversation: Sequence[ChatMessage] = (),
    ) -> None:
        """names: of the functions that may be called; forced: the answer is a call and nothing else; passages: what the
        answer to the conversation is written from."""
        self._served, self._jobs, self._form, self._names, self._forced = served, jobs, form, names, forced
        self._passages, self._conversation = passages, conversation
        self._texts: dict[int, str] = {}
        self.messages: dict[int, ChatMessage] = {}
        """Whole answers, once their last piece was written."""
        self._begun: set[int] = set()
        self._buffers = [toolcalls.ToolCallBuffer(form) if form else None for _ in jobs]
        self._pending: dict[int, list[TokenLogprob]] = {}

    def chunk(self, index: int, piece: Piece) -> list[dict[str, Any]]:
        """A piece as deltas: the role first, then text, calls at the end."""
        deltas: list[dict[str, Any]] = []
        if index not in self._begun:
            self._begun.add(index)
            deltas.append(documents.delta(index, {"role": "assistant", "content": ""}))
        self._pending.setdefault(index, []).extend(self._shown(piece))
        buffer = self._buffers[index]
        text = buffer.add(piece.text) if buffer else piece.text
        calls: list[toolcalls.Call] = []
        if buffer and piece.last:
            rest, calls = self._calls(buffer.rest(), piece.finish)
            text += rest
        self._texts[index] = self._texts.get(index, "") + text
        if text:
            deltas.append(documents.delta(index, {"content": text}, logprobs=self._logprobs(index)))
        if calls:
            written = [call.as_entry() for call in calls]
            numbered = [{"index": number, **entry} for number, entry in enumerate(written)]
            deltas.append(documents.delta(index, {"tool_calls": numbered}))
        if piece.last:
            self._finished(index, self._texts[index], [call.as_entry() for call in calls])
            logprobs = self._logprobs(index) if self._pending.get(index) else None
            sources = self._citations(self._texts[index])
            deltas.append(documents.delta(index, sources, self._finish(piece, calls), logprobs))
        return deltas

    def choice(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole answer."""
        text, calls = "".join(piece.text for piece in pieces), list[toolcalls.Call]()
        if self._form:
            text, calls = self._calls(text, pieces[-1].finish)
        self._pending[index] = [entry for piece in pieces for entry in self._shown(piece)]
        finish = self._finish(pieces[-1], calls) or "stop"
        written = [call.as_entry() for call in calls]
        choice = documents.chat_choice(index, text if text or not calls else None, written, finish, self._logprobs(index))
        choice["message"].update(self._citations(text))
        self._finished(index, text, written)
        return choice

    def _finished(self, index: int, text: str, calls: list[ToolCall]) -> None:
        self.messages[index] = chat_message("assistant", text)
        if calls:
            self.messages[index]["tool_calls"] = calls

    def _citations(self, text: str) -> dict[str, Any]:
        """The sources of an answer as `citations`, where it was written from passages."""
        grounding = self._served.grounding
        if grounding is None:
            return {}
        return {
            "citations": [item.model_dump(mode="json") for item in grounding.cite(text, self._passages, self._conversation)]
        }

    def _calls(self, text: str, finish: str | None) -> tuple[str, list[toolcalls.Call]]:
        """The text around the calls, and the calls; one that was forced and cut at the limit is given as far as it goes."""
        assert self._form is not None
        rest, calls = toolcalls.read(text, self._form, self._names)
        if not calls and self._forced and finish == "length":
            partial = toolcalls.read_partial(text, self._form, self._names)
            return ("", [partial]) if partial else (rest, [])
        return rest, calls

    def _finish(self, piece: Piece, calls: Sequence[toolcalls.Call]) -> str | None:
        return "tool_calls" if calls and piece.finish == "stop" else piece.finish

    def _shown(self, piece: Piece) -> tuple[TokenLogprob, ...]:
        """The log-probabilities of a piece's tokens: the end-of-turn token is not part of an answer."""
        ended = piece.finish == "stop" and piece.logprobs and piece.logprobs[-1].token in self._served.tokenizer.ends
        return piece.logprobs[:-1] if ended else piece.logprobs

    def _logprobs(self, index: int) -> dict[str, Any] | None:
        if self._jobs[index].logprobs is None:
            return None
        return documents.chat_logprobs(self._pending.pop(index, []), self._served.tokenizer)


class TextFormat:
    """See `studio.serving.answering.ResponseFormat`."""

    object, chunk_object, prefix = "text_completion", "text_completion", "cmpl"

    def __init__(self, served: Served, jobs: Sequence[Job], echo: bool, logprobs: bool) -> None:
        self._served, self._jobs, self._echo, self._with_logprobs = served, jobs, echo, logprobs
        self._offsets = [0] * len(jobs)
        self._echoed: set[int] = set()

    def chunk(self, index: int, piece: Piece) -> list[dict[str, Any]]:
        """A piece as a chunk; the prompt goes with the first one."""
        text, logprobs = piece.text, piece.logprobs
        if index not in self._echoed:
            self._echoed.add(index)
            if self._echo:
                text, logprobs = self._prompt(index) + text, piece.prompt_logprobs + logprobs
        if not text and not logprobs and not piece.last:
            return []
        return [documents.text_choice(index, text, piece.finish, self._logprobs(index, logprobs))]

    def choice(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """A whole completion."""
        text = (self._prompt(index) if self._echo else "") + "".join(piece.text for piece in pieces)
        logprobs = [entry for piece in pieces for entry in (*(piece.prompt_logprobs if self._echo else ()), *piece.logprobs)]
        return documents.text_choice(index, text, pieces[-1].finish, self._logprobs(index, logprobs))

    def _prompt(self, index: int) -> str:
        return self._served.tokenizer.decode(self._jobs[index].prompt)

    def _logprobs(self, index: int, logprobs: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self._with_logprobs:
            return None
        written = documents.text_logprobs(logprobs, self._served.tokenizer, self._offsets[index])
        self._offsets[index] += sum(map(len, written["tokens"]))
        return written


def _receiver(inbox: Inbox, index: int) -> Callable[[Piece], None]:
    return lambda piece: inbox.put(index, piece)


def _seed(seed: int | None, index: int) -> int:
    """Each choice its own; without a seed, another one every time."""
    return secrets.randbits(63) if seed is None else (seed + index) % (1 << 63)


def _read_texts(messages: Sequence[ChatMessage]) -> Iterable[str]:
    """The texts of which a template writes every character: of earlier answers, what stands behind their reasoning."""
    for turn in messages:
        yield turn["content"].rpartition("</think>")[2] if turn["role"] == "assistant" else turn["content"]


def _alternatives(request: ChatRequest, limit: int) -> int | None:
    if not request.logprobs:
        if request.top_logprobs:
            raise bad("top_logprobs needs logprobs to be true", "top_logprobs")
        return None
    if (request.top_logprobs or 0) > limit:
        raise requests.too_many("top_logprobs", request.top_logprobs or 0, limit, "top_logprobs")
    return request.top_logprobs or 0


def _tools(request: ChatRequest) -> list[Tool]:
    tools = requests.functions(request.tools)
    if request.tool_choice == "none":
        return []
    if request.tool_choice not in (None, "auto") and not tools:
        raise bad("tool_choice asks for a call and there are no tools", "tool_choice")
    return tools


def _grammar(served: Served, request: ChatRequest, tools: list[Tool]) -> tuple[str | None, str]:
    """What the answer must follow: a call that tool_choice forces, or response_format; and which parameter says so."""
    choice = request.tool_choice
    if choice in (None, "auto", "none"):
        schema = requests.schema(request.response_format)
        return (json_grammar(schema.content, schema.strict) if schema is not None else None), "response_format"
    form = served.form
    if form is None:
        raise bad("this model's template writes no tool calls that could be asked for; leave tool_choice out", "tool_choice")
    allowed = tools
    if isinstance(choice, dict):
        name = requests.chosen_function(choice)
        allowed = [tool for tool in tools if tool["function"]["name"] == name]
        if not allowed:
            raise bad(f"tool_choice names {name!r}, which is not among the tools", "tool_choice")
    return toolcalls.grammar(form, allowed, served.tokenizer.spell), "tool_choice"


def _ids(served: Served, prompt: str | list[int]) -> list[int]:
    if isinstance(prompt, str):
        served.require_short([prompt], "prompt")
        return served.tokenizer.plain(prompt)
    size = served.tokenizer.size()
    wrong = next((token for token in prompt if not 0 <= token < size), None)
    if wrong is not None:
        raise bad(f"token {wrong} is not in the vocabulary of {size}", "prompt")
    return prompt
