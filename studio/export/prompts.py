"""What every target carries over from training so that prompts and stops stay the same: chat template, stop token ids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def stop_token_ids(folder: Path) -> list[int]:
    """The ids of the tokens at which answers of the model in `folder` stop, as its `generation_config.json` lists them."""
    found = read_json(folder / "generation_config.json")["eos_token_id"]
    return list(found) if isinstance(found, list) else [found]


def portable_template(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The trained chat template as a GGUF file holds it, if there is one."""
    from studio.models.chat import chat_template

    return without_marks(chat_template(tokenizer)) if tokenizer.chat_template else None


def without_marks(template: str) -> str:
    """The template with transformers' own `{% generation %}` marks as a condition that is always true: other Jinja
    engines do not know them, and white space control stays as it was."""
    opened = re.sub(r"(\{%[-+]?)\s*generation\s*([-+]?%\})", r"\1 if true \2", template)
    return re.sub(r"(\{%[-+]?)\s*endgeneration\s*([-+]?%\})", r"\1 endif \2", opened)


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """True if llama.cpp is to add BOS to a chat prompt.

    It is only if the template writes one itself (llama.cpp then takes care not to have two), or if there is no template and
    the tokenizer adds one: so prompts stay those trained.
    """
    bos = tokenizer.bos_token_id
    added = bos is not None and tokenizer("a").input_ids[:1] == [bos]
    if tokenizer.chat_template:
        from studio.models.chat import render

        text = render(tokenizer, [{"role": "user", "content": "a"}], prompt=True).text
        added = added and text.startswith(str(tokenizer.bos_token))
    return added
