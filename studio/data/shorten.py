"""Shorten: an over-long conversation made to fit by losing its beginning, never an answer's end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from studio.core.errors import StudioError
from studio.data.render import Encoded, TrainOn, encode
from studio.data.rows import Conversation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def shortened(
    conversation: Conversation, tokenizer: PreTrainedTokenizerBase, train_on: TrainOn, max_length: int
) -> Encoded | None:
    """The conversation in at most max_length tokens, or None if even its last answer is longer.

    The oldest exchanges go first (a system message stays), each up to the next user message. If the last exchange alone
    is too long, the beginning of its prompt is cut, token by token. Plain text keeps its end.
    """
    row = encode(conversation, tokenizer, train_on)
    for shorter in _without_oldest(conversation):
        try:
            row = encode(shorter, tokenizer, train_on)
        except StudioError:
            continue  # the template does not take a conversation that begins there
        if len(row.ids) <= max_length:
            return row
    if conversation.messages and train_on != "all" and _last_answer(row) >= max_length:
        return None
    cut = len(row.ids) - max_length
    begin = row.starts[cut]
    starts = [start - begin for start in row.starts[cut:]]
    return Encoded(row.ids[cut:], row.mask[cut:], row.text[begin:], starts)


def _without_oldest(conversation: Conversation):
    """The conversation without its first exchange, without its first two, ..."""
    messages = conversation.messages
    lead = 1 if messages and messages[0]["role"] in ("system", "developer") else 0
    for place in range(lead + 1, len(messages)):
        if messages[place]["role"] == "user":
            yield replace(conversation, messages=(*messages[:lead], *messages[place:]))


def _last_answer(row: Encoded) -> int:
    """Tokens from the beginning of the last trained part to the end of the row."""
    length = len(row.ids)
    last = max(index for index in range(length) if row.mask[index])
    while last and row.mask[last - 1]:
        last -= 1
    return length - last
