"""Recipe `tool_calls`: requests that a tool answers, and the call with its arguments, checked against the tool's schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from studio.core.messages import ChatMessage, Tool, ToolCall
from studio.making.recipes.base import Ask, Draft, Material, Recipe, Style, Unusable, conversation, rows_in, table
from studio.making.records import MadeRow

_SCHEMA = table(request="what the user says", arguments="the arguments of the call, as a JSON object in a text")
_BATCH = 8
"""Rows a request asks for."""


class ToolCalls(Recipe, frozen=True):
    """Rows in which the model calls a tool: what the user says, and the call, whose arguments match the tool's schema."""

    takes = "nothing"
    columns = ("request", "arguments")
    prompt = "tool_calls/1"

    kind: Literal["tool_calls"] = "tool_calls"
    tools: Annotated[list[dict[str, Any]], Field(min_length=1)]
    """The tools, each `{name, description, parameters: JSON schema}`, also in OpenAI's form `{type: function, function: …}`."""
    per_tool: Annotated[int, Field(ge=1, le=5000)] = 40
    """Rows for each tool."""

    @property
    def functions(self) -> list[Tool]:
        """The tools in OpenAI's form."""
        return [cast("Tool", tool if "function" in tool else {"type": "function", "function": tool}) for tool in self.tools]

    def asks(self, material: Material, rows: Sequence[MadeRow], style: Style) -> Iterator[Ask]:
        """Several rows a request, the same number for each tool."""

        def all_asks() -> Iterator[Ask]:
            for batch in range(-(-self.per_tool // _BATCH)):
                for tool in self.functions:
                    others = [item["function"].get("name") for item in self.functions if item is not tool]
                    instruction = (
                        f"Write {_BATCH} different things that {style.audience} might say and that this tool answers, each "
                        "with the arguments of the call. Every argument must follow from what is said; vary wording, "
                        f"values and which optional arguments there are{_unlike(others)}. "
                        f"{_language(style)}This is request {batch + 1}: do not repeat obvious ones.\n\n"
                        f"Tool: {json.dumps(tool['function'], ensure_ascii=False)}"
                    )
                    yield Ask(self.request(instruction, _SCHEMA, style, batch), subject=tool["function"], expected=_BATCH)

        return self.cap(all_asks())

    def problem(self, ask: Ask, row: Any) -> str:
        """Why a row cannot be used: its arguments have to match the tool's schema."""
        import jsonschema

        if missing := super().problem(ask, row):
            return missing
        try:
            jsonschema.validate(json.loads(row["arguments"]), ask.subject.get("parameters") or {"type": "object"})
        except (ValueError, jsonschema.ValidationError) as error:
            reason = error.message if isinstance(error, jsonschema.ValidationError) else "no JSON"
            return f"the arguments of a call do not match the schema of {ask.subject['name']}: {reason[:120]}"
        return ""

    def read(self, ask: Ask, value: object, text: str, style: Style) -> list[Draft]:
        """The rows in an answer whose arguments match the schema."""
        tool: dict[str, Any] = ask.subject
        drafts = []
        for row in rows_in(value, *self.columns):
            if problem := self.problem(ask, row):
                raise Unusable(problem)
            arguments = json.loads(row["arguments"])
            call: ToolCall = {
                "type": "function",
                "function": {"name": tool["name"], "arguments": json.dumps(arguments, ensure_ascii=False)},
            }
            called: ChatMessage = {"role": "assistant", "content": "", "tool_calls": [call]}
            messages = (*conversation(style, row["request"], "")[:-1], called)
            answer = f"{tool['name']}({json.dumps(arguments, ensure_ascii=False, sort_keys=True)})"
            drafts.append(Draft(row["request"], answer, messages, tools=tuple(self.functions), target=str(tool["name"])))
        return drafts


def _unlike(others: list[Any]) -> str:
    return f"; it must not suit the tools {', '.join(map(str, others))}" if others else ""


def _language(style: Style) -> str:
    return f"Write in the language with the code `{style.language}`. " if style.language else ""
