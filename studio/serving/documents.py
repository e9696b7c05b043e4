"""Answers as OpenAI's API writes them: whole, and as the chunks of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studio.core.messages import ToolCall
from studio.serving.engine import TokenizerAdapter
from studio.serving.job import TokenLogprob


def usage(prompt: int, written: int) -> dict[str, int]:
    """Tokens read and written; the end-of-turn token counts as written."""
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def chat_logprobs(logprobs: Sequence[TokenLogprob], tokenizer: TokenizerAdapter) -> dict[str, Any]:
    """`logprobs` of a chat choice."""
    content = [
        {
            **_entry(item.token, item.logprob, tokenizer),
            "top_logprobs": [_entry(token, value, tokenizer) for token, value in item.top],
        }
        for item in logprobs
    ]
    return {"content": content, "refusal": None}


def text_logprobs(logprobs: Sequence[TokenLogprob], tokenizer: TokenizerAdapter, offset: int = 0) -> dict[str, Any]:
    """`logprobs` of a plain completion; offset: where the first token begins in the text."""
    texts = [tokenizer.decode([item.token], special=True) for item in logprobs]
    offsets = []
    for text in texts:
        offsets.append(offset)
        offset += len(text)
    return {
        "tokens": texts,
        "token_logprobs": [item.logprob for item in logprobs],
        "top_logprobs": [_top(item, text, tokenizer) for item, text in zip(logprobs, texts, strict=True)],
        "text_offset": offsets,
    }


def _top(item: TokenLogprob, text: str, tokenizer: TokenizerAdapter) -> dict[str, float] | None:
    if item.logprob is None:
        return None
    top = {tokenizer.decode([token], special=True): value for token, value in reversed(item.top)}
    return top if text in top else {**top, text: item.logprob}


def _entry(token: int, logprob: float | None, tokenizer: TokenizerAdapter) -> dict[str, Any]:
    data = tokenizer.token_bytes(token)
    return {"token": tokenizer.decode([token], special=True), "logprob": logprob, "bytes": list(data)}


def chat_choice(index: int, content: str | None, calls: Sequence[ToolCall], finish: str, logprobs: object) -> dict[str, Any]:
    """A choice of a whole chat answer."""
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish}


def text_choice(index: int, text: str, finish: str | None, logprobs: object) -> dict[str, Any]:
    """A choice of a plain completion, whole or in a chunk."""
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}


def delta(index: int, values: dict[str, Any], finish: str | None = None, logprobs: object = None) -> dict[str, Any]:
    """A choice in a chunk of a chat stream."""
    return {"index": index, "delta": values, "logprobs": logprobs, "finish_reason": finish}
