"""The probe as texts, for runtimes that tokenize by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.export.verification.answers import LONGEST_PROMPT, POSITIONS
from studio.export.verification.probe import Probe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Text:
    """One conversation's prompt as the trained template writes it, or the whole of a plain text.

    quoted: people wrote the text of a control token in it, which runtimes that are given text take for the token.
    plain: it is a text without turns, the first half of whose tokens is the prompt.
    """

    text: str
    quoted: bool = False
    plain: bool = False

    @property
    def whole(self) -> bool:
        """True if the text is exactly what the model is asked."""
        return not self.quoted and not self.plain

    def cut(self, ids: Sequence[int]) -> list[int] | None:
        """Of its ids, those that are the prompt, as `answers.case` takes them; None if they cannot be the same."""
        if self.quoted:
            return None
        if self.plain:
            return list(ids[: max(1, len(ids[: LONGEST_PROMPT + POSITIONS]) // 2)])
        return list(ids[-LONGEST_PROMPT:])


def asked_texts(tokenizer: PreTrainedTokenizerBase, probe: Probe) -> list[Text]:
    """What the probe asks, as text."""
    from studio.data.render import check_template, encode
    from studio.models.chat import render

    texts = []
    for item in probe.questions():
        if item.messages:
            guard = check_template(tokenizer).guard
            rendered = render(tokenizer, item.prompt, item.tools, prompt=True, guard=guard)
            texts.append(Text(rendered.text, quoted=bool(rendered.quoted)))
        else:
            texts.append(Text(encode(item, tokenizer).text, plain=True))
    return texts
