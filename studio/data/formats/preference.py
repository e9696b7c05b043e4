"""Format `preference`: a prompt with a preferred answer and a rejected one, or with two answers and which of them is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from studio.core.messages import ChatMessage, chat_message
from studio.core.plain import is_list, is_object
from studio.data import verdicts
from studio.data.columns import SHARED, Format, Proposal, Table, matches, shared_columns, unused, worth
from studio.data.context import Context
from studio.data.marks import is_number
from studio.data.notes import Unusable
from studio.data.rows import Conversation, Row
from studio.data.texts import is_absent, kind_of
from studio.data.turns import SPEAKERS, checked, from_json, key_of
from studio.data.turntext import template_of, turns_of_request, turns_of_template, turns_of_text

EXAMPLE: dict[str, Any] = {
    "prompt": "How long is the warranty of the Aria lamp?",
    "chosen": "The Aria lamp has a warranty of 24 months.",
    "rejected": "I think it is about two years, but please look it up.",
}
ROLES = {
    "prompt": (
        *("prompt", "question", "instruction", "input", "query"),
        *("messages", "conversations", "conversation", "context messages"),
    ),
    "chosen": (
        *("chosen", "preferred", "chosen response", "response chosen", "better", "better response", "winner response"),
        *("chosen answer", "preferred response", "preferred answer", "accepted", "accepted response", "accepted answer"),
        *("better answer", "good", "good response", "good answer", "positive", "positive response", "win", "response win"),
        *("response j", "answer j", "right answer", "correct answer", "correct response"),
    ),
    "rejected": (
        *("rejected", "dispreferred", "rejected response", "response rejected", "worse", "worse response"),
        *("rejected answer", "dispreferred response", "worse answer", "bad", "bad response", "bad answer", "negative"),
        *("negative response", "lose", "response lose", "response k", "answer k", "hallucinated answer", "wrong answer"),
        *("incorrect answer", "wrong response", "incorrect response"),
    ),
    "first": (),
    "second": (),
    "winner": (),
    "strength": (),
    **{role: names for role, names in SHARED.items() if role not in ("keep", "drop", "reasoning")},
}


_SAYS = {
    "chosen": "holds the chosen answers",
    "rejected": "holds the rejected answers",
    "first": "holds one answer",
    "second": "holds another",
    "winner": "says which of both is better",
    "strength": "says which of both is better: the first below 0, the second above",
}


def propose(table: Table) -> Proposal | None:
    """A column of preferred and one of rejected answers; and one of prompts, unless the answers are whole conversations."""
    named = {role: [name for name in matches(table, ROLES[role]) if _says(table, name)] for role in ("chosen", "rejected")}
    columns = {role: found[0] for role, found in named.items() if found}
    if len(columns) < 2:
        columns = verdicts.columns(table)
    if not columns:
        return None
    prompts = [name for name in matches(table, ROLES["prompt"]) if name not in columns.values()]
    prompts = prompts or [name for name in table.names if table.plain[name] == "context" and table.share(name, _is_whole) > 0.5]
    if prompts and not table.share(columns.get("chosen") or columns["first"], _is_whole) > 0.5:
        columns = {"prompt": prompts[0], **columns}
    if "first" in columns:
        table = replace(table, rows=tuple(row for row in table.rows if verdicts.tells(row.values, columns)))
    columns |= shared_columns(table, columns.values(), ROLES)
    reasons = tuple(f"`{name}` {_SAYS[role]}." for role, name in columns.items() if role in _SAYS)
    return Proposal("preference", columns, worth(table, convert, columns, 0.99), (*reasons, *unused(table, columns)))


def _says(table: Table, name: str) -> bool:
    """Whether a column holds answers, and no scores or flags; numbers as texts are answers only under the usual names."""
    usual = table.plain[name] in ("chosen", "rejected")

    def is_said(value: object) -> bool:
        return isinstance(value, (list, dict)) or (isinstance(value, str) and (usual or not is_number(value)))

    return table.share(name, is_said) > 0.5


def convert(row: Row, columns: Mapping[str, str], context: Context) -> Conversation:
    """Both conversations, which must be the same up to their last answer; the rejected one stands beside the preferred."""
    prompt = row.values.get(columns["prompt"]) if "prompt" in columns else None
    sides: list[tuple[ChatMessage, ...]] = []
    both = (columns["chosen"], columns["rejected"]) if "chosen" in columns else verdicts.better(row.values, columns)
    if both is None:
        raise Unusable(f"{verdicts.TIE}: neither answer is better", columns.get("winner") or columns["strength"])
    for column in both:
        sides.append(checked(_turns(prompt, row.values.get(column), columns.get("prompt", column), column), column, context))
    chosen, rejected = sides
    if chosen[:-1] != rejected[:-1]:
        raise Unusable("prompts that differ: the answers are to different conversations", both[1])
    if chosen[-1] == rejected[-1]:
        raise Unusable("equal answers: the preferred and the rejected answer are the same", both[1])
    return Conversation(chosen, (), "", row.file, row.line, rejected=rejected[-1])


def _turns(prompt: object, answer: Any, prompt_column: str, column: str) -> list[Any]:
    """The whole conversation with one of the answers."""
    if isinstance(answer, str) and answer.lstrip().startswith("[{"):
        answer = from_json(answer, column)
    if _is_whole(answer):
        return answer if is_list(answer) else list(turns_of_text(answer) or ())
    if is_absent(answer) and not isinstance(answer, str):
        raise Unusable("missing answer", column)
    if is_absent(prompt):
        raise Unusable("missing question: there is no prompt, and the answer is no whole conversation", prompt_column)
    if isinstance(prompt, str) and isinstance(answer, str) and template_of(prompt):
        turns = turns_of_template(prompt + answer)
        if turns is None:
            raise Unusable("template text that does not come apart: it is not wholly made of turns", prompt_column)
        return list(turns)
    if isinstance(prompt, str) and (turns := turns_of_request(prompt)):
        prompt = turns
    if isinstance(prompt, str) and prompt.lstrip().startswith(("[{", '["')):
        prompt = from_json(prompt, prompt_column)
    if isinstance(answer, str) and answer.lstrip().startswith('["'):
        answer = from_json(answer, column)
    if is_list(prompt) and is_list(answer) and all(isinstance(text, str) for text in [*prompt, *answer]):
        return _in_turn(prompt, answer, column)
    asked = prompt if is_list(prompt) else [{"role": "user", "content": prompt}]
    if is_list(answer):
        return [*asked, *answer]
    if not isinstance(answer, (str, dict)):
        raise Unusable(f"wrong type: the answer is {kind_of(answer)}, not a text", column)
    return [*asked, answer if is_object(answer) else {"role": "assistant", "content": answer}]


def _in_turn(questions: list[str], said: list[str], column: str) -> list[ChatMessage]:
    """Questions and answers in two lists, as the turns of one conversation."""
    if len(questions) != len(said):
        raise Unusable(f"wrong type: {len(questions)} questions and {len(said)} answers", column)
    return [
        chat_message(role, text)
        for pair in zip(questions, said, strict=True)
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _is_whole(value: object) -> bool:
    """Whether an answer comes with the conversation before it: messages of which the first is not the assistant's, or a
    transcript."""
    if isinstance(value, str):
        return len(turns_of_text(value) or ()) > 1
    if not is_list(value) or not value or not is_object(value[0]):
        return False
    key = key_of(value[0], ("role", "from"))
    return key is not None and SPEAKERS.get(str(value[0][key]).lower(), "user") != "assistant"


FORMAT = Format(
    "preference", "Preference pairs", EXAMPLE, ROLES, ("chosen", "rejected"), propose, convert,
    alternatives=(("first", "second", "winner"), ("first", "second", "strength")),
)  # fmt: skip
