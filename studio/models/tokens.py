"""Text to token ids such that what people wrote never becomes a control token, and an answer begins with its own token."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any

from studio.core.errors import ModelError
from studio.models.chat import Span

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

_lock = Lock()


@dataclass(frozen=True, slots=True)
class Tokenized:
    """Token ids and where each begins in the text, in characters."""

    ids: list[int]
    starts: list[int]


def tokenize(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    cuts: Sequence[Sequence[int]],
    quoted: Sequence[Sequence[Span]],
    control: re.Pattern[str],
) -> list[Tokenized]:
    """Token ids of several texts, nothing added.

    cuts: places of each text that no token may span (where answers begin: the model starts to write there, so a token
    reaching over from the prompt could never be generated). quoted: parts that people wrote and that look like control
    tokens; they are encoded as plain text. Raises ModelError where the tokenizer cannot do that.
    """
    found = _encode(tokenizer, texts)
    return [
        whole
        if not any(control.search(texts[row], *span) for span in quoted[row]) and not _spanned(whole, stops, cuts[row])
        else _pieces(tokenizer, texts[row], cuts[row], quoted[row], control)
        for row, (whole, stops) in enumerate(found)
    ]


def count_tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> list[int]:
    """How many tokens each text has, without any that a template or the tokenizer puts around it."""
    return [len(tokens.ids) for tokens, _ in _encode(tokenizer, texts)]


def _encode(tokenizer: Any, texts: Sequence[str]) -> list[tuple[Tokenized, list[int]]]:
    """Ids, starts and ends by the tokenizer's whole pipeline except its post-processor, which would trim the offsets."""
    backend = tokenizer.backend_tokenizer
    with _lock:
        after, backend.post_processor = backend.post_processor, None
        backend.no_padding()
        backend.no_truncation()
        try:
            rows = backend.encode_batch(list(texts), add_special_tokens=False)
        finally:
            backend.post_processor = after
    found = []
    for row in rows:
        offsets = row.offsets
        found.append((Tokenized(row.ids, [start for start, _ in offsets]), [end for _, end in offsets]))
    return found


def _spanned(tokens: Tokenized, stops: list[int], cuts: Sequence[int]) -> bool:
    for cut in cuts:
        first = bisect_left(tokens.starts, cut)
        if first and stops[first - 1] > cut:
            return True
    return False


def _pieces(tokenizer: Tokenizer, text: str, cuts: Sequence[int], quoted: Sequence[Span], control: re.Pattern) -> Tokenized:
    """The text encoded piece by piece, cut where it must be."""
    plain = [span for span in quoted if control.search(text, *span)]
    edges = sorted({0, len(text), *cuts, *(edge for span in plain for edge in span)})
    ids: list[int] = []
    starts: list[int] = []
    for begin, end in pairwise(edges):
        piece = text[begin:end]
        if any(start <= begin and end <= stop for start, stop in plain):
            new = _as_text(tokenizer, piece)
            places = [begin] * len(new)
        else:
            new, places = _continued(tokenizer, piece) if begin else _first(tokenizer, piece)
            places = [begin + place for place in places]
        ids += new
        starts += places
    return Tokenized(ids, starts)


def _first(tokenizer: Tokenizer, piece: str) -> tuple[list[int], list[int]]:
    tokens, _ = _encode(tokenizer, [piece])[0]
    return tokens.ids, tokens.starts


def _continued(tokenizer: Tokenizer, piece: str) -> tuple[list[int], list[int]]:
    """Encode a piece from the middle of a text: behind a line break, so that no begin-of-text space is put before it."""
    broken, _ = _encode(tokenizer, ["\n" + piece])[0]
    head = _first(tokenizer, "\n")[0]
    if broken.ids[: len(head)] == head and all(start >= 1 for start in broken.starts[len(head) :]):
        return broken.ids[len(head) :], [start - 1 for start in broken.starts[len(head) :]]
    return _first(tokenizer, piece)


def _as_text(tokenizer: Tokenizer, piece: str) -> list[int]:
    """The ids of a control token's text by the model's ordinary vocabulary."""
    forbidden = set(tokenizer.added_tokens_decoder)
    for parts in ([piece], [piece[:1], piece[1:]], list(piece)):
        ids = [token for part in parts for token in _ordinary(tokenizer, part)]
        if not forbidden.intersection(ids):
            return ids
    raise ModelError(
        f"this tokenizer has no ordinary tokens for the text {piece!r}",
        hint="Write it differently in the data; as it stands it would become a control token.",
    )


def _ordinary(tokenizer: Any, text: str) -> list[int]:
    backend = tokenizer.backend_tokenizer

    def run(part: str) -> list[int]:
        if backend.normalizer is not None:
            part = backend.normalizer.normalize_str(part)
        words = [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(part)] if backend.pre_tokenizer else [part]
        return [token.id for word in words for token in backend.model.tokenize(word)]

    head, broken = run("\n"), run("\n" + text)
    return broken[len(head) :] if broken[: len(head)] == head else run(text)
