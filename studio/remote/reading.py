"""What an API answered, as a Completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from studio.remote.completion import Completion, Request, TokenChoice, Usage
from studio.remote.endpoint import Price

if TYPE_CHECKING:
    import httpx

_BYTES_A_TOKEN = 3.5
"""Of prose in most tokenizers; what an API that gives no figures is reckoned by."""


def completion_of(response: httpx.Response, request: Request, price: Price, seconds: float) -> Completion | None:
    """The completion in a response; None if it holds none."""
    if response.status_code != 200:
        return None
    try:
        body = response.json()
        choice = body["choices"][0]
        message = choice["message"]
    except (ValueError, LookupError, TypeError):
        return None
    if not isinstance(message, dict):
        return None
    text, finish = _text(message.get("content")), str(choice.get("finish_reason") or "")
    if not text and message.get("refusal"):
        text, finish = str(message["refusal"]), "refusal"
    usage, said = _usage(body.get("usage"), request, text)
    return Completion(
        text=text,
        finish_reason=finish,
        usage=usage,
        cost=price.cost(usage.prompt_tokens, usage.completion_tokens) if said is None else said,
        served_model=str(body.get("model") or ""),
        latency_s=round(seconds, 3),
        top_logprobs=_choices(choice.get("logprobs")) if request.logprobs else None,
    )


def most_tokens_of(request: Request, text: str) -> tuple[int, int]:
    """Bounds on the tokens of a prompt and of an answer that nobody counted."""
    return request.most_prompt_tokens, min(request.max_tokens, len(text.encode()) + 1)


def _text(content: object) -> str:
    if isinstance(content, list):  # parts
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(body: Any, request: Request, text: str) -> tuple[Usage, float | None]:
    """The tokens that were billed, and the cost if the API says it (OpenRouter does)."""
    try:
        detail = body.get("completion_tokens_details") or {}
        usage = Usage(
            prompt_tokens=int(body["prompt_tokens"]),
            completion_tokens=int(body["completion_tokens"]),
            reasoning_tokens=int(detail.get("reasoning_tokens") or 0),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        asked = sum(len(_text(message.get("content")).encode()) for message in request.messages)
        tokens = [round(length / _BYTES_A_TOKEN) + 4 for length in (asked, len(text.encode()))]
        return Usage(prompt_tokens=tokens[0], completion_tokens=min(tokens[1], request.max_tokens), estimated=True), None
    cost = body.get("cost")
    return usage, float(cost) if isinstance(cost, int | float) and cost >= 0 else None


def _choices(body: object) -> tuple[TokenChoice, ...] | None:
    listed = body.get("content") if isinstance(body, Mapping) else None
    if not isinstance(listed, list):
        return None
    try:
        return tuple(
            TokenChoice(
                token=str(item["token"]),
                logprob=float(item["logprob"]),
                top=tuple((str(other["token"]), float(other["logprob"])) for other in item.get("top_logprobs") or ()),
            )
            for item in listed
        )
    except (KeyError, TypeError, ValueError):
        return None
