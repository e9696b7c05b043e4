"""tool_call: the answer calls the expected tools with the expected arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from studio.data.verifiers.json_text import agreement, objects
from studio.data.verifiers.verifier import Example, Message, Verifier, content


class ToolCall(Verifier, frozen=True):
    """Half for the right tool, half for its arguments (F1 of their fields); a call too much or too few costs its share."""

    summary: ClassVar[str] = "the answer calls the right tool with the right arguments"
    example: ClassVar[Example] = Example(
        '<tool_call>\n{"name": "price", "arguments": {"item": "Aria lamp"}}\n</tool_call>',
        {"tool_calls": [{"function": {"name": "price", "arguments": {"item": "Aria lamp"}}}]},
        1.0,
    )
    kind: Literal["tool_call"] = "tool_call"

    def score(self, answer: str, expected: Message) -> float:
        """The mean over calls, matched in order; 1 for a row that calls nothing if the answer does not either."""
        theirs, ours = _expected(expected), _calls(answer)
        if not theirs and not ours:
            return 1.0
        scores = [
            0.5 + 0.5 * agreement(one[1], other[1]) if one[0] == other[0] else 0.0
            for one, other in zip(ours, theirs, strict=False)
        ]
        return sum(scores) / max(len(ours), len(theirs))

    def problem(self, expected: Message) -> str | None:
        """A row that neither calls nor says anything."""
        return None if _expected(expected) or content(expected) else "its answer is empty"


def _expected(message: Message) -> list[tuple[str, Any]]:
    """Names and arguments of the calls of a row's own answer."""
    calls = [call.get("function", call) for call in message.get("tool_calls") or ()]
    return [_call(call) for call in calls] if calls else _calls(content(message))


def _calls(text: str) -> list[tuple[str, Any]]:
    """Names and arguments of the calls written as JSON in a text, as most chat templates write them."""
    named = [value for value in objects(text) if isinstance(value.get("name"), str)]
    return [_call(value) for value in named if "arguments" in value or "parameters" in value]


def _call(value: Mapping[str, Any]) -> tuple[str, Any]:
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            arguments = {"": arguments}
    return str(value.get("name")), arguments
