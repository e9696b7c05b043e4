"""A GGUF file as a model that lm-evaluation-harness measures, inside the harness's own environment."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import EvaluationError
from studio.evaluation import harness
from studio.export.llamacpp import runtime
from studio.export.verification.answers import Runtime, log_softmax

if TYPE_CHECKING:
    from studio.tracking.reporter import Reporter

CONTEXT = 2048
"""Tokens of a prompt and its answer that a file is opened for, where the model has as many."""
LONGEST = 256
"""Tokens of an answer where a task says nothing, as in the harness."""


def run(request: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """The scores of one side, as `studio.evaluation.harness.run` returns them.

    request: `tasks`, `system`, `limit`, `template` and `side` as there; `gguf`, the file; `model`, the base that the run was
    trained on, whose tokenizer the file has. Raises EvaluationError, ExportError.
    """
    from studio.models import loading
    from studio.models.dims import model_dims
    from studio.models.settings import Model

    settings = Model.model_validate(request["model"])
    base = loading.find(settings)
    tokenizer = loading.tokenizer(base, settings.chat_template)
    context = min(CONTEXT, model_dims(base.config).max_positions)
    parent = importlib.import_module("lm_eval.api.model").TemplateLM
    with runtime.opened(Path(request["gguf"]), context) as opened:
        model = type("GgufModel", (Measured, parent), {})(opened, tokenizer, context)
        return harness.measure(request["side"], model, harness.Measurement.of(request), reporter)


class Measured:
    """What the harness asks of a model, answered by a runtime; to be mixed with the harness's `TemplateLM`.

    Prompts go in as the ids of the base model's tokenizer, as in the verification of the export.
    """

    def __init__(self, opened: Runtime, tokenizer: Any, max_length: int) -> None:
        super().__init__()
        self._runtime, self.tokenizer, self.max_length = opened, tokenizer, max_length

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def tokenizer_name(self) -> str:
        """What the harness calls the template's owner."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as the template writes it."""
        return self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """The ids of a text; the token that begins one is not put before a text that has it."""
        begins = bool(self.tokenizer.bos_token) and string.startswith(self.tokenizer.bos_token)
        special = not begins if add_special_tokens is None else add_special_tokens
        return list(self.tokenizer.encode(string, add_special_tokens=special))

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        return [self._likelihood(context, wanted) for _, context, wanted in requests]

    def _likelihood(self, context: Sequence[int], wanted: Sequence[int]) -> tuple[float, bool]:
        """The log-likelihood of the wanted ids, and whether they are the greedy continuation."""
        read = [*context, *wanted][:-1][-self.max_length :]
        wanted = list(wanted)[-len(read) :]
        logits = self._runtime.logits(read, range(len(read) - len(wanted), len(read))).astype(np.float64)
        chosen = log_softmax(logits)[np.arange(len(wanted)), wanted]
        return float(chosen.sum()), bool((logits.argmax(1) == wanted).all())

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """The log-likelihood of whole texts, which the harness cuts into windows."""
        utils = importlib.import_module("lm_eval.utils")
        found = []
        for request in requests:
            windows = utils.get_rolling_token_windows(
                self.tok_encode(request.args[0]), self.eot_token_id, max_seq_len=self.max_length, context_len=1
            )
            found.append(sum(self._likelihood(*utils.make_disjoint_window(window))[0] for window in windows))
        return found

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """The greedy answer to each prompt, cut where the task says. Raises EvaluationError for a task that samples."""
        return [self._answer(*request.args) for request in requests]

    def _answer(self, prompt: str, settings: dict[str, Any]) -> str:
        if settings.get("do_sample") and settings.get("temperature", 1) > 0:
            raise EvaluationError("this task samples its answers", hint="Set do_sample: false in its YAML.", where="do_sample")
        longest = int(settings.get("max_gen_toks") or LONGEST)
        ids = self.tok_encode(prompt)[-max(1, self.max_length - longest) :]
        ((said, _),) = self._runtime.greedy([ids], longest)
        text = str(self.tokenizer.decode(said, skip_special_tokens=True))
        until = settings.get("until") or []
        for end in [until] if isinstance(until, str) else until:
            text = text.partition(end)[0] if end else text
        return text
