"""The tokenizer of a transformers model, with the template that was trained, through the studio's one encode."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType, SimpleNamespace
from typing import Any

from studio.core.errors import StudioError
from studio.models.finding import FoundModel
from studio.serving import constraint, toolcalls

NORMALIZED = 4
"""How many times shorter a text may become by its tokenizer's normalisation (accents put together, blanks dropped)."""


class HfTokenizer:
    """See `studio.serving.engine.TokenizerAdapter`. Each thread that encodes has a copy, and so has the one that decodes:
    a tokenizer is not safe in two threads at once."""

    def __init__(self, tokenizer: Any, model: Any = None) -> None:
        """model: where further end tokens are named, if it is known."""
        from studio.models.generation import stop_ids

        self._original, self._decoder = tokenizer, copy.deepcopy(tokenizer)
        self._copies, self._copying = threading.local(), threading.Lock()
        self.ends = frozenset(stop_ids(tokenizer, model))

    @property
    def _encoder(self) -> Any:
        """This thread's copy."""
        if not hasattr(self._copies, "tokenizer"):
            with self._copying:
                self._copies.tokenizer = copy.deepcopy(self._original)
        return self._copies.tokenizer

    @property
    def longest_token(self) -> int:
        """Most bytes of one token; more where the tokenizer shortens text before it looks at it."""
        return self._longest

    @property
    def supports_tools(self) -> bool:
        """Whether the template writes tools and their calls."""
        from studio.data.render import check_template

        try:
            return check_template(self._encoder).supports_tools
        except StudioError:
            return False

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[int]:
        """The prompt as `studio chat` makes it."""
        from studio.data.render import encode_prompt

        return encode_prompt(messages, self._encoder, tools, variables)

    def plain(self, text: str) -> list[int]:
        """The ids of a text as the tokenizer itself makes them."""
        return list(self._encoder(text, add_special_tokens=True).input_ids)

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """The text, as `studio chat` decodes it."""
        return self._decoder.decode(list(ids), skip_special_tokens=not special)

    def token_bytes(self, token: int) -> bytes:
        """One token's bytes; a part of a character is given as its bytes where the vocabulary is byte-level."""
        word = self._decoder.convert_ids_to_tokens(token)
        if word is None:
            return b""
        if token not in self._decoder.added_tokens_decoder:
            if word.startswith("<0x") and word.endswith(">") and len(word) == 6:
                return bytes([int(word[3:5], 16)])
            if self._byte_level and all(letter in _BYTES for letter in word):
                return bytes(_BYTES[letter] for letter in word)
            return word.replace("\u2581", " ").encode()
        return word.encode()

    def size(self) -> int:
        """Ids the tokenizer has."""
        return len(self._encoder)

    def constraint(self, grammar: str, param: str) -> constraint.Constraint:
        """A grammar to be followed in this vocabulary."""
        return constraint.follow(self._grammar_tokenizer, grammar, param)

    def spell(self, mark: str) -> str:
        """A mark in a grammar."""
        token = self._encoder.convert_tokens_to_ids(mark)
        added = self._encoder.added_tokens_decoder.get(token)
        return f"<[{token}]>" if added is not None and added.special else json.dumps(mark)

    def sample_call(self) -> str:
        """A tool call as the template writes it into an answer."""
        from studio.models.chat import render

        try:
            text = render(self._encoder, toolcalls.PROBE, [toolcalls.TOOL]).text
        except StudioError:
            return ""
        return text.rpartition(toolcalls.ASKED)[2]

    @cached_property
    def _longest(self) -> int:
        longest = max((len(token.encode()) for token in self._decoder.get_vocab()), default=1)
        normalizes = getattr(getattr(self._decoder, "backend_tokenizer", None), "normalizer", None) is not None
        return max(1, longest) * (NORMALIZED if normalizes else 1)

    @cached_property
    def _byte_level(self) -> bool:
        return any(word and word[0] == "\u0120" for word in self._decoder.get_vocab())

    @cached_property
    def _grammar_tokenizer(self) -> Any:
        from llguidance.hf import from_tokenizer

        first = self._encoder.eos_token_id
        return from_tokenizer(self._encoder, eos_token=[first, *(self.ends - {first})])


def named_ends(model: FoundModel) -> Any:
    """What `generation_config.json` names as ends, in the place `stop_ids` looks for it."""
    from transformers import GenerationConfig

    try:
        settings = GenerationConfig.from_pretrained(model.path_or_id, revision=model.revision or "main")
    except OSError:
        settings = SimpleNamespace(eos_token_id=model.config.get("eos_token_id"))
    return SimpleNamespace(generation_config=settings)


def _byte_letters() -> dict[str, int]:
    """GPT-2's printable letter for each byte, turned around (Radford et al. 2019)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + index): byte for index, byte in enumerate(hidden)}


_BYTES = _byte_letters()
