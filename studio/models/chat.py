"""Rendering by the tokenizer's own chat template, such that what people wrote can be told from what the template wrote.

A message may hold the text of a control token (`<|im_end|>`). Such texts are wrapped in two Unicode noncharacters before
the template sees them and unwrapped after, so that they can be encoded as the text they are, and are never taken for
a turn's header or end.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from studio.core.errors import DataError, ModelError, StudioError
from studio.core.text import shorten

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPEN, CLOSE = "\ufdd0", "\ufdd1"
"""Noncharacters, reserved by Unicode for use inside a program; no text has them."""
_WRAPPERS = re.compile(rf"[{OPEN}{CLOSE}]|\\ufdd0|\\ufdd1")  # a template that escapes non-ASCII text writes the latter

_NOW = re.compile(r"strftime_now\(\s*(['\"])(.*?)\1\s*\)")
_ASKS = re.compile(r"\bstrftime_now\s+is\s+(not\s+)?defined\b")
_DIRECTIVES = (*"aAbBcdDeFHIjmMpSTuUVwWxXyY", "-d", "-m", "-j", "-y")
"""What a template may ask for of a day, by the letters of `strftime`."""
_days: WeakKeyDictionary[Any, date] = WeakKeyDictionary()

Span = tuple[int, int]
"""Begin and end (exclusive), in characters."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as the template wrote it."""

    text: str
    quoted: tuple[Span, ...] = ()
    """Where people's text looks like a control token or a header."""
    generated: tuple[Span, ...] = ()
    """Where the template's own `{% generation %}` marks are."""

    @property
    def outline(self) -> str:
        """The text with `quoted` parts blanked out, so that a search finds only what the template wrote."""
        if not self.quoted:
            return self.text
        parts, at = [], 0
        for start, end in self.quoted:
            parts += [self.text[at:start], OPEN * (end - start)]
            at = end
        return "".join(parts) + self.text[at:]


def render(
    tokenizer: Any,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    prompt: bool = False,
    guard: re.Pattern[str] | None = None,
    variables: Mapping[str, Any] = MappingProxyType({}),
) -> Rendered:
    """The conversation as text, by the tokenizer's chat template; with `prompt`, ready for the next answer.

    guard: what to keep apart when it occurs in people's text; variables: what else the template may ask for
    (`enable_thinking`). Raises DataError with the template's own words when it
    refuses the conversation, and ModelError when there is no template.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    template = _with_day(chat_template(tokenizer, bool(tools)), _days.get(tokenizer))
    given: Any = list(tools) or None
    chat: list[Any] = [plain_arguments(message) for message in messages]
    quotes = False
    if guard is not None and any(guard.search(text) for text in _texts([chat, given])):
        chat, given, quotes = _wrap(chat, guard), _wrap(given, guard), True
    try:
        texts, blocks = render_jinja_template(
            conversations=[chat],
            tools=given,
            chat_template=template,
            add_generation_prompt=prompt,
            return_assistant_tokens_mask=has_marks(template),
            **{**variables, **tokenizer.special_tokens_map},
        )
    except StudioError:
        raise
    except Exception as problem:  # jinja's own errors, raise_exception(), and whatever the template runs into
        raise DataError(
            f"the chat template refuses this conversation: {shorten(str(problem), 200)}",
            hint="Change the messages as it asks, or name another template in model.chat_template.",
        ) from None
    marks: Any = blocks[0] if blocks else ()
    generated = tuple((int(start), int(end)) for start, end in marks)
    return _unwrap(texts[0], generated) if quotes else Rendered(texts[0], (), generated)


def fix_date(tokenizer: PreTrainedTokenizerBase, day: date | None) -> None:
    """Let the tokenizer's template write this day wherever it writes the present one; None: the present one again."""
    if day is None:
        _days.pop(tokenizer, None)
    else:
        _days[tokenizer] = day


def write_day(tokenizer: PreTrainedTokenizerBase, day: date | None) -> None:
    """Put the day into the tokenizer's own template, for one that is saved and rendered elsewhere."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        tokenizer.chat_template = {name: _with_day(text, day) for name, text in template.items()}
    elif template:
        tokenizer.chat_template = _with_day(template, day)


def _with_day(template: str, day: date | None) -> str:
    """The template with a day in place of its calls for the present one, which transformers alone could answer.

    Where it calls otherwise than with a text (`strftime_now(date_format)`), a macro of that name goes before the template.
    """
    if day is None or "strftime_now" not in template:
        return template
    written = _NOW.sub(lambda call: repr(day.strftime(call[2])), template)
    written = _ASKS.sub(lambda asks: "false" if asks[1] else "true", written)
    return f"{_day_macro(day)}\n{template}" if "strftime_now" in written else written


def _day_macro(day: date) -> str:
    """`strftime_now` in Jinja's own words, for engines that have no clock."""
    values = "".join(f" | replace('%{letter}', {day.strftime(f'%{letter}')!r})" for letter in _DIRECTIVES)
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{values} }}}}{{%- endmacro %}}"


def with_system(template: str, system: str) -> str:
    """The template with this system prompt before conversations that have none, for servers that add none themselves."""
    if not system:
        return template
    message = f"{{'role': 'system', 'content': {json.dumps(system, ensure_ascii=False)}}}"
    alone = "not messages or messages[0]['role'] != 'system'"
    return f"{{%- if {alone} -%}}{{%- set messages = [{message}] + messages -%}}{{%- endif %}}\n{template}"


def date_of(tokenizer: PreTrainedTokenizerBase) -> date:
    """The day that the tokenizer's template writes, if it writes one."""
    return _days.get(tokenizer) or date.today()


def chat_template(tokenizer: PreTrainedTokenizerBase, tools: bool = False) -> str:
    """The tokenizer's template (the one for tools where it has several). Raises ModelError if it has none."""
    if not tokenizer.chat_template:
        raise ModelError(
            "the tokenizer has no chat template, so conversations cannot be written the way the model expects",
            hint="Use the model's instruct version, or name a Jinja file in model.chat_template; plain text needs none.",
            where="model.chat_template",
        )
    return tokenizer.get_chat_template(None, [{}] if tools else None)


def has_marks(template: str) -> bool:
    """True if the template marks what the model writes with `{% generation %}`."""
    return bool(re.search(r"\{%-?\s*generation\s*-?%\}", template))


def plain_arguments(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Tool-call arguments as values: OpenAI writes them as JSON text, templates expect a mapping."""
    calls = message.get("tool_calls")
    if not calls:
        return message
    plain = []
    for call in calls:
        function = call.get("function") or {}
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                parsed = json.loads(arguments)
            except ValueError:
                parsed = None
            if isinstance(parsed, dict):
                call = {**call, "function": {**function, "arguments": parsed}}
        plain.append(call)
    return {**message, "tool_calls": plain}


def _texts(value: object):
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)


def _wrap(value: object, guard: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        if _WRAPPERS.search(value):
            raise DataError(
                "a message holds the noncharacter U+FDD0 or U+FDD1 beside the text of a control token",
                hint="Remove it: Unicode reserves these two for use inside programs.",
            )
        return guard.sub(f"{OPEN}\\g<0>{CLOSE}", value)
    if isinstance(value, Mapping):
        return {key: inner if key == "role" else _wrap(inner, guard) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_wrap(inner, guard) for inner in value]
    return value


def _unwrap(text: str, generated: tuple[Span, ...]) -> Rendered:
    """Take the wrappers out again. One that a template split off from its partner is dropped."""
    parts: list[str] = []
    quoted: list[Span] = []
    removed: list[tuple[int, int]] = []  # (place in `text`, characters removed up to and including it)
    at = length = gone = 0
    opened: int | None = None
    for found in _WRAPPERS.finditer(text):
        parts.append(text[at : found.start()])
        length += found.start() - at
        at = found.end()
        gone += found.end() - found.start()
        removed.append((found.start(), gone))
        if found.group() in (OPEN, r"\ufdd0"):
            opened = length
        elif opened is not None:
            quoted.append((opened, length))
            opened = None
    parts.append(text[at:])
    places = [place for place, _ in removed]

    def moved(position: int) -> int:
        before = bisect_left(places, position)
        return position - (removed[before - 1][1] if before else 0)

    return Rendered("".join(parts), tuple(quoted), tuple((moved(start), moved(end)) for start, end in generated))
