"""Tool calls in answers: how a template writes one is learnt from the template, and read back in the same form.

A probe conversation with one call is rendered; what stands before and behind its JSON are the marks to look for, and its
keys tell name and arguments. Templates that write calls as something else than JSON leave the answer as plain text.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.messages import FunctionCall, ToolCall
from studio.serving.constraint import SPACING

ASKED = "qzasked"
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "qzlookup",
        "description": "Looks it up.",
        "parameters": {"type": "object", "properties": {"key": {"type": "string", "description": "What."}}},
    },
}
PROBE: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": ASKED},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "qz1234567", "type": "function", "function": {"name": "qzlookup", "arguments": {"key": "qzvalue"}}}
        ],
    },
)
NAMES, ARGUMENTS = ("name",), ("arguments", "parameters")


@dataclass(frozen=True)
class Form:
    """How a template writes a call."""

    before: str
    """Directly in front of a call's JSON, e.g. `<tool_call>`; empty where the answer is nothing but the JSON."""
    after: str
    gaps: tuple[str, str] = ("", "")
    """White space between the marks and the JSON."""
    name: str = "name"
    arguments: str = "arguments"
    listed: bool = False
    """Calls stand in a JSON list."""


@dataclass(frozen=True)
class Call:
    """A call a model made. arguments: JSON text, as OpenAI gives it."""

    name: str
    arguments: str

    def as_entry(self) -> ToolCall:
        """As an entry of `tool_calls`."""
        function: FunctionCall = {"name": self.name, "arguments": self.arguments}
        return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def form_of(sample: str) -> Form | None:
    """The form of a rendered call, given the text of the turn it stands in; None if it is not written as JSON."""
    at = sample.find('"qzlookup"')
    if at < 0:
        return None
    for start in (index for index in range(at, -1, -1) if sample[index] in "[{"):
        try:
            value, length = json.JSONDecoder().raw_decode(sample[start:])
        except ValueError:
            continue
        listed = isinstance(value, list)
        call = value[0] if listed and value else value
        if not isinstance(call, dict):
            return None
        name = next((key for key in NAMES if call.get(key) == "qzlookup"), None)
        arguments = next((key for key in ARGUMENTS if call.get(key) == {"key": "qzvalue"}), None)
        if name is None or arguments is None:
            continue
        if not listed and start and sample[start - 1] == "[" and sample[start + length :].lstrip().startswith("]"):
            continue
        front, back = sample[:start], sample[start + length :]
        before, after = _mark(front), _mark_after(back)
        gaps = (_gap_behind(front) if before else "", back[: len(back) - len(back.lstrip())] if after else "")
        return Form(before, after, gaps, name, arguments, listed)
    return None


def _mark(text: str) -> str:
    """The mark a text ends with: `<tool_call>`, `[TOOL_CALLS]`; empty for a header's end."""
    match = re.search(r"(<[^<>\n]*tool[^<>\n]*>|\[TOOL[^\[\]\n]*\]|<\|python_tag\|>)\s*$", text, re.IGNORECASE)
    return match.group(1) if match else ""


def _gap_behind(text: str) -> str:
    return text[len(text.rstrip()) :]


def _mark_after(text: str) -> str:
    match = re.match(r"\s*(<[^<>\n]*tool[^<>\n]*>|\[/TOOL[^\[\]\n]*\])", text, re.IGNORECASE)
    return match.group(1) if match else ""


def read(text: str, form: Form, known: frozenset[str]) -> tuple[str, list[Call]]:
    """The words around the calls, and the calls of known functions; a call that cannot be read stays text."""
    if not form.before:
        calls = _calls(text.strip(), form, known)
        return ("", calls) if calls else (text, [])
    said, calls, at = [], list[Call](), 0
    while (start := text.find(form.before, at)) >= 0:
        body = start + len(form.before)
        end = text.find(form.after, body) if form.after else -1
        stop = end if end >= 0 else len(text)
        read_calls = _calls(text[body:stop].strip(), form, known)
        said.append(text[at:start] if read_calls else text[at : stop + len(form.after)])
        calls += read_calls
        at = stop + len(form.after) if end >= 0 else stop
    said.append(text[at:])
    return "".join(said).strip() if calls else text, calls


def read_partial(text: str, form: Form, known: frozenset[str]) -> Call | None:
    """A call whose writing was cut: its function, and its arguments as far as they go; None before they begin.

    Only for text that follows `grammar`, where the name stands first.
    """
    body = text.removeprefix(form.before).lstrip().removeprefix("[")
    match = re.match(rf'\{{{json.dumps(form.name)}: ("(?:[^"\\]|\\.)*"), {json.dumps(form.arguments)}: (.*)', body, re.DOTALL)
    name = json.loads(match.group(1)) if match else ""
    return Call(name, match.group(2)) if match and name in known else None


def _calls(text: str, form: Form, known: frozenset[str]) -> list[Call]:
    try:
        value = json.loads(text)
    except ValueError:
        return []
    calls = []
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, dict) or item.get(form.name) not in known:
            return []
        arguments = item.get(form.arguments, {})
        calls.append(
            Call(item[form.name], arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
        )
    return calls


class ToolCallBuffer:
    """While an answer with tools streams: words are let through, what is or may become a call is kept for its end."""

    def __init__(self, form: Form) -> None:
        self._form, self._held = form, ""

    def add(self, text: str) -> str:
        """What can be shown now."""
        self._held += text
        mark = self._form.before
        if not mark:
            if self._held.lstrip()[:1] in ("{", "[", ""):
                return ""
            shown, self._held = self._held, ""
            return shown
        at = self._held.find(mark)
        if at < 0:
            keep = next((n for n in range(min(len(mark) - 1, len(self._held)), 0, -1) if mark.startswith(self._held[-n:])), 0)
            at = len(self._held) - keep
        shown, self._held = self._held[:at], self._held[at:]
        return shown

    def rest(self) -> str:
        """What was kept."""
        return self._held


def grammar(form: Form, tools: Sequence[Mapping[str, Any]], spell: Callable[[str], str]) -> str:
    """A Lark grammar (llguidance) of exactly one call of one of the functions; spell(mark) is a mark in the grammar."""
    calls = []
    for function in (tool["function"] for tool in tools):
        parameters = function.get("parameters") or {"type": "object"}
        if "properties" in parameters:  # what a function does not declare it cannot take, unless it says so
            parameters = {"additionalProperties": False, **parameters}
        calls.append(
            {
                "type": "object",
                "properties": {form.name: {"const": function["name"]}, form.arguments: parameters},
                "required": [form.name, form.arguments],
                "additionalProperties": False,
            }
        )
    one: dict[str, Any] = calls[0] if len(calls) == 1 else {"anyOf": calls}
    body = {"type": "array", "items": one, "minItems": 1, "maxItems": 1} if form.listed else one
    parts = [spell(form.before), *_text(form.gaps[0])] if form.before else []
    parts += [f"%json {json.dumps({**body, 'x-guidance': SPACING})}"]
    parts += [*_text(form.gaps[1]), spell(form.after)] if form.after else []
    return f"start: {' '.join(parts)}\n"


def _text(text: str) -> list[str]:
    return [json.dumps(text)] if text else []
