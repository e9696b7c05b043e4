"""Turns: where the answers of a rendered conversation are, exactly; or why that cannot be told.

Answers are found by the header a template opens each one with and by the token it ends them with, or by its own
`{% generation %}` marks. Each answer found is checked against what its message says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studio.core.errors import DataError, ModelError
from studio.core.text import shorten
from studio.models.chat import Rendered, Span, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Messages = Sequence[Mapping[str, Any]]
REASONING = ("reasoning_content", "thinking", "reasoning")
"""Message keys under which templates and data sets know the reasoning of an answer."""
THOUGHT = re.compile(r"\s*<think>(.*?\S.*?)</think>\s*(?=\S)", re.DOTALL)
"""Reasoning that an answer begins with; what follows is the answer."""


@dataclass(frozen=True)
class TemplateReport:
    """What a chat template does, as far as training and serving need to know."""

    has_marks: bool
    """It marks the model's own text with `{% generation %}`."""
    supports_system: bool
    supports_tools: bool
    """It shows the tools, tool calls and tool results, and the calls can be trained exactly."""
    end_of_turn: str
    """The token that ends an answer; training on it teaches the model to stop."""
    end_of_turn_id: int
    header: str
    """What opens every answer of a conversation."""
    prompt: str
    """What the template writes to ask for an answer: the header, sometimes with more, e.g. `<think>`."""
    ends: tuple[str, ...]
    """All tokens that end an answer; some templates end the last one differently."""
    lead: tuple[str, ...]
    """What it writes between header and text of an answer for the model to write itself, e.g. an empty thinking block;
    without white space around it."""
    guard: re.Pattern[str]
    """What must be kept apart when people write it: control tokens, and headers that are plain text."""
    control: re.Pattern[str]
    """The control tokens alone."""
    closing: str = ""
    """The token that ends the last answer and that the template leaves to whatever comes next, e.g. `<|user|>`."""
    apart: bool = False
    """What it writes to ask for an answer is not what it writes before one in a finished conversation, e.g. because only
    the former opens the reasoning. Then the last answer is trained behind the very prompt, and no other."""
    reasoning: bool = False
    """It writes the reasoning that stands beside an answer (`reasoning_content`)."""
    beside: bool = False
    """It writes reasoning only where it stands beside an answer; `<think>` within the answer stays the answer's text."""
    forgets: bool = False
    """It leaves the reasoning of earlier answers out."""
    dated: bool = False
    """It writes a date."""
    notes: tuple[str, ...] = ()
    """What a person should know before training with it."""


def answers(
    tokenizer: PreTrainedTokenizerBase, report: TemplateReport, rendered: Rendered, messages: Messages, tools: Messages = ()
) -> list[list[Span]]:
    """Where each answer of a complete conversation is: from behind its header to the end of its end-of-turn token.

    An answer has one span; several only where marks leave something inside it out. Each answer is checked to hold what
    its message says. Raises ModelError, showing the place, where that is not so.
    """
    _nothing_lost(rendered.text, messages)
    replies = [message for message in messages if message["role"] == "assistant"]
    if report.has_marks:
        turns = _marked(report, rendered)
    else:
        starts = openings(tokenizer, report, rendered, messages, tools)
        outline, turns = rendered.outline, []
        for (start, limit), message in zip(_with_next(starts, len(outline)), replies, strict=False):
            turns.append([(start, _end(report, outline, _said_by(rendered.text, message, start, limit), limit))])
    if len(turns) != len(replies):
        raise inexact(f"it writes {len(turns)} answers for {len(replies)} assistant messages", rendered.text)
    for turn, message in zip(turns, replies, strict=True):
        _verify(report, rendered.text, turn, message)
    return turns


def openings(
    tokenizer: PreTrainedTokenizerBase,
    report: TemplateReport,
    rendered: Rendered,
    messages: Messages,
    tools: Messages = (),
    prompt: bool = False,
) -> list[int]:
    """Where the text of each answer begins; with `prompt`, the end of the rendering (the answer to come) included."""
    _nothing_lost(rendered.text, messages)
    starts = _after_headers(report, rendered.outline)
    count = sum(message["role"] == "assistant" for message in messages) + prompt
    if len(starts) == count:
        return starts
    return _by_prefix(tokenizer, report, rendered, messages, tools) + ([len(rendered.text)] if prompt else [])


def need(report: TemplateReport, messages: Messages, tools: Messages) -> None:
    """Raise DataError for what the template would refuse, or leave out without a word: tools, a system message."""
    if not report.supports_tools:
        refuse_tools(messages, tools)
    if not report.supports_system and any(message["role"] == "system" for message in messages):
        raise DataError(
            "this conversation has a system message, and the chat template has no place for one in a whole conversation",
            hint="Leave data.system empty and put such instructions into the first user message.",
        )


def need_reasoning(report: TemplateReport, messages: Messages) -> None:
    """Raise DataError where the template does not write the reasoning of an answer that is trained: it would vanish."""
    place = next((place for place, message in enumerate(messages, 1) if reasoning_of(message)), 0)
    if place and not report.reasoning and not report.apart:
        raise DataError(
            f"the chat template does not write the reasoning of message {place} (`reasoning_content`), so it is lost",
            hint="Write data.reasoning: within (it is learned between <think> and </think>) or data.reasoning: drop "
            "(answers alone), or use a model whose template has it.",
        )


def reasoning_of(message: Mapping[str, Any]) -> str:
    """The reasoning that stands beside a message's content."""
    return next((str(message[key]) for key in REASONING if message.get(key)), "")


def reasoning_beside(report: TemplateReport, messages: Messages) -> Messages:
    """The messages as the template takes them: the reasoning that an answer begins with beside it, where it belongs there."""
    return [_apart(message) for message in messages] if report.beside else messages


def _apart(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content = message.get("content")
    if message["role"] != "assistant" or not isinstance(content, str) or reasoning_of(message):
        return message
    found = THOUGHT.match(content)
    return {**message, REASONING[0]: found[1].strip(), "content": content[found.end() :]} if found else message


def refuse_tools(messages: Messages, tools: Messages) -> None:
    """Raise DataError for a conversation with tools, under a template that does not write them."""
    if tools or any(message.get("tool_calls") or message["role"] == "tool" for message in messages):
        raise DataError(
            "this conversation uses tools, and the chat template does not write tool calls that can be trained exactly",
            hint="Remove tools, tool calls and tool results, or choose a model whose template has them.",
        )


def _nothing_lost(text: str, messages: Messages) -> None:
    for place, message in enumerate(messages, 1):
        content = message.get("content")
        if message["role"] in ("system", "user") and isinstance(content, str) and content.strip() not in text:
            raise DataError(
                f"the chat template leaves out or changes message {place}, which says {shorten(content, 60)!r}",
                hint="Change the message, or name another template in model.chat_template.",
            )


def _after_headers(report: TemplateReport, outline: str) -> list[int]:
    starts = []
    at = outline.find(report.header)
    while at >= 0:
        longer = report.prompt.startswith(report.header) and outline.startswith(report.prompt, at)
        start = at + len(report.prompt if longer else report.header)
        starts.append(start)
        at = outline.find(report.header, start)
    return starts


def _by_prefix(
    tokenizer: PreTrainedTokenizerBase, report: TemplateReport, rendered: Rendered, messages: Messages, tools: Messages
) -> list[int]:
    """Openings where answers have no header of their own (after a tool's result, say): render up to each answer."""
    starts = []
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = render(tokenizer, messages[:place], tools, prompt=True, guard=report.guard)
        if not rendered.outline.startswith(before.outline):
            raise inexact(f"message {place + 1} has no header of its own and changes what stands before it", rendered.text)
        starts.append(len(before.text))
    return starts


def _marked(report: TemplateReport, rendered: Rendered) -> list[list[Span]]:
    """The marked parts of each answer: without the header, and up to and with the end-of-turn token."""
    outline, text = rendered.outline, rendered.text
    starts = _after_headers(report, outline)
    turns: dict[int, list[Span]] = {}
    for begin, stop in rendered.generated:
        header = next((at for at in starts if begin < at <= stop and outline.rfind(report.header, 0, at) <= begin), None)
        begin = header if header is not None else begin
        if not text[begin:stop].strip():
            continue
        found = _ends(report).search(outline, begin)
        if found is None or (found.start() >= stop and text[stop : found.start()].strip() and not turns.get(found.end())):
            if turns and not _without_tokens(report, text[begin:stop]):
                continue  # a closing token of the whole text behind the last answer's own end
            later = [first for first, _ in rendered.generated if first > begin]
            if found is None or not any(first < found.start() for first in later):
                raise inexact("its marks leave out the end-of-turn token and it does not follow", text, begin)
        turns.setdefault(found.end(), []).append((begin, min(stop, found.end())))
    for end, spans in turns.items():
        spans[-1] = (spans[-1][0], end)
    return [turns[end] for end in sorted(turns)]


def _with_next(starts: list[int], end: int) -> list[tuple[int, int]]:
    return list(zip(starts, [*starts[1:], end], strict=True))


def _ends(report: TemplateReport) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(token) for token in report.ends))


def _said_by(text: str, message: Mapping[str, Any], start: int, limit: int) -> int:
    """Where the text of an answer is over: its reasoning may have an end token of its own in the midst (gpt-oss)."""
    calls = message.get("tool_calls") or ()
    names = [str((call.get("function") or {}).get("name") or "") for call in calls]
    if not calls and not reasoning_of(message):
        return start
    content = message.get("content")
    said = content.split("</think>")[-1].strip() if isinstance(content, str) else ""
    for piece in (reasoning_of(message).strip(), said, *names):
        found = text.find(piece, start, limit) if piece else -1
        start = found + len(piece) if found >= 0 else start
    return start


def _end(report: TemplateReport, outline: str, start: int, limit: int) -> int:
    found = _ends(report).search(outline, start, limit)
    if found is None:
        raise inexact("an answer has no end-of-turn token, so the model would never learn to stop", outline, start)
    return found.end()


def _verify(report: TemplateReport, text: str, turn: list[Span], message: Mapping[str, Any]) -> None:
    """The answer's spans hold what the message says, and nothing else that is not the template's own."""
    inner = "".join(text[start:end] for start, end in turn)
    inner = inner[: len(inner) - len(next(end for end in report.ends if inner.endswith(end)))]
    content = message.get("content")
    said = content.strip() if isinstance(content, str) else ""
    if said not in inner and "</think>" in said:
        said = said.split("</think>")[-1].strip()  # templates move or drop the reasoning part
    if said not in inner:
        raise inexact(f"an answer is not written as given ({shorten(said, 60)!r})", text, turn[0][0])
    more = any(message.get(key) for key in ("tool_calls", *REASONING))
    rest = inner.replace(said, "", 1)
    if not more and "</think>" not in (content or "") and _without_tokens(report, rest) and rest.strip() not in report.lead:
        raise inexact("it writes more than the answer between header and end-of-turn", text, turn[0][0])


def _without_tokens(report: TemplateReport, text: str) -> str:
    return re.sub(r"</?think>", "", report.control.sub("", text)).strip()


def inexact(reason: str, text: str, at: int = 0) -> ModelError:
    """The refusal of a template, showing the place."""
    shown = repr(text[max(0, at - 40) : at + 80])
    return ModelError(
        f"this chat template does not let the answers be told exactly: {reason}; near {shown}",
        hint="Name a template with {% generation %} marks around the answers in model.chat_template.",
        where="model.chat_template",
    )
