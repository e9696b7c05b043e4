"""Answers while a run is trained: a few held-out questions, asked again at every evaluation, to see them change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core import events
from studio.core.files import read_json_lines
from studio.core.records import Record
from studio.evaluation.answering import ask, longest_answer, questions

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from studio.data.render import TrainOn
    from studio.data.rows import Conversation
    from studio.evaluation.settings import Evaluation
    from studio.tracking.reporter import Reporter

LONGEST = 128
"""Tokens an answer may take: training waits for it."""


class Sample(Record):
    """An answer of the model as it was after `step` steps; a line of `evaluation/samples.jsonl`."""

    step: int
    question: str
    reference: str
    answer: str


def sampler(
    rows: Sequence[Conversation],
    tokenizer: PreTrainedTokenizerBase,
    settings: Evaluation,
    train_on: TrainOn,
    file: Path,
    reporter: Reporter,
    on_samples: Callable[[list[Sample]], None] | None = None,
) -> Callable[[int, Any], None] | None:
    """What asks `settings.while_training` rows of the model at a step, greedily, and appends the answers to `file`.

    None where nothing is to be asked. on_samples gets all answers so far. The model is left as it was, its random state too;
    an error is reported, and costs the answers only.
    """
    if not settings.while_training:
        return None
    asked = [item for item in questions(rows[: settings.while_training], tokenizer, train_on)[0] if item.prompt]
    if not asked:
        return None
    longest = min(LONGEST, longest_answer(asked, settings))

    def sample(step: int, model: nn.Module) -> None:
        try:
            answers, _ = ask(model, tokenizer, [item.prompt for item in asked], longest)
            file.parent.mkdir(parents=True, exist_ok=True)
            for item, answer in zip(asked, answers, strict=True):
                question = str(item.conversation.prompt[-1].get("content") or "")
                Sample(step=step, question=question, reference=item.reference, answer=answer.text).append(file)
            if on_samples:
                on_samples(read(file))
        except Exception as problem:
            why = " ".join(str(problem).split())
            reporter.event(events.Note(message=f"no answers at step {step}: {why}"))

    return sample


def read(file: Path) -> list[Sample]:
    """All answers so far, by step. After a resume a step may stand twice: the later answers count."""
    found = [Sample.from_json(line, str(file)) for line in read_json_lines(file)]
    latest = {(item.step, item.question): item for item in found}
    return sorted(latest.values(), key=lambda item: item.step)
