"""The trained chat template as LiteRT-LM needs it.

LiteRT-LM renders with MiniJinja and hands each message's content over as a list of typed parts, where training had a plain
string: `{{ message.content }}` would then print the list. It also gives no special tokens to the template. A prelude undoes
both before the trained template begins, whose own text stays as it is; strings pass through it unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from studio.export.prompts import without_marks

_PRELUDE = (
    "{%- set plain = namespace(messages=[]) -%}"
    "{%- for message in messages -%}"
    "{%- if message.content is defined and message.content is not string and message.content is iterable -%}"
    "{%- set said = namespace(text='') -%}"
    "{%- for part in message.content -%}"
    "{%- if part is string -%}{%- set said.text = said.text ~ part -%}"
    "{%- elif part.type == 'text' -%}{%- set said.text = said.text ~ part.text -%}"
    "{%- elif part.response is defined -%}"
    "{%- set said.text = said.text ~ (part.response if part.response is string else part.response | tojson) -%}"
    "{%- else -%}{{ raise_exception('this model reads text only') }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- set plain.messages = plain.messages + [dict(message, content=said.text)] -%}"
    "{%- else -%}{%- set plain.messages = plain.messages + [message] -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- set messages = plain.messages %}\n"  # both engines drop a newline after a tag, so the trained text begins a line
)


def portable(template: str, special: Mapping[str, str]) -> str:
    """The template such that string and typed contents render alike, and as the trained one renders strings.

    special: the tokenizer's special tokens by the names templates know them by (`bos_token`, ...).
    """
    tokens = "".join(
        f"{{%- set {name} = {json.dumps(text, ensure_ascii=False)} -%}}"
        for name, text in special.items()
        if isinstance(text, str) and name in template
    )
    return tokens + _PRELUDE + without_marks(template)
