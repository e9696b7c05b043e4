"""In a process of its own: an ONNX Runtime GenAI folder as a runtime that gives logits, and as applications use it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import nn


class Genai:
    """A folder opened in ONNX Runtime GenAI on the CPU. longest: tokens of a prompt and its answer together, at most."""

    def __init__(self, folder: str, longest: int, ends: Sequence[int]) -> None:
        self.native, self.model = opened(folder)
        self.longest, self.ends = longest, set(ends)

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits after the tokens at `positions`, each read as in use: the prompt at once, then token by token."""
        first, last = min(positions), max(positions)
        generator = self._begun(len(ids))
        rows = {first: self._after(generator, ids[: first + 1])}
        for place in range(first + 1, last + 1):
            rows[place] = self._after(generator, ids[place : place + 1])
        return np.stack([rows[place] for place in positions])

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """Each prompt's greedy continuation without its end token, and whether it ended by itself."""
        return [self._continued(prompt, longest) for prompt in prompts]

    def _continued(self, prompt: Sequence[int], longest: int) -> tuple[list[int], bool]:
        room = min(longest, self.longest - len(prompt))
        generator, said = self._begun(len(prompt) + longest), list[int]()
        row = self._after(generator, prompt)
        while (token := int(row.argmax())) not in self.ends:
            if len(said) >= room:
                return said, False
            said.append(token)
            row = self._after(generator, [token])
        return said, True

    def _begun(self, tokens: int) -> Any:
        return _generator(self.native, self.model, min(tokens + 1, self.longest))

    def _after(self, generator: Any, ids: Sequence[int]) -> np.ndarray:
        generator.append_tokens(np.array([list(ids)], np.int32))
        return np.asarray(generator.get_logits(), np.float32).reshape(-1).copy()


def open_model(settings: Mapping[str, Any]) -> Genai:
    """settings: folder, longest, ends (token ids)."""
    return Genai(settings["folder"], settings["longest"], settings["ends"])


def opened(folder: str) -> tuple[Any, Any]:
    """The module onnxruntime_genai and the model in `folder`, on the CPU whatever it was built for."""
    native: Any = importlib.import_module("onnxruntime_genai")
    config = native.Config(str(folder))
    config.clear_providers()
    return native, native.Model(config)


def converse(request: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Put conversations to the runtime's own template engine, tokenizer and search, as applications do.

    request: folder, template (or None), longest (tokens of an answer), room (of prompt and answer), asked: [{text, messages,
    tools, answer}]. Returns `ids` of each text; `texts` as its template engine writes the messages, None where it does not
    (`fault` says why); `answers`: ids of its greedy answers, the end token included, or None.
    """
    native, model = opened(request["folder"])
    tokenizer = native.Tokenizer(model)
    ids, texts, answers, fault = [], [], [], ""
    for place, item in enumerate(request["asked"]):
        ids.append([int(token) for token in tokenizer.encode(item["text"])])
        written = None
        if item["messages"] and request["template"]:
            more = {"tools": json.dumps(item["tools"])} if item["tools"] else {}
            try:
                written = tokenizer.apply_chat_template(
                    messages=json.dumps(item["messages"]), add_generation_prompt=True, template_str=request["template"], **more
                )
            except Exception as problem:
                fault = str(problem)
        texts.append(written)
        answers.append(_answered(native, model, ids[-1], request) if item["answer"] else None)
        reporter.progress(place + 1, len(request["asked"]), "asking ONNX Runtime GenAI")
    return {"ids": ids, "texts": texts, "answers": answers, "fault": fault}


def _answered(native: object, model: nn.Module, prompt: list[int], request: Mapping[str, Any]) -> list[int]:
    generator = _generator(native, model, min(len(prompt) + request["longest"], request["room"]))
    generator.append_tokens(np.array([prompt], np.int32))
    while not generator.is_done():
        generator.generate_next_token()
    return [int(token) for token in generator.get_sequence(0)[len(prompt) :]]


def _generator(native: Any, model: Any, tokens: int) -> Any:
    params = native.GeneratorParams(model)
    params.set_search_options(do_sample=False, max_length=tokens)
    return native.Generator(model, params)
