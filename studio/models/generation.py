"""Generate: answers to prompts of token ids, in batches, the same as one by one; and a stream of text for a chat."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.core.errors import HardwareError, Stopped
from studio.models.templates import check_template

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedTokenizerBase

BATCH = 16
"""Prompts answered at once unless said otherwise."""
MANY = 64
"""Prompts answered at once where training waits for the answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote."""

    ids: list[int]
    """Token ids, without the end-of-turn token."""
    text: str
    """As a person reads it, without special tokens and without a thinking block."""
    stopped: bool
    """True if it ended by itself, not by max_new_tokens."""
    tokens: int
    """Tokens generated, the end-of-turn token included."""
    thought: str = ""
    """The text of a thinking block, if it began with one."""
    end: int | None = None
    """The id of the token it ended with; None if it was cut, or came from elsewhere."""
    logps: tuple[float, ...] = ()
    """log p of each token, its end included, where another engine wrote it; else empty."""


def stop_ids(tokenizer: Any, model: Any = None) -> tuple[int, ...]:
    """Ids that end an answer: the template's end-of-turn tokens, the tokenizer's end token, and those the model names."""
    found: list[int | None] = [tokenizer.eos_token_id]
    if tokenizer.chat_template:
        found += [tokenizer.convert_tokens_to_ids(token) for token in check_template(tokenizer).ends]
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    found += named if isinstance(named, (list, tuple)) else [named]
    return tuple(dict.fromkeys(int(token) for token in found if token is not None))


def generate(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int,
    batch_size: int | None = None,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[Answer]:
    """Answers to prompts of token ids, in their order; greedy unless temperature is above 0.

    Prompts of like length go together, padded on the left. When a batch does not fit into GPU memory it is halved.
    on_progress(done, total) is called after each batch; Stopped is raised once should_stop() is true. Raises
    HardwareError if even one prompt does not fit.
    """
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    answers: dict[int, Answer] = {}
    size = batch_size or BATCH
    with _ready(model, seed):
        while len(answers) < len(prompts):
            part = order[len(answers) : len(answers) + size]
            if should_stop is not None and should_stop():
                raise Stopped
            rows = _rows(model, [prompts[index] for index in part], tokenizer, max_new_tokens, temperature, top_p, should_stop)
            if rows is None:
                size = _smaller(len(part), len(prompts[part[0]]))
                continue
            answers.update(zip(part, rows, strict=True))
            if on_progress is not None:
                on_progress(len(answers), len(prompts))
    return [answers[index] for index in range(len(prompts))]


def stream(
    model: nn.Module,
    prompt: Sequence[int],
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int = 512,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """The answer to one prompt as pieces of text while it is written. Closing the iterator ends the generation."""
    from transformers import TextIteratorStreamer

    pieces = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    closed, failed = threading.Event(), []

    def stop() -> bool:
        return closed.is_set() or (should_stop is not None and should_stop())

    def write() -> None:
        try:
            with _ready(model, seed):
                _run(model, [prompt], tokenizer, max_new_tokens, temperature, top_p, stop, pieces)
        except BaseException as problem:
            failed.append(problem)
            pieces.end()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        for piece in pieces:
            if piece:
                yield piece
    finally:
        closed.set()
        writer.join()
    if failed:
        raise failed[0]


def _rows(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    should_stop: Callable[[], bool] | None,
) -> list[Answer] | None:
    """Answers to one batch, or None if it did not fit into memory."""
    import torch

    try:
        out = _run(model, prompts, tokenizer, max_new_tokens, temperature, top_p, should_stop)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None
    if should_stop is not None and should_stop():
        raise Stopped
    ends = set(stop_ids(tokenizer, model))
    width = max(len(prompt) for prompt in prompts)
    return [answer_of(row[width:], tokenizer, ends) for row in out.tolist()]


def _run(
    model: Any,
    prompts: Sequence[Sequence[int]],
    tokenizer: Any,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    should_stop: Callable[[], bool] | None = None,
    streamer: Any = None,
) -> Any:
    """Token ids [prompts, longest prompt + new], padded on both sides."""
    import torch
    from transformers import GenerationConfig, StoppingCriteriaList

    width = max(len(prompt) for prompt in prompts)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, width - len(prompt) :] = 1
    device = model.get_input_embeddings().weight.device
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        eos_token_id=list(stop_ids(tokenizer, model)),
        pad_token_id=pad,
        use_cache=True,
        do_sample=temperature > 0,
        **({"temperature": temperature, "top_p": top_p, "top_k": 0} if temperature > 0 else {}),
    )

    def stopping(ids: torch.Tensor, scores: torch.Tensor, **_: object) -> Any:
        return torch.full((ids.shape[0],), should_stop is not None and should_stop(), device=ids.device)

    with torch.inference_mode(), _without_own_taste(model):
        return model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            generation_config=settings,
            stopping_criteria=StoppingCriteriaList([stopping]) if should_stop is not None else None,
            streamer=streamer,
        )


def read(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """Generated ids as a person reads them, without special tokens; and the thinking block they began with, if any."""
    text, thought = str(tokenizer.decode(list(ids), skip_special_tokens=True)), ""
    if text.lstrip().startswith("<think>") and "</think>" in text:
        thought, _, text = text.partition("</think>")
        thought = thought.lstrip().removeprefix("<think>").strip()
    return text.strip(), thought


def answer_of(row: list[int], tokenizer: PreTrainedTokenizerBase, ends: set[int]) -> Answer:
    """Generated ids as an answer: what stands before the first end token."""
    last = next((index for index, token in enumerate(row) if token in ends), None)
    ids = row if last is None else row[:last]
    text, thought = read(ids, tokenizer)
    return Answer(ids, text, last is not None, len(ids) + (last is not None), thought, None if last is None else row[last])


def _smaller(size: int, longest: int) -> int:
    if size == 1:
        raise HardwareError(
            f"there is not enough GPU memory to answer one prompt of {longest} tokens",
            hint="Set model.quantization to nf4, or evaluation.max_new_tokens lower.",
        )
    return size // 2


@contextlib.contextmanager
def _ready(model: nn.Module, seed: int) -> Iterator[None]:
    """The model in evaluation mode and the random state our own; both as before afterwards."""
    import torch

    training = model.training
    model.eval()
    devices = [0] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            model.train(training)


@contextlib.contextmanager
def _without_own_taste(model: Any) -> Iterator[None]:
    """Without the sampling settings a model ships (repetition penalty, top-k): base and tuned are stopping alike."""
    from transformers import GenerationConfig

    holders = [model, model.get_base_model()] if hasattr(model, "get_base_model") else [model]
    own = [holder.generation_config for holder in holders]
    for holder in holders:
        holder.generation_config = GenerationConfig()
    try:
        yield
    finally:
        for holder, settings in zip(holders, own, strict=True):
            holder.generation_config = settings
