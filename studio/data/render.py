"""Render: a conversation to token ids and the exact mask of what is trained.

The one encoding for training, preview, evaluation, chat, export and serving: by the tokenizer's own chat template, with
people's text kept text, and such that the ids of a prompt are the beginning of the ids trained.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from studio.core.errors import ModelError, StudioError
from studio.data.reasoning import CLOSES, OPENS
from studio.data.rows import Conversation, without_marks
from studio.models.chat import Rendered, Span, render
from studio.models.templates import any_of, check_template, closed
from studio.models.tokens import Tokenized, tokenize
from studio.models.turns import TemplateReport, answers, need, need_reasoning, openings, reasoning_beside, reasoning_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

__all__ = [
    "Encoded", "Piece", "TemplateReport", "TrainOn", "attempt_many", "check_template", "encode", "encode_many", "encode_prompt",
    "preview",
]  # fmt: skip

OPENING = 16
"""Characters at the end of a prompt in which it may open the reasoning."""
LOOKALIKE = re.compile(r"<\|[\w ]{2,24}\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>")
"""Text that people write and that looks like a control token, of whichever model."""
TrainOn = Literal["assistant", "last_assistant", "all"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row as the model sees it."""

    ids: list[int]
    mask: list[bool]
    """True where a token is trained; as long as `ids`."""
    text: str
    starts: list[int]
    """Where each token begins in `text`, in characters."""

    @property
    def trained(self) -> int:
        """How many tokens are trained."""
        return sum(self.mask)


@dataclass(frozen=True, slots=True)
class Piece:
    """One token as a person reads it."""

    text: str
    trained: bool
    id: int
    control: bool = False
    """True for a control token; text that only looks like one is False."""
    quoted: bool = False
    """True for text that looks like a control token and was encoded as characters."""


def encode(conversation: Conversation, tokenizer: Tokenizer, train_on: TrainOn = "assistant") -> Encoded:
    """The ids and loss mask of one conversation or plain text.

    train_on: `assistant` trains every answer with its end-of-turn token and nothing else, `last_assistant` only the
    last one, `all` every token. Plain text is trained whole, its
    document ends with the end token. Raises DataError where the template
    refuses the conversation, ModelError where an exact mask is impossible.
    """
    return encode_many([conversation], tokenizer, train_on)[0]


def encode_many(conversations: Sequence[Conversation], tokenizer: Tokenizer, train_on: TrainOn = "assistant") -> list[Encoded]:
    """`encode` for many rows at once, faster. Raises the first row's error."""
    rows = attempt_many(conversations, tokenizer, train_on)
    for row in rows:
        if isinstance(row, StudioError):
            raise row
    return [row for row in rows if isinstance(row, Encoded)]


def attempt_many(
    conversations: Sequence[Conversation], tokenizer: Tokenizer, train_on: TrainOn = "assistant"
) -> list[Encoded | StudioError]:
    """`encode_many` that gives a row's error in its place."""
    if any(conversation.messages for conversation in conversations):
        check_template(tokenizer)  # a template that cannot be used is no row's fault
    drafts = [_draft(conversation, tokenizer, train_on) for conversation in conversations]
    good = [draft for draft in drafts if isinstance(draft, _Draft)]
    tokens = iter(
        tokenize(
            tokenizer,
            [draft.rendered.text for draft in good],
            [draft.cuts for draft in good],
            [draft.rendered.quoted for draft in good],
            _control(tokenizer),
        )
        if good
        else ()
    )
    rows: list[Encoded | StudioError] = []
    for conversation, draft in zip(conversations, drafts, strict=True):
        if isinstance(draft, StudioError):
            rows.append(draft)
            continue
        try:
            rows.append(_encoded(conversation, draft, next(tokens), tokenizer))
        except StudioError as problem:
            rows.append(_placed(problem, conversation))
    return rows


def encode_prompt(
    messages: Sequence[Mapping[str, Any]],
    tokenizer: Tokenizer,
    tools: Sequence[Mapping[str, Any]] = (),
    variables: Mapping[str, Any] = MappingProxyType({}),
) -> list[int]:
    """The ids to generate an answer from: the messages by the template, with its request for an answer.

    variables: what the template is given besides (`enable_thinking`).

    Exactly the beginning of what `encode` trains for the same conversation, wherever the template keeps earlier turns
    unchanged. Raises as `encode`.
    """
    report = check_template(tokenizer)
    need(report, messages, tools)
    messages = reasoning_beside(report, messages)
    rendered = render(tokenizer, messages, tools, prompt=True, guard=report.guard, variables=variables)
    cuts = openings(tokenizer, report, rendered, messages, tools, prompt=True)
    return tokenize(tokenizer, [rendered.text], [cuts], [rendered.quoted], report.control)[0].ids


def preview(conversation: Conversation, tokenizer: Tokenizer, train_on: TrainOn = "assistant") -> list[Piece]:
    """The row token by token, by the code that trains; the texts put together are the row's text.

    A character of several tokens is shown at its last one.
    """
    row = encode(conversation, tokenizer, train_on)
    stops = [*row.starts[1:], len(row.text)]
    control = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    places = list(zip(row.starts, stops, strict=True))
    tokens = [span for span, token in zip(places, row.ids, strict=True) if token in control]
    lookalikes = [found.span() for found in LOOKALIKE.finditer(_blanked(row.text, tokens))]
    return [
        Piece(
            row.text[start:stop],
            trained,
            token,
            token in control,
            any(first < stop and start < last for first, last in lookalikes),
        )
        for token, trained, (start, stop) in zip(row.ids, row.mask, places, strict=True)
    ]


def _blanked(text: str, spans: Sequence[Span]) -> str:
    """The text with parts of it made unlike anything, its length kept."""
    for start, stop in spans:
        text = text[:start] + "\0" * (stop - start) + text[stop:]
    return text


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rendered row before it is tokenised."""

    rendered: Rendered
    cuts: list[int]
    spans: list[Span]
    """What is trained, in characters."""
    ends: tuple[str, ...] = ()


def _draft(conversation: Conversation, tokenizer: Tokenizer, train_on: TrainOn) -> _Draft | StudioError:
    try:
        if not conversation.messages:
            return _plain(conversation.text + (conversation.glue or ""), tokenizer)
        report = check_template(tokenizer)
        messages, tools = [without_marks(message) for message in conversation.messages], conversation.tools
        untrained = conversation.untrained
        need(report, messages, tools)
        need_reasoning(report, messages)
        messages = reasoning_beside(report, messages)
        rendered = closed(report, render(tokenizer, messages, tools, guard=report.guard))
        if report.apart:
            prompt = render(tokenizer, messages[:-1], tools, prompt=True, guard=report.guard)
            if not rendered.outline.startswith(prompt.outline):
                return _behind(prompt, tokenizer, report, rendered, messages, tools, train_on)
            train_on = "last_assistant" if train_on == "assistant" else train_on
        if train_on == "all":
            if untrained:
                turns = answers(tokenizer, report, rendered, messages, tools)
                masked = [span for index in untrained for span in turns[index]]
                return _Draft(rendered, [turn[0][0] for turn in turns], _without(masked, len(rendered.text)))
            try:
                cuts = openings(tokenizer, report, rendered, messages, tools)
            except ModelError:
                cuts = []
            return _Draft(rendered, cuts, [(0, len(rendered.text))])
        turns = answers(tokenizer, report, rendered, messages, tools)
        cuts = [turn[0][0] for turn in turns]
        learned = [turn for index, turn in enumerate(turns) if index not in untrained]
        trained = learned[-1:] if train_on == "last_assistant" else learned
        return _Draft(rendered, cuts, [span for turn in trained for span in turn], report.ends)
    except StudioError as problem:
        return _placed(problem, conversation)


def _behind(
    prompt: Rendered,
    tokenizer: Tokenizer,
    report: TemplateReport,
    finished: Rendered,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    train_on: TrainOn,
) -> _Draft:
    """The last answer behind the very prompt that asks for it, with its reasoning where the prompt opens one."""
    (start, _), *_ = turn = answers(tokenizer, report, finished, messages, tools)[-1]
    end = turn[-1][1]
    if OPENS in prompt.outline[-OPENING:]:
        thought = reasoning_of(messages[-1]) or _reasoning_in(str(messages[-1].get("content") or ""))
        closing = finished.outline.rfind(CLOSES, start, end)
        start = closing + len(CLOSES) if closing >= 0 else start
        start += len(finished.text[start:end]) - len(finished.text[start:end].lstrip())
        between = f"{thought.strip()}\n{CLOSES}\n\n"
    else:
        between = ""
    at = len(prompt.text)
    moved = at + len(between) - start
    quoted = [(at + begin, at + stop) for begin, stop in (found.span() for found in report.guard.finditer(between))]
    quoted += [(begin + moved, stop + moved) for begin, stop in finished.quoted if start <= begin and stop <= end]
    text = prompt.text + between + finished.text[start:end]
    whole = Rendered(text, (*prompt.quoted, *quoted))
    return _Draft(whole, [at], [(0 if train_on == "all" else at, len(text))], report.ends)


def _reasoning_in(content: str) -> str:
    """The reasoning that a content begins with, without its tags."""
    before, closes, _ = content.rpartition(CLOSES)
    return before.strip().removeprefix(OPENS) if closes else ""


def _without(masked: list[Span], length: int) -> list[Span]:
    """What of a text of that length lies outside the masked spans, which are in order."""
    edges = [0, *(edge for span in masked for edge in span), length]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


def _plain(text: str, tokenizer: Tokenizer) -> _Draft:
    """Plain text: every token trained, control-token texts kept text; begin and end tokens are put on by `_encoded`."""
    quoted = tuple(found.span() for found in _control(tokenizer).finditer(text))
    return _Draft(Rendered(text, quoted), [], [(0, len(text))])


def _control(tokenizer: Any) -> Any:
    if tokenizer.chat_template:
        try:
            return check_template(tokenizer).control
        except ModelError:
            pass
    return any_of({token.content for token in tokenizer.added_tokens_decoder.values() if token.special})


def _encoded(conversation: Conversation, draft: _Draft, tokens: Tokenized, tokenizer: Any) -> Encoded:
    ids, starts, text = tokens.ids, tokens.starts, draft.rendered.text
    if not conversation.messages:
        return _closed(ids, starts, text, tokenizer, ends=conversation.glue is None)
    mask = [False] * len(ids)
    for start, end in draft.spans:
        first, last = bisect_left(starts, start), bisect_left(starts, end)
        mask[first:last] = [True] * (last - first)
        if draft.ends and draft.rendered.outline[start:end].endswith(draft.ends):
            token = next(token for token in draft.ends if text.endswith(token, start, end))
            if (
                last <= first
                or starts[last - 1] != end - len(token)
                or ids[last - 1] != int(tokenizer.convert_tokens_to_ids(token))
            ):
                raise ModelError(
                    f"the end-of-turn {token!r} is not one token here: {text[max(start, end - 40) : end]!r}",
                    hint="Name another template in model.chat_template.",
                    where="model.chat_template",
                )
    return Encoded(ids, mask, text, starts)


def _closed(ids: list[int], starts: list[int], text: str, tokenizer: Any, ends: bool) -> Encoded:
    """A plain text behind the tokens the tokenizer itself begins one with, and the end token where its document ends."""
    before = _before(tokenizer)
    opening = "".join(tokenizer.convert_ids_to_tokens(before))
    eos = tokenizer.eos_token_id
    if eos is None:
        raise ModelError(
            "the tokenizer has no end token, so a text's end cannot be trained",
            hint="Add `eos_token` to its tokenizer_config.json.",
            where="model.name",
        )
    shift = len(opening)
    own = [*ids, eos] if ends else ids
    places = [start + shift for start in starts] + ([shift + len(text)] if ends else [])
    mask = [False] * len(before) + [True] * len(own)
    whole = f"{opening}{text}{tokenizer.eos_token if ends else ''}"
    return Encoded([*before, *own], mask, whole, [0] * len(before) + places)


def _before(tokenizer: Any) -> list[int]:
    """The begin-of-text ids the tokenizer puts before a text, usually none or one."""
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and tokenizer("a", add_special_tokens=True).input_ids[:1] == [bos] else []


def _placed(problem: StudioError, conversation: Conversation) -> StudioError:
    """The error with the row's file and line."""
    if not conversation.file:
        return problem
    where = f"{conversation.file}, line {conversation.line}"
    return type(problem)(problem.message, hint=problem.hint, where=where)
