"""Chat templates: what a tokenizer's template does, found by rendering a small conversation with it.

A template that cannot be trained on exactly is refused here, with the reason, before any data is touched.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from studio.core.errors import DataError, ModelError
from studio.core.messages import ChatMessage, Tool, ToolCall
from studio.models.chat import Rendered, chat_template, has_marks, render
from studio.models.template_limit import require_bounded
from studio.models.turns import REASONING, Messages, TemplateReport, answers, inexact

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ASKED, ANSWERED = ("qzaskone", "qzasktwo"), ("qzreplyone", "qzreplytwo")
PROBE: tuple[ChatMessage, ...] = (
    {"role": "user", "content": ASKED[0]},
    {"role": "assistant", "content": ANSWERED[0]},
    {"role": "user", "content": ASKED[1]},
    {"role": "assistant", "content": ANSWERED[1]},
)
THOUGHT = "qzthought"
SYSTEM = {"role": "system", "content": "qzsystem"}
TOOL: Tool = {
    "type": "function",
    "function": {
        "name": "qzlookup",
        "description": "Looks it up.",
        "parameters": {"type": "object", "properties": {"key": {"type": "string", "description": "What."}}},
    },
}
CALL: ToolCall = {"id": "qz1234567", "type": "function", "function": {"name": "qzlookup", "arguments": {"key": "qzvalue"}}}
TOOL_PROBE: tuple[ChatMessage, ...] = (
    PROBE[0],
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "qzresult", "tool_call_id": "qz1234567", "name": "qzlookup"},
    PROBE[3],
)


_known: WeakKeyDictionary[Any, tuple[Any, TemplateReport]] = WeakKeyDictionary()


def check_template(tokenizer: PreTrainedTokenizerBase) -> TemplateReport:
    """How the tokenizer's chat template writes a conversation, found by rendering a small one.

    Raises ModelError, showing the place, for no template and for one whose answers cannot be told exactly.
    """
    template = tokenizer.chat_template
    if tokenizer in _known and _known[tokenizer][0] == template:
        return _known[tokenizer][1]
    report = _probe(tokenizer)
    _known[tokenizer] = (template, report)
    return report


def _probe(tokenizer: Any) -> TemplateReport:
    template = chat_template(tokenizer)
    require_bounded(template, tokenizer.special_tokens_map, PROBE)
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
        raise inexact("it leaves messages out, repeats or changes them", text)
    added = sorted({token.content for token in tokenizer.added_tokens_decoder.values()}, key=len, reverse=True)
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    added += [token for token in (tokenizer.eos_token,) if token and token not in added]
    ends, closing = _turn_ends(text, added)
    if closing:
        text, full = text + closing, replace(full, text=text + closing)
    header, prompt = _header(text, before.text, asked, asking, added)
    user = text[: text.index(ASKED[0])]
    own = [token for token in added if token in user and tokenizer.convert_tokens_to_ids(token) is not None]
    control = any_of({*special, *ends, *own})
    plain = {opening.strip() for opening in (header, prompt) if not control.search(opening)} - {""}
    lead = tuple(dict.fromkeys(_lead(text, header, prompt, word).strip() for word in ANSWERED))
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
    answers(tokenizer, draft, full, PROBE)
    reasoning = _shows(tokenizer, _thought(1, REASONING[0]), (), THOUGHT)
    draft = replace(
        draft,
        closing=closing,
        apart=not text.startswith(before.text),
        reasoning=reasoning,
        beside=reasoning and not _takes_apart(tokenizer),
        forgets=not _shows(tokenizer, _thought(0, REASONING[0] if reasoning else "content"), (), THOUGHT),
        dated="strftime_now" in template,
    )
    if draft.apart:
        draft = replace(draft, lead=tuple(dict.fromkeys((*draft.lead, "</think>"))))
    draft = _with_tools(tokenizer, draft, added)
    return replace(draft, notes=_notes(tokenizer, draft, bool(plain)))


def _turn_ends(text: str, added: list[str]) -> tuple[tuple[str, ...], str]:
    """The tokens that end the answers, the last answer's last; and the one to put behind the last answer, if it has none.

    An answer ends with the token directly behind it (white space allowed), or with the last of several that stand behind
    every answer. A template that closes no turn leaves that to the header of the user's next one (GLM).
    """
    behind = [_tokens_behind(text[text.index(word) + len(word) :], added) for word in ANSWERED]
    opening = next((token for token in added if token and text[: text.index(ASKED[0])].rstrip().endswith(token)), "")
    if opening and behind[0][:1] == [opening] and not text[text.index(ANSWERED[1]) + len(ANSWERED[1]) :].strip():
        others = [token for token in ("<|observation|>",) if token in added]  # behind a call of a tool
        return (*others, opening), opening
    if all(found[: len(behind[1])] == behind[1] for found in behind) and behind[1]:
        return (behind[1][-1],), ""
    for found, word in zip(behind, ANSWERED, strict=True):
        if not found:
            raise inexact(
                "no end-of-turn token follows an answer, so the model would never learn to stop", text, text.index(word)
            )
    return tuple(dict.fromkeys(found[0] for found in behind)), ""


def _tokens_behind(rest: str, added: list[str]) -> list[str]:
    """The tokens that stand at the beginning of a text, with nothing but white space before the first."""
    found: list[str] = []
    rest = rest.lstrip()
    while token := next((token for token in added if token and rest.startswith(token)), None):
        found.append(token)
        rest = rest[len(token) :]
    return found


def _header(text: str, before: str, before_answer: str, asking: str, added: list[str]) -> tuple[str, str]:
    """What opens every answer, and what the template writes to ask for one."""
    tail = before[before.index(ASKED[1]) + len(ASKED[1]) :]
    prompt = _minus(asking, before_answer, added)
    closing = tail[: len(tail) - len(prompt)] if prompt and tail.endswith(prompt) else ""
    if not prompt or not tail.endswith(prompt):
        prompt = tail  # no separate request: the end of the user's turn opens the answer ([/INST])
    header = prompt
    for asked_word, answered_word in zip(ASKED, ANSWERED, strict=True):
        between = text[text.index(asked_word) + len(asked_word) : text.index(answered_word)]
        if not between.startswith(closing):
            raise inexact("the header of an answer differs from turn to turn", text, text.index(asked_word))
        header = _common(header, between[len(closing) :], added)
    if not header.strip():
        raise inexact("nothing stands between a question and its answer", text, text.index(ASKED[0]))
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
    """A pattern that finds any of the words, the longest first."""
    return re.compile("|".join(re.escape(word) for word in sorted(words - {""}, key=len, reverse=True)) or "(?!)")


def _shows(tokenizer: PreTrainedTokenizerBase, messages: Messages, tools: Messages, word: str) -> bool:
    try:
        return word in render(tokenizer, messages, tools).text
    except DataError:
        return False


def _takes_apart(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether reasoning within an answer is written as reasoning beside it is, but for white space."""
    within, beside = (render(tokenizer, _thought(1, key)).text for key in ("content", REASONING[0]))
    return "".join(within.split()) == "".join(beside.split())


def _thought(answer: int, key: str) -> list[dict[str, Any]]:
    """The probe with a reasoning in one of its answers, under a key of the message or within its content."""
    messages = [dict(message) for message in PROBE]
    message = messages[2 * answer + 1]
    if key == "content":
        message["content"] = f"<think>\n{THOUGHT}\n</think>\n\n{message['content']}"
    else:
        message[key] = THOUGHT
    return messages


def _with_tools(tokenizer: PreTrainedTokenizerBase, draft: TemplateReport, added: list[str]) -> TemplateReport:
    """The report with tools, if calls can be trained exactly; a call may end with a token of its own."""
    draft = replace(draft, supports_tools=True)
    if _trains_tools(tokenizer, draft):
        return draft
    try:
        shown = render(tokenizer, TOOL_PROBE, (TOOL,)).text
    except DataError:
        return replace(draft, supports_tools=False)
    called = shown[shown.index("qzvalue") :] if "qzvalue" in shown else ""
    found = re.search("|".join(re.escape(token) for token in added if token) or "(?!)", called)
    if found and found[0] not in draft.ends:
        ends = (found[0], *draft.ends)
        control = any_of({*draft.ends, found[0]})
        guard = re.compile(f"{draft.guard.pattern}|{control.pattern}")
        longer = replace(draft, ends=ends, guard=guard, control=re.compile(f"{draft.control.pattern}|{control.pattern}"))
        if _trains_tools(tokenizer, longer):
            return longer
    return replace(draft, supports_tools=False)


def _trains_tools(tokenizer: PreTrainedTokenizerBase, draft: TemplateReport) -> bool:
    try:
        shown = closed(draft, render(tokenizer, TOOL_PROBE, (TOOL,)))
        if not all(word in shown.text for word in ("Looks it up", "qzvalue", "qzresult")):
            return False
        spans = answers(tokenizer, draft, shown, TOOL_PROBE, (TOOL,))
    except (DataError, ModelError):
        return False
    called = "".join(shown.text[start:end] for start, end in spans[0])
    return "qzvalue" in called and "qzresult" not in called


def _notes(tokenizer: PreTrainedTokenizerBase, report: TemplateReport, plain: bool) -> tuple[str, ...]:
    notes = []
    if not report.supports_system:
        notes.append("it writes no system message in a whole conversation: put such instructions into the first question")
    if plain:
        notes.append(f"its header {report.header.strip()!r} is plain text, so a user can write it too")
    if report.apart:
        notes.append(
            f"it asks for an answer with {report.prompt!r}, which a finished conversation does not have there: of each "
            "conversation the last answer is learned, behind the prompt as it is asked, and earlier answers are not"
        )
    elif report.prompt != report.header:
        notes.append(f"it asks for an answer with {report.prompt!r}, which earlier answers do not have")
    if report.forgets and not report.apart and report.reasoning:
        notes.append("it leaves the reasoning of earlier answers out, so only a conversation's last answer keeps its reasoning")
    if report.dated:
        notes.append("it writes a date into every conversation: a run keeps the day on which it was planned")
    if report.closing:
        notes.append(f"it closes no answer: {report.closing} is learned as the end of the last one, as the model knows it")
    return tuple(notes)


def closed(report: TemplateReport, rendered: Rendered) -> Rendered:
    """A finished conversation with the token behind its last answer that the template leaves to what comes next."""
    return replace(rendered, text=rendered.text + report.closing) if report.closing else rendered
