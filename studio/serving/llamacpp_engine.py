"""The llama.cpp engine: a GGUF file, in this process; all answers under way go through it as one batch per step."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from studio.core.errors import ModelError, StudioError
from studio.models import turns
from studio.models.chat import Rendered
from studio.serving import constraint, sampling, toolcalls
from studio.serving.errors import ApiError
from studio.serving.job import Job, TokenLogprob

CHUNK = 512
"""Prompt tokens read in one pass."""


class LlamaCppEngine:
    """See `studio.serving.engine.Engine`. Each answer has a sequence of its own in one shared cache."""

    name = "llama.cpp"

    def __init__(self, file: Path, context: int | None, slots: int, threads: int, gpu_layers: int = 0) -> None:
        """context: tokens per answer, None for what the model was trained for; slots: answers at once."""
        self.file, self._slots, self._threads, self._gpu_layers = file, slots, threads, gpu_layers
        self.native = _native()
        self._model, trained = _open(file, gpu_layers)
        self.context = min(context or 4096, trained) if trained else context or 4096
        self.vocabulary = self._model.get_vocab()
        self.template = str(self._model.get_default_chat_template() or "")
        self._context: Any = None
        self._free = list(range(slots))[::-1]
        self._told: dict[Job, tuple[TokenLogprob, ...]] = {}

    def load(self) -> None:
        """Make the cache for all answers."""
        params = self.native.LlamaContextParams()
        params.n_ctx = self.context * self._slots
        params.n_seq_max = self._slots
        params.n_batch = params.n_ubatch = max(CHUNK, self._slots)
        params.n_threads = params.n_threads_batch = self._threads
        try:
            self._context = self.native.LlamaContext(model=self._model, params=params, verbose=False)
        except (RuntimeError, ValueError) as problem:
            raise ModelError(
                f"llama.cpp has no room for {self._slots} answers of {self.context} tokens: {problem}",
                hint="Lower --max-context or --max-concurrent.",
                where=self.file.name,
            ) from None

    def begin(self, job: Job) -> tuple[int, TokenLogprob | None]:
        """Read a prompt into a free sequence."""
        job.state = self._free.pop()
        told = [TokenLogprob(job.prompt[0], None)] if job.prompt_logprobs else []
        row = np.empty(0, np.float32)
        for start in range(0, len(job.prompt), CHUNK):
            part = job.prompt[start : start + CHUNK]
            every = job.prompt_logprobs
            self._decode(
                [
                    (token, start + place, job.state, every or start + place == len(job.prompt) - 1)
                    for place, token in enumerate(part)
                ]
            )
            if every:
                following = job.prompt[start + 1 : start + 1 + len(part)]
                told += [
                    sampling.token_logprob(self._row(place), token, job.logprobs or 0) for place, token in enumerate(following)
                ]
            row = self._row(len(part) - 1)
        if job.prompt_logprobs:
            self._told[job] = tuple(told)
        return _chosen(row, job)

    def prompt_logprobs_of(self, job: Job) -> tuple[TokenLogprob, ...]:
        """The prompt's log-probabilities."""
        return self._told.pop(job, ())

    def advance(self, jobs: Sequence[Job]) -> list[tuple[int, TokenLogprob | None]]:
        """One pass for all."""
        self._decode([(job.written[-1], len(job.prompt) + len(job.written) - 1, job.state, True) for job in jobs])
        return [_chosen(self._row(place), job) for place, job in enumerate(jobs)]

    def end(self, job: Job) -> None:
        """Free an answer's sequence."""
        if job.state is not None:
            self._context.memory_seq_rm(job.state, -1, -1)
            self._free.append(job.state)
            job.state = None

    def close(self) -> None:
        """Free the model."""
        if self._context is not None:
            self._context.close()
        self._model.close()

    def _decode(self, tokens: list[tuple[int, int, int, bool]]) -> None:
        batch = self.native.LlamaBatch(n_tokens=len(tokens), embd=0, n_seq_max=1)
        try:
            for token, place, sequence, wanted in tokens:
                batch.add(int(token), place, [sequence], wanted)
            self._context.decode(batch)
        except ValueError as problem:
            raise ApiError(503, f"llama.cpp has no room for this answer: {problem}", code="out_of_memory") from None
        finally:
            batch.close()

    def _row(self, index: int) -> np.ndarray:
        return np.asarray(self._context.get_logits_ith(index), np.float32)


class GgufTokenizer:
    """See `studio.serving.engine.TokenizerAdapter`: the tokenizer and template in the file."""

    def __init__(self, engine: LlamaCppEngine) -> None:
        self._engine, self._vocabulary = engine, engine.vocabulary
        self._size = int(self._vocabulary.n_vocab)
        self.ends = frozenset(token for token in range(self._size) if self._vocabulary.is_eog(token))
        self._control = frozenset(token for token in range(self._size) if self._vocabulary.is_control(token)) | self.ends
        self._texts = {self._piece(token, True): token for token in self._control}

    @property
    def supports_tools(self) -> bool:
        """Whether the template writes tool calls."""
        return self._writes_tools

    @property
    def longest_token(self) -> int:
        """Most bytes of one token."""
        return self._longest

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[int]:
        """The prompt by the template in the file; people's text that looks like a control token stays text.

        Raises DataError for tools that the template would leave out.
        """
        if not self.supports_tools:
            turns.refuse_tools(messages, tools)
        rendered = self._render(messages, tools, prompt=True, variables=variables)
        ids: list[int] = []
        at = 0
        for start, end in [*rendered.quoted, (len(rendered.text), len(rendered.text))]:
            ids += self._ids(rendered.text[at:start], True, first=not ids)
            ids += self._ids(rendered.text[start:end], False, first=not ids)
            at = end
        return ids

    def plain(self, text: str) -> list[int]:
        """The ids as llama.cpp makes them."""
        return list(self._vocabulary.tokenize(text, True, True)) if text else []

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """The text of ids."""
        kept = [token for token in ids if special or token not in self._control]
        return b"".join(self.token_bytes(token) for token in kept).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """One token's bytes."""
        return self._bytes[token]

    def size(self) -> int:
        """Ids in the vocabulary."""
        return self._size

    def constraint(self, grammar: str, param: str) -> constraint.Constraint:
        """A grammar to be followed in this vocabulary."""
        return constraint.follow(self._grammar_tokenizer, grammar, param)

    def spell(self, mark: str) -> str:
        """A mark in a grammar."""
        return f"<[{self._texts[mark]}]>" if mark in self._texts else json.dumps(mark)

    def sample_call(self) -> str:
        """A tool call as the template writes it."""
        try:
            text = self._render(toolcalls.PROBE, [toolcalls.TOOL]).text
        except StudioError:
            return ""
        after = text.rpartition(toolcalls.ASKED)[2]
        return after if "qzlookup" in after else ""

    def _render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        prompt: bool = False,
        variables: Mapping[str, Any] = MappingProxyType({}),
    ) -> Rendered:
        from studio.models.chat import render
        from studio.models.templates import any_of

        return render(self, messages, tools, prompt=prompt, guard=any_of(set(self._texts) - {""}), variables=variables)

    # What `studio.models.chat.render` reads of a tokenizer.

    @property
    def chat_template(self) -> str:
        """The template in the file."""
        return self._engine.template

    def get_chat_template(self, name: str | None = None, tools: object = None) -> str:
        """The same."""
        return self._engine.template

    @cached_property
    def special_tokens_map(self) -> dict[str, str]:
        """The begin and end tokens, as templates name them."""
        named = {"bos_token": self._vocabulary.token_bos(), "eos_token": self._vocabulary.token_eos()}
        return {name: self._piece(token, True) for name, token in named.items() if token is not None and token >= 0}

    def _ids(self, text: str, special: bool, first: bool) -> list[int]:
        if not text:
            return []
        ids = list(self._vocabulary.tokenize(text, first and special, special))
        begin = self._vocabulary.token_bos()
        return ids[1:] if ids[:2] == [begin, begin] else ids  # the template wrote it and llama.cpp added it

    def _piece(self, token: int, special: bool) -> str:
        return str(self._vocabulary.token_to_piece(token, 0, special))

    @cached_property
    def _writes_tools(self) -> bool:
        return bool(self.sample_call())

    @cached_property
    def _longest(self) -> int:
        return max(1, *map(len, self._bytes))

    @cached_property
    def _bytes(self) -> list[bytes]:
        """Every token's bytes, by way of the text the file holds for it."""
        from studio.serving.hf_tokenizer import _BYTES

        texts = [str(self._vocabulary.get_text(token)) for token in range(self._size)]
        byte_level = sum("\u0120" in text for text in texts) > 10
        return [self._as_bytes(token, text, byte_level, _BYTES) for token, text in enumerate(texts)]

    def _as_bytes(self, token: int, text: str, byte_level: bool, letters: Mapping[str, int]) -> bytes:
        if token in self._control:
            return text.encode()
        if text.startswith("<0x") and text.endswith(">") and len(text) == 6:
            return bytes([int(text[3:5], 16)])
        if byte_level and all(letter in letters for letter in text):
            return bytes(letters[letter] for letter in text)
        return text.replace("\u2581", " ").encode()

    @cached_property
    def _grammar_tokenizer(self) -> Any:
        from llguidance import LLTokenizer, TokenizerWrapper

        outer = self

        class Wrapped:
            eos_token_id = int(outer._vocabulary.token_eos())
            bos_token_id = None
            tokens = outer._bytes
            special_token_ids = sorted(outer._control)

            def __call__(self, text: bytes) -> list[int]:
                return list(outer._vocabulary.tokenize(text.decode("utf-8", "replace"), False, False))

        return LLTokenizer(TokenizerWrapper(Wrapped()), eos_token=sorted(self.ends))


def _chosen(row: np.ndarray, job: Job) -> tuple[int, TokenLogprob | None]:
    token = sampling.choose(row, job)
    return token, sampling.token_logprob(row, token, job.logprobs) if job.logprobs is not None else None


def _native() -> Any:
    from studio.export.llamacpp import runtime

    missing = runtime.missing()
    if missing:
        raise ModelError(missing, hint=runtime.INSTALL, where="--engine llama.cpp")
    from cyllama.llama import llama_cpp

    return llama_cpp


def _open(file: Path, gpu_layers: int) -> tuple[Any, int]:
    """The model in a file, and the context it was trained for."""
    from studio.export.llamacpp import runtime

    try:
        model = runtime.load_model(file, gpu_layers)
    except (RuntimeError, ValueError) as problem:
        raise ModelError(f"llama.cpp cannot load it: {problem}", hint="Is it a whole GGUF file?", where=file.name) from None
    return model, int(model.n_ctx_train)
