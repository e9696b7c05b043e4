"""The tokenizer of a base model, ready to train with: fast, with a chat template if one is named, and a padding token.

A `tokenizer.json` is read as it is, which needs no torch and is what every serving runtime reads; older kinds of
tokenizer are converted by transformers, which imports torch.
"""

from __future__ import annotations

import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import ModelError
from studio.models.finding import FoundModel

if TYPE_CHECKING:
    from jinja2.parser import Parser

log = logging.getLogger(__name__)

PADS = (
    "<|pad|>",
    "<pad>",
    "<|padding|>",
    "[PAD]",
    "<|finetune_right_pad_id|>",
    "<|fim_pad|>",
    "<|vision_pad|>",
    "<|dummy_0|>",
    "<unk>",
)
"""Tokens of known vocabularies that can stand for padding, best first."""
RESERVED = ("reserved", "unused", "<extra_id_", "<|placeholder", "[control_", "<SPECIAL_")


def tokenizer(model: FoundModel, template: str | None = None) -> Any:
    """The tokenizer, padding right, with the chat template in the Jinja file `template` if given.

    The padding token is one the vocabulary already has, so that no embedding is added. Raises ModelError with what to do,
    also for a vocabulary of more ids than the model has embeddings.
    """
    made = unchecked(model)
    if not made.is_fast:
        raise ModelError(
            "it has no fast tokenizer, without which an exact loss mask is impossible",
            hint="Convert it with transformers' `convert_slow_tokenizer` and save tokenizer.json beside the weights.",
            where=model.name,
        )
    embeddings = (model.config.get("text_config") or model.config).get("vocab_size")
    highest = max(made.get_vocab().values(), default=0)
    if isinstance(embeddings, int) and highest >= embeddings:
        raise ModelError(
            f"its tokenizer has ids up to {highest:,} and the model only {embeddings:,} embeddings",
            hint="Use the tokenizer the model was trained with, or give the model an embedding for each token and train that: "
            f"studio resize {shlex.quote(model.name)}",
            where=model.name,
        )
    if template is not None:
        made.chat_template = _read_template(template)
    made.padding_side = "right"
    pad = padding_token(made)
    if made.pad_token != pad:
        log.info("padding with %s, which the model does not use otherwise", pad)
        made.pad_token = pad
    made.model_max_length = int(1e30)  # lengths are dealt with by data.max_length, by name and with a count
    return made


def padding_token(tokenizer: Any) -> str:
    """A token of the vocabulary to pad with: one that is not used otherwise if there is one.

    Padding is masked in loss and attention, so any token will do. Raises ModelError for a tokenizer without special tokens.
    """
    ends = {tokenizer.eos_token}
    if tokenizer.pad_token is not None and tokenizer.pad_token not in ends and tokenizer.pad_token in tokenizer.get_vocab():
        return tokenizer.pad_token
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    usable = [token for token in special if token not in {*ends, tokenizer.bos_token}]
    candidates = [token for token in PADS if token in usable]
    candidates += [token for token in usable if any(word in token for word in RESERVED)]
    candidates += [tokenizer.unk_token] if tokenizer.unk_token and tokenizer.unk_token not in ends else []
    used = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
    for token in candidates:
        if token not in used:
            return token
    stand_in = next((token for token in (tokenizer.bos_token, tokenizer.eos_token, *special) if token), None)
    if stand_in is None:
        raise ModelError(
            "its tokenizer has no special token at all",
            hint="Name its end token as `eos_token` in tokenizer_config.json.",
            where=str(tokenizer.name_or_path),
        )
    return stand_in


def unchecked(model: FoundModel) -> Any:
    """The tokenizer as it is saved, whatever the model has embeddings for. Raises ModelError if it cannot be read."""
    import transformers

    where: dict[str, Any] = {"revision": model.revision} if model.revision else {}
    try:
        if _has_json(model):
            return transformers.PreTrainedTokenizerFast.from_pretrained(model.path_or_id, **where)
        return transformers.AutoTokenizer.from_pretrained(model.path_or_id, trust_remote_code=False, **where)
    except Exception as problem:
        raise ModelError(
            f"its tokenizer cannot be read: {problem}",
            hint="Download the model again, or copy tokenizer.json from the model it was made from.",
            where=model.name,
        ) from None


def _has_json(model: FoundModel) -> bool:
    if model.folder is not None:
        return (model.folder / "tokenizer.json").exists()
    from huggingface_hub import file_exists, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(model.path_or_id, "tokenizer.json", revision=model.revision), str):
        return True
    try:
        return file_exists(model.path_or_id, "tokenizer.json", revision=model.revision)
    except Exception:  # offline and not in the cache: the load below says so
        return False


def _read_template(file: str) -> str:
    path = Path(file).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ModelError(
            f"the chat template cannot be read: {problem}", hint="Give the path of a Jinja file.", where="model.chat_template"
        ) from None
    import jinja2

    try:
        jinja2.Environment(extensions=[_marks()]).parse(text)
    except jinja2.TemplateSyntaxError as problem:
        raise ModelError(
            f"it is not valid Jinja: {problem.message}", hint="Correct that line.", where=f"{path}, line {problem.lineno}"
        ) from None
    return text


def _marks() -> Any:
    """`{% generation %}` as a tag, so that it parses."""
    from jinja2 import ext, nodes

    class Marks(ext.Extension):
        tags = {"generation"}  # noqa: RUF012 - jinja's own way

        def parse(self, parser: Parser) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    return Marks
