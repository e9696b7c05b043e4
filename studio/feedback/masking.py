"""Personal data of a collected answer, masked as the desk masks rows: the same value by the same token all over it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from studio.data.curation.edits import Content
from studio.data.curation.masking import Tokens, masked
from studio.feedback.records import CollectedAnswer

NAMES_NOT_COVERED = "Names and addresses are not looked for."
_TOKEN = re.compile(r"<([A-Z_]+)_(\d+)>")


def mask(item: CollectedAnswer, regions: Sequence[str] = (), tokens: Tokens | None = None) -> CollectedAnswer:
    """The answer with the personal data in its conversation, itself, its correction and its flag masked.

    tokens: those of an earlier call for the same answer, so that a value in a later correction gets the token it has there.
    Tokens that stand in the texts already, and whose values nobody knows any more, are not given to other values.
    """
    tokens = {} if tokens is None else tokens
    turns = [*item.messages, item.answer, _turn(item.correction), _turn(item.flag)]
    content = Content(messages=tuple(turns))
    for found in _TOKEN.finditer(content.said):
        if found[0] not in tokens.values():
            tokens[found[1], f"\0{found[2]}"] = found[0]  # numbers are given by counting: each token must count
    done = masked(content, (), regions, tokens)
    if done is None:
        return item
    *messages, answer, correction, flag = done.content.messages
    kinds = tuple(dict.fromkeys((*item.masked, *done.kinds)))
    return item.model_copy(
        update={
            "messages": tuple(messages), "answer": answer, "correction": correction["content"], "flag": flag["content"],
            "masked": kinds,
        }
    )  # fmt: skip


def _turn(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
