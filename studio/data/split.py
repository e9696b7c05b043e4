"""Which rows are held out: whole groups of rows with the same question, so that no question is on both sides.

Everything works on 8-byte hashes of the rows, so memory is a few dozen bytes a row. Two different texts among a million
share a hash with a probability of about 3e-8.
"""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import orjson
from xxhash import xxh3_64_intdigest

from studio.core.errors import DataError
from studio.data.rows import Conversation

_NOT_WORDS = re.compile(r"[\W_]+")
_SPACED = bytes(code if code > 127 or chr(code).isalnum() else 32 for code in range(256))
_OPENER = 3
"""A first turn of fewer words, such as `Hi there`, is not yet the question of a conversation that goes on."""


def digest(data: bytes | str) -> int:
    """Eight bytes of XXH3 as a number: the same on every machine, and of text as of its UTF-8."""
    return xxh3_64_intdigest(data.encode() if isinstance(data, str) else data)


def normal(text: str) -> str:
    """A text without what does not make it another question: case, punctuation, spacing, width of characters."""
    return _without_marks(text, text.casefold())


def _without_marks(text: str, folded: str) -> str:
    """`normal` of a text whose case is folded already, which a million rows need for another hash as well."""
    if text.isascii():
        return " ".join(folded.encode().translate(_SPACED).decode().split()) or text.strip()
    composed = unicodedata.normalize("NFKC", text)
    plain = folded if composed is text else composed.casefold()
    words = plain.encode().translate(_SPACED).decode().split()  # thrice as fast as the pattern, which few texts need
    if not "".join(words).isalnum():
        words = _NOT_WORDS.sub(" ", plain).split()
    return " ".join(words) or text.strip()


def fingerprint(conversation: Conversation) -> tuple[int, int, int, int]:
    """Four hashes: the whole row, its question (for the split), all that precedes its last answer, and that answer."""
    if not conversation.messages:
        whole = digest(conversation.text)
        return whole, digest(normal(conversation.text)), whole, whole
    *prompt, answer = conversation.messages
    if (
        conversation.rejected is not None or conversation.good is not None
    ):  # several answers to one question are as it should be
        before = orjson.dumps([prompt, conversation.tools])
        whole = digest(before + orjson.dumps([answer, conversation.rejected, conversation.good]))
        return whole, digest(question(conversation)), digest(before.lower()), 0
    told = orjson.dumps(answer)
    if len(prompt) == 1 and not conversation.tools:  # the usual row: one question, one answer
        asked = prompt[0]["content"]
        hashed = xxh3_64_intdigest  # as `digest` does, without three calls a row
        whole = hashed(asked.encode() + b"\0" + told)
        folded = asked.casefold()
        spaced = hashed(" ".join(folded.split()).encode())
        if asked.isascii() and (marked := b" ".join(folded.encode().translate(_SPACED).split())):
            return whole, hashed(marked), spaced, hashed(told)  # as below, without going back to text
        return whole, hashed(_without_marks(asked, folded).encode()), spaced, hashed(told)
    before = orjson.dumps([prompt, conversation.tools])
    return digest(before + told), digest(question(conversation)), digest(before.lower()), digest(told)


def question(conversation: Conversation) -> str:
    """What the conversation asks, normalised: its first turn of the user, and further ones while it is only a greeting."""
    asked = ""
    for turn in conversation.messages:
        if turn["role"] == "user":
            asked = f"{asked} {normal(turn['content'])}".strip()
            if len(asked.split()) + sum(letter > "\u2e7f" for letter in asked) >= _OPENER:
                break
    return asked


def first_of_each(hashes: np.ndarray) -> np.ndarray:
    """For each row, the place of the first row with the same hash. hashes: uint64 [rows]."""
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    return first[inverse]


def conflicting(prompts: np.ndarray, answers: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of places, one for each question that has several different answers. prompts, answers: uint64 [rows]."""
    order = np.lexsort((answers, prompts))
    same = prompts[order][1:] == prompts[order][:-1]
    other = answers[order][1:] != answers[order][:-1]
    begins = np.flatnonzero(np.concatenate(([True], ~same)))  # where each question's rows begin in that order
    pairs: dict[int, tuple[int, int]] = {}
    for place in np.flatnonzero(same & other).tolist():
        begin = int(begins[np.searchsorted(begins, place, side="right") - 1])
        one, two = sorted((int(order[begin]), int(order[place + 1])))
        pairs.setdefault(begin, (one, two))
    return sorted(pairs.values())


def hold_out(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which rows are held out, as bool [rows]. groups: uint64 [rows], equal for rows that must stay together.

    Groups are taken in an order that depends on their hash and the seed only, not on the file's, until the number of rows
    is `share` of all as nearly as whole groups allow; at least one row is on each side. Raises DataError if all rows
    are one group.
    """
    if share <= 0:
        return np.zeros(len(groups), dtype=bool)
    keys, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(keys) < 2:
        raise DataError(
            "nothing can be held out: all usable rows ask the same question",
            hint="Add rows with other questions, or set data.holdout to 0 or to a file of its own.",
            where="data.holdout",
        )
    target = min(max(round(share * len(groups)), 1), len(groups) - 1)
    order = np.argsort(mixed(keys, seed), kind="stable")
    sizes = counts[order]
    taken = np.cumsum(sizes) <= target
    missing = target - int(sizes[taken].sum())
    for place in np.flatnonzero(~taken).tolist():
        if not missing:
            break
        if sizes[place] <= missing:
            taken[place] = True
            missing -= int(sizes[place])
    if not taken.any():  # every group is larger than the target
        taken[int(np.argmin(sizes))] = True
    held = np.zeros(len(keys), dtype=bool)
    held[order[taken]] = True
    return held[inverse]


def mixed(keys: np.ndarray, seed: int) -> np.ndarray:
    """Well-spread numbers from hashes and a seed (the finaliser of SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        mixed = keys ^ np.uint64(digest(str(seed)))
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
