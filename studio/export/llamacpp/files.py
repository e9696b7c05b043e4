"""GGUF files of exports: where they are, and the special tokens and prompts that llama.cpp must agree on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.export.llamacpp import runtime, writer
from studio.export.prompts import adds_bos, stop_token_ids
from studio.export.verification import answers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from studio.data.rows import Conversation


def gguf_in(folder: Path) -> Path:
    """The GGUF file of an export."""
    return next(folder.glob("*.gguf"))


def ending_of(folder: Path, tokenizer: Any) -> writer.Ending:
    """The special tokens of a model folder."""
    ends = tuple(stop_token_ids(folder))
    return writer.Ending(tokenizer.bos_token_id, tokenizer.pad_token_id, ends[0], ends, adds_bos(tokenizer))


def prompt(model: runtime.Gguf, tokenizer: PreTrainedTokenizerBase, conversation: Conversation) -> list[int] | None:
    """The prompt's ids by llama.cpp's own tokenizer, as its server makes them: the template's text, marks as tokens.

    None for a conversation in which people wrote the text of a control token: llama.cpp's server takes it for the token,
    the studio for text, and no file can change that.
    """
    from studio.data.render import check_template, encode
    from studio.models.chat import render

    if not conversation.messages:
        text = encode(conversation, tokenizer).text
        ids = model.tokenize(text, add_bos=False)
        return ids[: max(1, len(ids[: answers.LONGEST_PROMPT + answers.POSITIONS]) // 2)]
    guard = check_template(tokenizer).guard
    rendered = render(tokenizer, conversation.prompt, conversation.tools, prompt=True, guard=guard)
    if rendered.quoted:
        return None
    text = rendered.text
    if model.adds_bos:
        text = text.removeprefix(str(tokenizer.bos_token))
    return model.tokenize(text)[-answers.LONGEST_PROMPT :]
