"""Chat templates: which part of a rendered conversation the model itself writes, exactly.

A probe conversation shows how a template opens an answer (the header), and how it ends one. With these, the answers of
any conversation are found in its rendering; `{% generation %}` marks are used where the template has them. Where the
answers cannot be told exactly, the template is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from studio.core.errors import DataError, ModelError
from studio.core.text import shorten
from studio.models.chat import Rendered, Span, chat_template, has_marks, render

Messages = Sequence[Mapping[str, Any]]

ASKED, ANSWERED = ("qzaskone", "qzasktwo"), ("qzreplyone", "qzreplytwo")
PROBE: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": ASKED[0]},
    {"role": "assistant", "content": ANSWERED[0]},
    {"role": "user", "content": ASKED[1]},
    {"role": "assistant", "content": ANSWERED[1]},
)
SYSTEM = {"role": "system", "content": "qzsystem"}
TOOL = {
    "type": "function",
    "function": {
        "name": "qzlookup",
        "description": "Looks it up.",
        "parameters": {"type": "object", "properties": {"key": {"type": "string", "description": "What."}}},
    },
}
CALL = {"id": "qz1234567", "type": "function", "function": {"name": "qzlookup", "arguments": {"key": "qzvalue"}}}
TOOL_PROBE: tuple[dict[str, Any], ...] = (
    PROBE[0],
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "qzresult", "tool_call_id": "qz1234567", "name": "qzlookup"},
    PROBE[3],
)


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
    """What it writes between header and text of an answer for the model to write itself, e.g. an empty thinking block."""
    guard: re.Pattern[str]
    """What must be kept apart when people write it: control tokens, and headers that are plain text."""
    control: re.Pattern[str]
    """The control tokens alone."""
    notes: tuple[str, ...] = ()
    """What a person should know about it."""


_known: WeakKeyDictionary[Any, tuple[Any, TemplateReport]] = WeakKeyDictionary()


def check_template(tokenizer: Any) -> TemplateReport:
    """How the tokenizer's chat template writes a conversation, found by rendering a small one.

    Raises ModelError, showing the place, for no template and for one whose answers cannot be told exactly.
    """
    template = tokenizer.chat_template
    if tokenizer in _known and _known[tokenizer][0] == template:
        return _known[tokenizer][1]
    report = _probe(tokenizer)
    _known[tokenizer] = (template, report)
    return report


def answers(tokenizer: Any, rendered: Rendered, messages: Messages, tools: Messages = ()) -> list[list[Span]]:
    """Where each answer of a complete conversation is: from behind its header to the end of its end-of-turn token.

    An answer has one span; several only where marks leave something inside it out. Each answer is checked to hold what
    its message says. Raises ModelError, showing the place, where that is not so.
    """
    report = check_template(tokenizer)
    _need_tools(report, messages, tools)
    replies = [message for message in messages if message["role"] == "assistant"]
    if report.has_marks:
        turns = _marked(report, rendered)
    else:
        starts = openings(tokenizer, rendered, messages, tools)
        outline = rendered.outline
        turns = [[(start, _end(report, outline, start, limit))] for start, limit in _with_next(starts, len(outline))]
    if len(turns) != len(replies):
        raise _inexact(f"it writes {len(turns)} answers for {len(replies)} assistant messages", rendered.text)
    for turn, message in zip(turns, replies, strict=True):
        _verify(report, rendered.text, turn, message)
    return turns


def openings(tokenizer: Any, rendered: Rendered, messages: Messages, tools: Messages = (), prompt: bool = False) -> list[int]:
    """Where the text of each answer begins; with `prompt`, the end of the rendering (the answer to come) included."""
    report = check_template(tokenizer)
    _need_tools(report, messages, tools)
    starts = _after_headers(report, rendered.outline)
    count = sum(message["role"] == "assistant" for message in messages) + prompt
    if len(starts) == count:
        return starts
    return _by_prefix(tokenizer, report, rendered, messages, tools) + ([len(rendered.text)] if prompt else [])


def _need_tools(report: TemplateReport, messages: Messages, tools: Messages) -> None:
    if not report.supports_tools and (tools or any(m.get("tool_calls") or m["role"] == "tool" for m in messages)):
        raise DataError(
            "this conversation uses tools, and the chat template does not write tool calls that can be trained exactly",
            hint="Remove tools, tool calls and tool results, or choose a model whose template has them.",
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
    tokenizer: Any, report: TemplateReport, rendered: Rendered, messages: Messages, tools: Messages
) -> list[int]:
    """Openings where answers have no header of their own (after a tool's result, say): render up to each answer."""
    starts = []
    for place, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = render(tokenizer, messages[:place], tools, prompt=True, guard=report.guard)
        if not rendered.outline.startswith(before.outline):
            raise _inexact(
                f"message {place + 1} has no header of its own and changes what stands before it", rendered.text
            )
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
                raise _inexact("its marks leave out the end-of-turn token and it does not follow", text, begin)
        turns.setdefault(found.end(), []).append((begin, min(stop, found.end())))
    for end, spans in turns.items():
        spans[-1] = (spans[-1][0], end)
    return [turns[end] for end in sorted(turns)]


def _with_next(starts: list[int], end: int) -> list[tuple[int, int]]:
    return list(zip(starts, [*starts[1:], end], strict=True))


def _ends(report: TemplateReport) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(token) for token in report.ends))


def _end(report: TemplateReport, outline: str, start: int, limit: int) -> int:
    found = _ends(report).search(outline, start, limit)
    if found is None:
        raise _inexact("an answer has no end-of-turn token, so the model would never learn to stop", outline, start)
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
        raise _inexact(f"an answer is not written as given ({shorten(said, 60)!r})", text, turn[0][0])
    more = any(message.get(key) for key in ("tool_calls", "reasoning_content", "reasoning", "thinking"))
    rest = inner.replace(said, "", 1)
    if not more and "</think>" not in (content or "") and _without_tokens(report, rest) and rest not in report.lead:
        raise _inexact("it writes more than the answer between header and end-of-turn", text, turn[0][0])


def _without_tokens(report: TemplateReport, text: str) -> str:
    return re.sub(r"</?think>", "", report.control.sub("", text)).strip()


def _inexact(reason: str, text: str, at: int = 0) -> ModelError:
    shown = repr(text[max(0, at - 40) : at + 80])
    return ModelError(
        f"this chat template does not let the answers be told exactly: {reason}; near {shown}",
        hint="Name a template with {% generation %} marks around the answers in model.chat_template.",
        where="model.chat_template",
    )


# --- the probe -----------------------------------------------------------------------------------------------------


def _probe(tokenizer: Any) -> TemplateReport:
    template = chat_template(tokenizer)
    try:
        full, before = render(tokenizer, PROBE), render(tokenizer, PROBE[:3], prompt=True)
        asked = render(tokenizer, PROBE[:1]).text
        asking = render(tokenizer, PROBE[:1], prompt=True).text
    except DataError as refusal:
        raise ModelError(
            f"the chat template cannot write a plain conversation: {refusal.message}",
            hint="Name another template in model.chat_template.",
            where="model.chat_template",
        ) from None
    text = full.text
    if [text.count(word) for word in (*ASKED, *ANSWERED)] != [1, 1, 1, 1]:
        raise _inexact("it leaves messages out, repeats or changes them", text)
    added = sorted({token.content for token in tokenizer.added_tokens_decoder.values()}, key=len, reverse=True)
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    added += [token for token in (tokenizer.eos_token,) if token and token not in added]
    ends = _turn_ends(text, added)
    header, prompt = _header(text, before.text, asked, asking, added)
    user = text[: text.index(ASKED[0])]
    own = [token for token in added if token in user and tokenizer.convert_tokens_to_ids(token) is not None]
    control = any_of({*special, *ends, *own})
    plain = {opening.strip() for opening in (header, prompt) if not control.search(opening)} - {""}
    lead = tuple(dict.fromkeys(_lead(text, header, prompt, word) for word in ANSWERED))
    draft = TemplateReport(
        has_marks=has_marks(template),
        supports_system=_shows(tokenizer, (SYSTEM, *PROBE), (), SYSTEM["content"]),
        supports_tools=False,
        end_of_turn=ends[-1],
        end_of_turn_id=int(tokenizer.convert_tokens_to_ids(ends[-1])),
        header=header,
        prompt=prompt,
        ends=ends,
        lead=lead,
        guard=any_of({*special, *ends, *own, *plain}),
        control=control,
    )
    _known[tokenizer] = (tokenizer.chat_template, replace(draft, supports_tools=True))
    try:
        answers(tokenizer, full, PROBE)
        tools = _trains_tools(tokenizer)
    finally:
        del _known[tokenizer]
    notes = _notes(tokenizer, template, draft, text, before.text, bool(plain))
    return replace(draft, supports_tools=tools, notes=notes)


def _turn_ends(text: str, added: list[str]) -> tuple[str, ...]:
    """The tokens directly behind the answers (white space allowed), the last answer's last."""
    ends = []
    for word in ANSWERED:
        rest = text[text.index(word) + len(word) :].lstrip()
        token = next((token for token in added if token and rest.startswith(token)), None)
        if token is None:
            raise _inexact(
                "no end-of-turn token follows an answer, so the model would never learn to stop", text, text.index(word)
            )
        ends.append(token)
    return tuple(dict.fromkeys(ends))


def _header(text: str, before: str, asked: str, asking: str, added: list[str]) -> tuple[str, str]:
    """What opens every answer, and what the template writes to ask for one."""
    tail = before[before.index(ASKED[1]) + len(ASKED[1]) :]
    prompt = _minus(asking, asked, added)
    closing = tail[: len(tail) - len(prompt)] if prompt and tail.endswith(prompt) else ""
    if not prompt or not tail.endswith(prompt):
        prompt = tail  # no separate request: the end of the user's turn opens the answer ([/INST])
    header = prompt
    for asked_word, answered_word in zip(ASKED, ANSWERED, strict=True):
        between = text[text.index(asked_word) + len(asked_word) : text.index(answered_word)]
        if not between.startswith(closing):
            raise _inexact("the header of an answer differs from turn to turn", text, text.index(asked_word))
        header = _common(header, between[len(closing) :], added)
    if not header.strip():
        raise _inexact("nothing stands between a question and its answer", text, text.index(ASKED[0]))
    return header, prompt


def _lead(text: str, header: str, prompt: str, word: str) -> str:
    before = text[: text.index(word)]
    opening = before.rindex(header)
    opened = prompt if prompt.startswith(header) and before.startswith(prompt, opening) else header
    return before[opening + len(opened) :]


def _units(text: str, added: list[str]) -> list[str]:
    """The text as added tokens and single characters."""
    return re.findall("|".join([*(re.escape(token) for token in added if token), "."]), text, re.DOTALL)


def _common(left: str, right: str, added: list[str]) -> str:
    shared = []
    for one, other in zip(_units(left, added), _units(right, added), strict=False):
        if one != other:
            break
        shared.append(one)
    return "".join(shared)


def _minus(longer: str, shorter: str, added: list[str]) -> str:
    return longer[len(_common(longer, shorter, added)) :]


def any_of(words: set[str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(word) for word in sorted(words - {""}, key=len, reverse=True)) or "(?!)")


def _shows(tokenizer: Any, messages: Messages, tools: Messages, word: str) -> bool:
    try:
        return word in render(tokenizer, messages, tools).text
    except DataError:
        return False


def _trains_tools(tokenizer: Any) -> bool:
    try:
        shown = render(tokenizer, TOOL_PROBE, (TOOL,))
        if not all(word in shown.text for word in ("Looks it up", "qzvalue", "qzresult")):
            return False
        spans = answers(tokenizer, shown, TOOL_PROBE, (TOOL,))
    except (DataError, ModelError):
        return False
    called = "".join(shown.text[start:end] for start, end in spans[0])
    return "qzvalue" in called and "qzresult" not in called


def _notes(tokenizer: Any, template: str, draft: TemplateReport, text: str, before: str, plain: bool) -> tuple[str, ...]:
    notes = []
    if not draft.supports_system:
        notes.append("It has no system role: put such instructions into the first user message.")
    if plain:
        notes.append(f"Its header {draft.header.strip()!r} is plain text, so a user can write it too.")
    if not text.startswith(before):
        notes.append("What it writes before an answer is not what it writes in a finished conversation.")
    if draft.prompt != draft.header:
        notes.append(f"It asks for an answer with {draft.prompt!r}, which earlier answers do not have.")
    if "strftime_now" in template:
        notes.append("It writes today's date into every conversation.")
    if tokenizer.eos_token not in draft.ends:
        notes.append(
            f"Answers end with {draft.end_of_turn}, the tokenizer's end token is {tokenizer.eos_token}; both stop generation."
        )
    return tuple(notes)
