"""Tool calls that an answer says in its text, as published sets write them, and results in marks of their own."""

from __future__ import annotations

import ast
import re
from typing import Any

import orjson

from studio.core.plain import is_object

_MARKED = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>|<functioncall>\s*(.*?)\s*(?:<\|endoftext\|>\s*)?\Z", re.DOTALL)
"""Hermes' and Glaive's marks."""
_NAMED = re.compile(r"(?<=[\[,])\s*([A-Za-z_][\w .\-/]*?)\s*\((?=\)|\s*\w+\s*=)")
"""The name of a call written as Python writes it, `[price(item="lamp")]`, also one with spaces."""
_RESULT = re.compile(r"\s*<tool_response>\s*(.*?)\s*</tool_response>\s*", re.DOTALL)


def calls_said(text: str) -> tuple[str, list[dict[str, Any]]] | None:
    """What an answer says beside its calls, and the calls, each with `name` and `arguments`; None if it says none."""
    if marked := list(_MARKED.finditer(text)):
        calls = [_object(mark[1] or mark[2] or "") for mark in marked]
        named = [call for call in calls if call is not None]
        return (_MARKED.sub("", text).strip(), named) if len(named) == len(calls) else None
    written = text.strip()
    return _written(written) if written.startswith("[") and written.endswith(")]") else None


def result_said(text: str) -> str:
    """A tool's result without the marks that a template puts around it itself."""
    marked = _RESULT.fullmatch(text)
    return marked[1] if marked else text


def _object(text: str) -> dict[str, Any] | None:
    """A call as JSON or Python writes it; Glaive's has its arguments as a text in single quotes."""
    try:
        call = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            call = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return call if is_object(call) and isinstance(call.get("name"), str) else None


def _written(text: str) -> tuple[str, list[dict[str, Any]]] | None:
    names: list[str] = []

    def numbered(name: re.Match[str]) -> str:
        names.append(name[1].strip())
        return f"f{len(names) - 1}("

    try:
        parsed = ast.parse(_NAMED.sub(numbered, text), mode="eval").body
    except (SyntaxError, ValueError):
        return None
    if not isinstance(parsed, ast.List) or not parsed.elts:
        return None
    calls: list[dict[str, Any]] = []
    for item in parsed.elts:
        if not isinstance(item, ast.Call) or not isinstance(item.func, ast.Name) or item.args or len(calls) >= len(names):
            return None
        try:
            arguments = {str(word.arg): ast.literal_eval(word.value) for word in item.keywords}
        except ValueError:
            return None
        calls.append({"name": names[len(calls)], "arguments": arguments})
    return "", calls
