"""Constrained decoding: only tokens that keep the answer within a grammar (through `llguidance`).

A mask over the vocabulary is computed for each token while the answer is written; the same for every engine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.serving.errors import ApiError, bad

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

SPACING = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON is written with the spaces Python's `json` and chat templates write, and no others: a model left free to choose
may write white space for ever."""


class Constraint:
    """A grammar followed by one answer."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def allowed(self, vocabulary: int) -> np.ndarray:
        """Which tokens may come next: bool [vocabulary]."""
        packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        bits = np.unpackbits(packed, bitorder="little")[:vocabulary].astype(bool)
        return bits if len(bits) == vocabulary else np.pad(bits, (0, vocabulary - len(bits)))

    def take(self, token: int) -> None:
        """Follow the grammar over a token that was chosen. Raises ApiError where the grammar cannot be followed on."""
        if not self._matcher.consume_token(token):
            raise ApiError(500, f"the answer left its grammar: {self._matcher.get_error()}", code="grammar")

    @property
    def done(self) -> bool:
        """True if nothing but the end can follow."""
        return bool(self._matcher.is_stopped())


def json_grammar(schema: Mapping[str, Any], strict: bool = True) -> str:
    """The grammar of JSON documents that a schema describes; any object for an empty schema. Raises ApiError.

    strict: refuse a schema with a keyword that no grammar can enforce (`uniqueItems`, `not`, `if`, `propertyNames`, an
    unknown `format`); otherwise such keywords are left out and the rest is enforced.
    """
    from llguidance import LLMatcher

    try:
        return LLMatcher.grammar_from_json_schema(
            json.dumps(schema),
            overrides={**SPACING, "lenient": not strict},  # pyright: ignore[reportArgumentType]
        )
    except (ValueError, TypeError) as problem:
        raise bad(f"this JSON schema cannot be used: {problem}", "response_format") from None


def follow(tokenizer: LLTokenizer, grammar: str, param: str) -> Constraint:
    """The grammar ready to be followed with an `llguidance.LLTokenizer`. Raises ApiError for what it cannot express."""
    from llguidance import LLMatcher, LLParserLimits

    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LLParserLimits(max_grammar_size=100_000))
    if matcher.is_error():
        raise bad(f"this grammar cannot be followed: {_first_line(matcher.get_error())}", param)
    return Constraint(matcher)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "no reason given"
