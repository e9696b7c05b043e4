"""Messages whose content comes in parts that are more than text: tool calls, their results, thoughts; and in channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from studio.core.plain import is_list, is_object

_CHANNELS = ("analysis", "commentary", "final")


def opened_parts(raw: Sequence[Any]) -> Sequence[Any]:
    """The messages with calls and thoughts beside their text, as OpenAI's format has them, and results of tools as messages
    of their own; any other list as it is."""
    if not any(is_object(message) and (is_list(message.get("content")) or "channel" in message) for message in raw):
        return raw
    turns: list[Any] = []
    thought = ""
    for message in raw:
        if not is_object(message):
            turns.append(message)
        elif message.get("channel") == "analysis" and isinstance(message.get("content"), str):
            thought = "\n\n".join(part for part in (thought, message["content"]) if part)
        else:
            for turn in _turns(message):
                if thought and turn.get("role") == "assistant":
                    turn, thought = {"reasoning_content": thought, **turn}, ""
                turns.append(turn)
    return raw if thought else turns  # a thought that no answer follows: said to be out of order


def _turns(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    turn = {key: value for key, value in message.items() if key != "channel" or value not in _CHANNELS}
    if not is_list(parts := turn.get("content")):
        yield turn
        return
    kinds = [part.get("type") if is_object(part) else None for part in parts]
    rest = [part for part, kind in zip(parts, kinds, strict=True) if kind not in ("tool_use", "tool_result", "thinking")]
    if len(rest) == len(parts):
        yield turn
        return
    of_kind = {kind: [part for part, is_kind in zip(parts, kinds, strict=True) if is_kind == kind] for kind in set(kinds)}
    for part in of_kind.get("tool_result", ()):
        content = part.get("content")
        yield {"role": "tool", "tool_call_id": part.get("tool_use_id"), "content": "" if content is None else content}
    turn["content"] = rest or ""
    if calls := of_kind.get("tool_use"):
        turn["tool_calls"] = [
            {"id": part.get("id"), "function": {"name": part.get("name"), "arguments": part.get("input")}} for part in calls
        ]
    if thoughts := [str(part.get("thinking")) for part in of_kind.get("thinking", ()) if part.get("thinking")]:
        turn["reasoning_content"] = "\n\n".join(thoughts)
    if rest or "tool_calls" in turn or not of_kind.get("tool_result"):
        yield turn
