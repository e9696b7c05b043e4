"""A limit on what a chat template of others may cost: one that loops without end is found before it is used.

A template is a program. One that counts, multiplies, formats or calls itself is rendered once in a child process with a
limit on time and memory; any other is bounded by the conversation it writes.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from studio.core.errors import ModelError

SECONDS = 4
"""CPU time a small conversation may take; ordinary templates take a millisecond."""
MEMORY = 2 << 30
"""Address space the child may have."""
_COSTLY_CALLS = frozenset({"range", "lipsum", "cycler", "loop"})
_COSTLY_FILTERS = frozenset({"center", "indent", "format", "wordwrap", "batch", "slice"})


def require_bounded(template: str, tokens: Mapping[str, Any], conversation: Sequence[Mapping[str, Any]]) -> None:
    """Raise ModelError for a template that does not write a small conversation within the limits.

    tokens: the tokenizer's special tokens by name. A template that fails for another reason is left to its caller.
    """
    if is_costly(template):
        _try(template, json.dumps([dict(tokens), [dict(message) for message in conversation]], default=str))


def is_costly(template: str) -> bool:
    """Whether a template has anything that could cost more than its conversation is long; True if it cannot be parsed."""
    from jinja2 import Environment, TemplateError, nodes

    try:
        tree = Environment(extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"]).parse(_without_marks(template))
    except (TemplateError, RecursionError):
        return True
    macros = {macro.name for macro in tree.find_all(nodes.Macro)}
    if any(call.node.name in macros for macro in tree.find_all(nodes.Macro) for call in _calls(macro)):
        return True
    if any(call.node.name in _COSTLY_CALLS for call in _calls(tree)):
        return True
    if any(item.name in _COSTLY_FILTERS for item in tree.find_all(nodes.Filter)):
        return True
    if any(item.recursive for item in tree.find_all(nodes.For)):
        return True
    products = tree.find_all((nodes.Pow, nodes.Mul))
    return any(True for _ in products) or any(_formats(item) for item in tree.find_all(nodes.Mod))


def _calls(tree: Any) -> list[Any]:
    from jinja2 import nodes

    return [call for call in tree.find_all(nodes.Call) if isinstance(call.node, nodes.Name)]


def _formats(item: Any) -> bool:
    """Whether `left % right` may write a text of any width: its left side is not the number of a loop."""
    from jinja2 import nodes

    return not any(name.name == "loop" for name in item.left.find_all(nodes.Name))


def _without_marks(template: str) -> str:
    import re

    return re.sub(r"\{%-?\s*(end)?generation\s*-?%\}", "", template)


@functools.lru_cache(maxsize=256)
def _try(template: str, request: str) -> None:
    from studio.processes import spawn

    environment = {**os.environ, "USE_TORCH": "0", "PYTHONHASHSEED": "0"}
    try:
        child = subprocess.run(
            spawn.python("studio.models.template_limit"), input=json.dumps([template, request]), env=environment,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise _unbounded("took more than a minute") from None
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise _unbounded(f"took more than {SECONDS} seconds of CPU time")
    if child.returncode == _NO_MEMORY or child.returncode == -signal.SIGSEGV:
        raise _unbounded(f"took more than {MEMORY >> 30} GiB of memory")


_NO_MEMORY = 77


def _unbounded(what: str) -> ModelError:
    return ModelError(
        f"the chat template {what} for a conversation of four short messages",
        hint="Name another template in model.chat_template, or get the model from its original source.",
        where="model.chat_template",
    )


def _child() -> int:
    import contextlib
    import resource

    from transformers.utils.chat_template_utils import render_jinja_template

    template, given = json.load(sys.stdin)
    tokens, conversation = json.loads(given)
    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + SECONDS, used + SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            for messages, prompt in ((conversation, False), (conversation[:1], True)):
                render_jinja_template(conversations=[messages], chat_template=template, add_generation_prompt=prompt, **tokens)
    except MemoryError:
        return _NO_MEMORY
    except Exception:  # what the template itself refuses is said where it is rendered again
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(_child())
