"""A tokenizer.json as llama.cpp's vocabulary, so that both split the same text into the same tokens.

llama.cpp knows splitting rules by name. Its converter finds the name by hashing the ids of a test text, which fails for
every vocabulary it has not seen; here the rule itself (the regular expression in tokenizer.json) decides. A rule that
llama.cpp does not have is refused. Whether ids agree is not trusted but compared, in the verification of the file.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core.errors import ExportError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""llama.cpp's token types."""

_CASED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_REST_SLASH = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

RULES = {
    rf"{_CASED}|{_LEAD}\p{{L}}+|\p{{N}}{{1,3}}{_REST}": ("llama-bpe", "dbrx"),
    rf"{_CASED}|{_LEAD}\p{{L}}+|\p{{N}}{_REST}": ("", "qwen2"),
    rf"{_LEAD}{_UPPER}*{_LOWER}+{_CASED}?|{_LEAD}{_UPPER}+{_LOWER}*{_CASED}?|\p{{N}}{{1,3}}{_REST_SLASH}": ("", "gpt-4o"),
    rf"{_LEAD}{_UPPER}*{_LOWER}+|{_LEAD}{_UPPER}+{_LOWER}*|\p{{N}}{_REST_SLASH}": ("tekken", ""),
}
"""Splitting expression -> llama.cpp's name of it (where whole words in the vocabulary ignore merges, where they do not)."""


@dataclass(frozen=True)
class Vocabulary:
    """Everything under `tokenizer.ggml.` but ids of special tokens. merges is empty and scores filled for `llama`."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    scores: list[float]
    add_space_prefix: bool | None = None


def read(folder: Path, size: int) -> Vocabulary:
    """The vocabulary of a model folder's tokenizer.json, padded to the `size` rows of its embedding.

    Raises ExportError if llama.cpp cannot split text as this tokenizer does.
    """
    file = folder / "tokenizer.json"
    if not file.exists():
        raise ExportError("there is no tokenizer.json", hint="Export a model whose tokenizer is a fast one.", where=str(folder))
    values = json.loads(file.read_text("utf-8"))
    model = values["model"]
    if model.get("type") != "BPE":
        raise _unknown(f"its tokenizer is of type {model.get('type')}, not BPE")
    tokens, types = _tokens(values, size)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    if model.get("byte_fallback"):
        return _sentencepiece(values, tokens, types, merges)
    return Vocabulary("gpt2", _rule(values), tokens, types, merges, [])


def _tokens(values: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Texts and types of all ids; ids nobody uses become `[PAD…]`."""
    texts = {place: text for text, place in values["model"]["vocab"].items()}
    kinds = dict.fromkeys(texts, NORMAL)
    for text, place in values["model"]["vocab"].items():
        if values["model"].get("byte_fallback") and re.fullmatch(r"<0x[0-9A-F]{2}>", text):
            kinds[place] = BYTE
    unknown = values["model"].get("unk_token")
    for added in values.get("added_tokens", []):
        texts[added["id"]] = added["content"]
        kinds[added["id"]] = CONTROL if added["special"] else USER_DEFINED
    if unknown in values["model"]["vocab"]:
        kinds[values["model"]["vocab"][unknown]] = UNKNOWN
    if max(texts) >= size:
        raise ExportError(
            f"the tokenizer has ids up to {max(texts)} and the model {size} embeddings",
            hint="The tokenizer does not belong to this model; check model.name.",
        )
    return [texts.get(place, f"[PAD{place}]") for place in range(size)], [kinds.get(place, UNUSED) for place in range(size)]


def _rule(values: dict[str, Any]) -> str:
    """llama.cpp's name for the splitting rule of a byte-level tokenizer."""
    steps = values.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    kinds = [step.get("type") for step in steps]
    whole_words = bool(values["model"].get("ignore_merges"))
    last = steps[-1]
    if kinds[-1] != "ByteLevel" or last.get("add_prefix_space"):
        raise _unknown(f"its text is split by {' then '.join(str(kind) for kind in kinds)}")
    if kinds == ["ByteLevel"] and last.get("use_regex", True) and not whole_words:
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and last.get("use_regex", True):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not last.get("use_regex", True):
        expression = steps[0]["pattern"].get("Regex", "")
        name = RULES.get(expression, ("", ""))[0 if whole_words else 1]
        if name and steps[0].get("behavior") == "Isolated" and not steps[0].get("invert"):
            return name
    raise _unknown("llama.cpp has no name for the way its tokenizer splits text")


def _sentencepiece(values: dict[str, Any], tokens: list[str], types: list[int], merges: list[str]) -> Vocabulary:
    """A byte-fallback BPE as SentencePiece: the earlier a token is merged, the higher its score."""
    rank: dict[str, int] = {}
    for place, pair in enumerate(merges):
        rank.setdefault(pair.replace(" ", ""), place)
    scores = [
        -1e9 if kind not in (NORMAL, USER_DEFINED) else float(-rank.get(text, len(merges)))
        for text, kind in zip(tokens, types, strict=True)
    ]
    return Vocabulary("llama", "default", tokens, types, [], scores, _space_prefix(values))


def _space_prefix(values: dict[str, Any]) -> bool:
    """True if a space is put before the text."""
    steps = [values.get("normalizer") or {}, values.get("pre_tokenizer") or {}]
    steps += steps[0].get("normalizers", []) + steps[1].get("pretokenizers", [])
    return any(step.get("type") == "Prepend" or step.get("prepend_scheme", "never") != "never" for step in steps)


def _unknown(reason: str) -> ExportError:
    return ExportError(
        f"this tokenizer cannot be written to GGUF: {reason}",
        hint="llama.cpp's own converter may know it: convert_hf_to_gguf.py FOLDER, run on the `merged` export.",
        where="tokenizer.json",
    )
