"""Chat templates of many families, each with a tokenizer that has its control tokens."""

from __future__ import annotations

import functools
import importlib.util
import re
import tempfile
from pathlib import Path
from typing import Any

from tests.tiny import CHATML, make_tokenizer

OWN = {
    "chatml": CHATML,
    "mistral": (
        "{{ bos_token }}{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
        "{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{% for m in rest %}"
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}"
        "{% if m.role == 'user' %}{% if loop.last and system is defined %}"
        "{{ '[INST] ' + system + '\n\n' + m.content + '[/INST]' }}"
        "{% else %}{{ '[INST] ' + m.content + '[/INST]' }}{% endif %}"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
    ),
    "mistral-first": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
        "{% elif m.role == 'assistant' %}{{ m.content + eos_token }}{% else %}{{ raise_exception('Only user and assistant') }}"
        "{% endif %}{% endfor %}"
    ),
    "llama2": (
        "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip() + ' [/INST]' }}"
        "{% elif m.role == 'assistant' %}{{ ' ' + m.content.strip() + ' ' + eos_token }}"
        "{% else %}{{ raise_exception('No system here') }}{% endif %}{% endfor %}"
    ),
    "zephyr": (
        "{% for m in messages %}\n{% if m.role == 'user' %}\n{{ '<|user|>\n' + m.content + eos_token }}\n"
        "{% elif m.role == 'system' %}\n{{ '<|system|>\n' + m.content + eos_token }}\n"
        "{% elif m.role == 'assistant' %}\n{{ '<|assistant|>\n' + m.content + eos_token }}\n{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
    ),
    "phi4": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ '<|im_start|>system<|im_sep|>' + m.content + '<|im_end|>' }}"
        "{% elif m.role == 'user' %}{{ '<|im_start|>user<|im_sep|>' + m.content + '<|im_end|>' }}"
        "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant<|im_sep|>' + m.content + '<|im_end|>' }}"
        "{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}"
    ),
    "granite": (
        "{% for m in messages %}{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + '<|end_of_text|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"
    ),
    "bare": "{{ bos_token }}{% for m in messages %}{{ m.content + '<|im_end|>' }}{% endfor %}",
    "vicuna": (
        "{% for m in messages %}{% if m.role == 'user' %}{{ 'USER: ' + m.content + ' ' }}"
        "{% elif m.role == 'assistant' %}{{ 'ASSISTANT: ' + m.content + eos_token }}{% else %}{{ m.content + ' ' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
    ),
}
"""Shapes of families that trl does not ship, written for these tests."""

PLAIN = {"zephyr": {"<|user|>", "<|assistant|>", "<|system|>"}}
"""Headers that are plain text in the real vocabulary."""
_TOKEN = re.compile(r"<\|[^|<>'\"\s{}]+\|>|<(?:start|end)_of_turn>|<｜[^｜<>]+｜>|<\|turn>|<turn\|>|\[/?INST\]|\[gMASK\]|<sop>")
FOLDER = Path(importlib.util.find_spec("trl").submodule_search_locations[0]) / "chat_templates"  # type: ignore[union-attr,index]


def source(name: str) -> str:
    return OWN[name] if name in OWN else (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


@functools.cache
def tokenizer(name: str) -> Any:
    """A tokenizer with the template `name` (ours, or a file of trl's) and the control tokens it writes."""
    template = source(name)
    special = sorted(set(_TOKEN.findall(template)) - {"<|im_start|>", "<|im_end|>"} - PLAIN.get(name, set()))
    with tempfile.TemporaryDirectory() as folder:
        made = make_tokenizer(Path(folder), template, vocab=640, special=tuple(special))
    made.bos_token = "<|endoftext|>"
    if "<|im_end|>" not in template:
        made.eos_token = "<|endoftext|>"
    return made
