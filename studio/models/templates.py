"""Chat templates: what a tokenizer's template does, found by rendering a small conversation with it.

A template that cannot be trained on exactly is refused here, with the reason, before any data is touched.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from studio.core.errors import DataError, ModelError
from studio.models.chat import chat_template, has_marks, render
from studio.models.turns import Messages, TemplateReport, answers, inexact

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
        raise inexact("it leaves messages out, repeats or changes them", text)
    added = sorted({token.content for token in tokenizer.added_tokens_decoder.values()}, key=len, reverse=True)
    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    added += [token for token in (tokenizer.eos_token,) if token and token not in added]
    ends = _turn_ends(text, added)
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
    tools = _trains_tools(tokenizer, replace(draft, supports_tools=True))
    notes = _notes(tokenizer, template, draft, text, before.text, bool(plain))
    return replace(draft, supports_tools=tools, notes=notes)


def _turn_ends(text: str, added: list[str]) -> tuple[str, ...]:
    """The tokens directly behind the answers (white space allowed), the last answer's last."""
    ends = []
    for word in ANSWERED:
        rest = text[text.index(word) + len(word) :].lstrip()
        token = next((token for token in added if token and rest.startswith(token)), None)
        if token is None:
            raise inexact(
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


def _shows(tokenizer: Any, messages: Messages, tools: Messages, word: str) -> bool:
    try:
        return word in render(tokenizer, messages, tools).text
    except DataError:
        return False


def _trains_tools(tokenizer: Any, draft: TemplateReport) -> bool:
    try:
        shown = render(tokenizer, TOOL_PROBE, (TOOL,))
        if not all(word in shown.text for word in ("Looks it up", "qzvalue", "qzresult")):
            return False
        spans = answers(tokenizer, draft, shown, TOOL_PROBE, (TOOL,))
    except (DataError, ModelError):
        return False
    called = "".join(shown.text[start:end] for start, end in spans[0])
    return "qzvalue" in called and "qzresult" not in called


def _notes(tokenizer: Any, template: str, draft: TemplateReport, text: str, before: str, plain: bool) -> tuple[str, ...]:
    notes = []
    if not draft.supports_system:
        notes.append(
            "It does not write a system message in a whole conversation: put such instructions into the first question."
        )
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
