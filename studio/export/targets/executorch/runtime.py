"""In a process of its own: a .pte program as a runtime that gives logits, and as ExecuTorch's runner for phones meets it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studio.tracking.reporter import Reporter


class Program:
    """A program whose `forward(tokens, positions)` gives the logits of the last token, on the CPU."""

    def __init__(self, file: str, context: int, prefill: int, ends: Sequence[int]) -> None:
        from executorch.kernels import quantized  # noqa: F401 - registers its operators
        from executorch.runtime import Runtime

        self._program = Runtime.get().load_program(Path(file))
        self._forward: Any = self._program.load_method("forward")
        self.context, self.prefill, self.ends = context, prefill, set(ends)

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits after the tokens at `positions`, each read as in use: the prompt in parts, then token by token."""
        first, last = min(positions), max(positions)
        rows = {first: self._taken_in(ids[: first + 1])}
        for place in range(first + 1, last + 1):
            rows[place] = self._step(ids[place : place + 1], place)
        return np.stack([rows[place] for place in positions])

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """Each prompt's greedy continuation without its end token, and whether it ended by itself before the context did."""
        return [self._continued(prompt, longest) for prompt in prompts]

    def _continued(self, prompt: Sequence[int], longest: int) -> tuple[list[int], bool]:
        said: list[int] = []
        if len(prompt) > self.context:
            return said, False
        row = self._taken_in(prompt)
        while (token := int(row.argmax())) not in self.ends:
            if len(said) == longest or len(prompt) + len(said) == self.context:
                return said, False
            said.append(token)
            if len(prompt) + len(said) <= self.context:
                row = self._step([token], len(prompt) + len(said) - 1)
        return said, True

    def _taken_in(self, ids: Sequence[int]) -> np.ndarray:
        """Logits after the last of these tokens, which begin a text."""
        row = np.zeros(0, np.float32)
        for start in range(0, len(ids), self.prefill):
            row = self._step(ids[start : start + self.prefill], start)
        return row

    def _step(self, ids: Sequence[int], position: int) -> np.ndarray:
        import torch

        tokens, positions = torch.tensor([list(ids)]), torch.arange(position, position + len(ids))
        return self._forward.execute((tokens, positions))[0].reshape(-1).numpy().copy()


def open_program(settings: Mapping[str, Any]) -> Program:
    """settings: file, context, prefill, ends (token ids)."""
    return Program(settings["file"], settings["context"], settings["prefill"], settings["ends"])


def converse(request: Mapping[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Put texts to ExecuTorch's own tokenizer and runner, as an application on a phone does.

    request: file (.pte), tokenizer (tokenizer.json), longest (tokens of an answer), asked: [{text, answer}], `answer`: whether
    it is to be generated. Returns `ids` of each text, or None if the runner cannot read the tokenizer (`fault` says why), and
    `answers`: texts, or None.
    """
    from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner
    from executorch.kernels import quantized  # noqa: F401 - registers its operators
    from pytorch_tokenizers import CppHFTokenizer

    tokenizer = CppHFTokenizer()
    try:
        tokenizer.load(request["tokenizer"])
        ids = [list(tokenizer.encode(item["text"], 0, 0)) for item in request["asked"]]
        runner = TextLLMRunner(str(request["file"]), str(request["tokenizer"]))
    except RuntimeError as problem:
        return {"ids": None, "answers": [None] * len(request["asked"]), "fault": str(problem)}
    settings = GenerationConfig(echo=False, max_new_tokens=request["longest"], temperature=0.0)
    answers: list[str | None] = []
    for place, item in enumerate(request["asked"]):
        parts: list[str] = []
        if item["answer"]:
            with contextlib.suppress(UnicodeDecodeError):
                runner.generate(item["text"], settings, token_callback=parts.append)
            runner.reset()
        answers.append("".join(parts) if item["answer"] else None)
        reporter.progress(place + 1, len(request["asked"]), "asking ExecuTorch's runner")
    return {"ids": ids, "answers": answers, "fault": ""}
