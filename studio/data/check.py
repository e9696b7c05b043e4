"""Row by row: does it fit the detected format, and can it be learned from? What does not is rejected with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from studio.core.messages import ChatMessage, chat_message
from studio.data.columns import SHARED, words
from studio.data.context import Context
from studio.data.detect import Detection
from studio.data.formats import FORMATS
from studio.data.notes import Notes, Unusable
from studio.data.paths import is_path, value_at
from studio.data.reasoning import with_reasoning
from studio.data.rows import Conversation, Needs, Rejected, Row
from studio.data.settings import Data
from studio.data.shared import BAD, completed, excluded, is_marked_bad
from studio.data.turns import checked
from studio.data.turntext import turns_of_request
from studio.data.unused import UnusedColumns

SHOWN = 200
"""Characters of a rejected row that are kept for the list a person reads."""
MEDIA = frozenset(words("""image images img picture pictures video videos audio audios pixel_values"""))
"""Columns of pictures and sounds."""
_PLACEHOLDERS = ("<image>", "<video>", "<audio>", "<img>")


def check(
    rows: Iterable[Row | Rejected],
    detection: Detection,
    settings: Data,
    notes: Notes | None = None,
    unused: UnusedColumns | None = None,
    needs: Needs = "conversations",
) -> Iterator[Conversation | Rejected]:
    """Rows as conversations, or rejected with file, line, column and reason; rows rejected before pass through.

    A conversation without a system prompt gets `settings.system`. notes: collects what is odd but usable; unused: what
    stands in columns that play no role. needs: what the training method learns from; a row that is marked as bad is left out,
    unless it learns from such, too.
    """
    notes = Notes() if notes is None else notes
    context = Context.of(settings.roles, settings.turns, notes)
    convert = FORMATS[detection.format].convert
    columns = detection.columns
    shared = any(role in SHARED for role in columns)
    keep = columns.get("keep")
    apart_from = not columns.keys().isdisjoint(("split", "weight", "drop", "first"))
    system = {"role": "system", "content": settings.system} if settings.system else None
    apart = settings.rows_per == "answer" and detection.format != "preference"
    reasoning = settings.reasoning
    used = frozenset(columns.values())
    paths: list[str] | None = None
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        notes.at(row.file, row.line)
        if paths is None:
            paths = [name for name in columns.values() if is_path(name)]
        if paths:
            row = replace(row, values={**row.values, **{path: value_at(row.values, path) for path in paths}})
        bad = keep is not None and is_marked_bad(row.values, keep)
        if keep is not None and bad and needs != "labels":
            yield Rejected(row.file, row.line, f"{BAD}: `{keep}` says so", keep, beginning(row.values), excluded=True)
            continue
        if apart_from and (reason := excluded(row.values, columns)):
            yield Rejected(row.file, row.line, reason[0], reason[1], beginning(row.values), excluded=True)
            continue
        try:
            conversation = convert(row, columns, context)
            if shared:
                conversation = completed(conversation, row.values, columns, context)
            said = conversation.messages
            if 1 < len(said) < 4 and said[-2]["content"].rstrip()[-1:] == ":" and (turns := _requested(said)):
                conversation = replace(conversation, messages=checked(turns, columns.get("question", ""), context))
            beside = not row.values.keys() <= used
            if beside and not MEDIA.isdisjoint(row.values):
                _refuse_media(row.values, columns, conversation)
        except Unusable as problem:
            yield Rejected(row.file, row.line, problem.reason, problem.column, beginning(row.values))
            continue
        if keep is not None and needs == "labels":
            conversation = replace(conversation, good=not bad)
        if needs == "texts" and row.passage:
            conversation = replace(conversation, passage=row.passage, glue=row.glue)
        if unused is not None:
            if beside:
                unused.add(row)
            else:  # nearly every row, of a million
                unused.rows += 1
        if reasoning != "keep":
            conversation = with_reasoning(conversation, reasoning)
        if system and conversation.messages and conversation.messages[0]["role"] != "system":
            conversation = replace(conversation, messages=(system, *conversation.messages))
        if apart:
            yield from by_answer(conversation)
        else:
            yield conversation


def _requested(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The turns of a conversation whose only question, which ends in a colon, is a transcript that asks for the answer; else
    none."""
    asked = messages[-2]
    if asked["role"] != "user" or messages[-1]["role"] != "assistant":
        return []
    turns = turns_of_request(asked["content"])
    return [*messages[:-2], *(chat_message(turn["role"], turn["content"]) for turn in turns), messages[-1]] if turns else []


def by_answer(conversation: Conversation) -> Iterator[Conversation]:
    """A row for each answer that is learned: what came before it, and that answer, which is then the only one learned.

    A label belongs to the last answer, so a labelled conversation stays one row.
    """
    learned = [
        index
        for index, turn in enumerate(conversation.messages)
        if turn["role"] == "assistant" and turn.get("train") is not False
    ]
    if len(learned) < 2 or conversation.good is not None:
        yield conversation
        return
    for last in learned:
        earlier = [{**turn, "train": False} if turn["role"] == "assistant" else turn for turn in conversation.messages[:last]]
        yield replace(conversation, messages=(*earlier, conversation.messages[last]))


def _refuse_media(values: Mapping[str, Any], columns: Mapping[str, str], conversation: Conversation) -> None:
    """Raise Unusable for a row with pictures or sounds: its text alone says something else."""
    media = MEDIA.intersection(values)
    texts = [turn["content"] for turn in conversation.messages] or [conversation.text]
    marked = any(mark in text for text in texts for mark in _PLACEHOLDERS)
    for name in media.difference(columns.values()):
        value = values[name]
        if value not in (None, "", [], {}) and (marked or not isinstance(value, str)):
            raise Unusable(f"not only text: `{name}` holds pictures or sounds, and only text is trained here", name)


def beginning(values: object) -> str:
    """The first characters of a row, as JSON."""
    try:
        text = orjson.dumps(values, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        text = str(values).encode("utf-8", "replace").decode()
    return text[:SHOWN]
