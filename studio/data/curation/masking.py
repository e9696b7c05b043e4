"""Masking: personal data in a row replaced by tokens such as `<EMAIL_1>`, the same value by the same token all over the row.

Questions and answers are masked alike, or a model would learn to invent what it was not asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from studio.core.messages import ChatMessage
from studio.core.plain import is_items, is_object
from studio.data.checks.personal import Span, spans
from studio.data.curation.edits import Content

Tokens: TypeAlias = dict[tuple[str, str], str]
"""Kind and value to the token that stands for it."""


@dataclass(frozen=True)
class Masked:
    """A row with its personal data masked. kinds: what was, each kind once; count: how many places."""

    content: Content
    kinds: tuple[str, ...]
    count: int


def masked(
    content: Content, kinds: Collection[str] = (), regions: Sequence[str] = (), tokens: Tokens | None = None
) -> Masked | None:
    """The row with personal data masked, of these kinds or of all; None where there is none.

    regions: countries whose numbers are known, as in `data.regions`. tokens: those that stand for values already; new ones
    are added to them.
    """
    tokens = {} if tokens is None else tokens
    seen: list[str] = []

    def replace(text: str) -> str:
        return _replaced(text, [span for span in spans(text, regions) if not kinds or span.kind in kinds], tokens, seen)

    if content.messages:
        turns = tuple(_turn(turn, replace) for turn in content.messages)
        rejected = _turn(content.rejected, replace) if content.rejected else None
        new = content.model_copy(update={"messages": turns, "rejected": rejected})
    else:
        new = content.model_copy(update={"text": replace(content.text)})
    return Masked(new, tuple(dict.fromkeys(seen)), len(seen)) if seen else None


def _turn(turn: ChatMessage, replace: Callable[[str], str]) -> ChatMessage:
    """A turn with its texts masked, those inside tool calls too."""
    masked = {key: value if key in ("role", "train") else _value(value, replace) for key, value in turn.items()}
    return cast("ChatMessage", masked)


def _value(value: object, replace: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return replace(value)
    if is_object(value):
        return {key: _value(item, replace) for key, item in value.items()}
    return [_value(item, replace) for item in value] if is_items(value) else value


def _replaced(text: str, spans: list[Span], tokens: Tokens, seen: list[str]) -> str:
    for span in spans:  # numbers go by the order in the row
        value = "".join(text[span.start : span.end].casefold().split())
        if (span.kind, value) not in tokens:
            number = sum(kind == span.kind for kind, _ in tokens) + 1
            while (token := f"<{span.kind}_{number}>") in tokens.values():
                number += 1
            tokens[span.kind, value] = token
    for span in reversed(spans):
        value = "".join(text[span.start : span.end].casefold().split())
        text = text[: span.start] + tokens[span.kind, value] + text[span.end :]
    seen += [span.kind for span in spans]
    return text
