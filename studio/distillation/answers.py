"""Sequence distillation: the teacher answers the prompts of the rows, and its answers are learned in place of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from studio.core.errors import DataError, Stopped, StudioError
from studio.core.files import read_json_lines, write_text
from studio.core.records import Record
from studio.core.text import plural
from studio.data.rows import Conversation
from studio.planner.teaching import RemoteTeacher
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from studio.training.methods.distil import Distil

AT_ONCE = 64
"""Prompts that are answered between two saves. The same at each attempt, so that a killed run gets the same answers."""
LEDGER = "teacher-spending.sqlite"


class TaughtAnswer(Record):
    """A line of answers by a teacher: to which row, and whether it ended by itself."""

    label: ClassVar[str] = "answer of a teacher"
    remedy: ClassVar[str] = "Delete the file; the teacher is asked again when the run is resumed."

    row: int
    text: str
    tokens: int = 0
    stopped: bool = True


def answer_all(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Conversation],
    longest: int,
    file: Path,
    reporter: Reporter,
) -> list[TaughtAnswer]:
    """A local teacher's greedy answers, kept in `file` as they come; those that are there are not asked again."""
    from studio.data.render import encode_prompt
    from studio.evaluation.answering import ask

    known = saved(file)  # a part that was cut short is answered again, with the same prompts at once
    for start in range(0, len(rows), AT_ONCE):
        part = range(start, min(len(rows), start + AT_ONCE))
        if all(index in known for index in part):
            continue
        prompts = [encode_prompt(rows[index].prompt, tokenizer, rows[index].tools) for index in part]
        given, _ = ask(model, tokenizer, prompts, longest, should_stop=reporter.should_stop)
        for index, answer in zip(part, given, strict=True):
            known[index] = TaughtAnswer(row=index, text=answer.text, tokens=answer.tokens, stopped=bool(answer.stopped))
            known[index].append(file)
        reporter.progress(part.stop, len(rows), "answer of the teacher")
        if reporter.should_stop():
            raise Stopped
    return [known[index] for index in range(len(rows))]


def ask_all(
    teacher: RemoteTeacher,
    method: Distil,
    rows: Sequence[Conversation],
    longest: int,
    data: Path,
    home: Path,
    reporter: Reporter,
) -> list[TaughtAnswer]:
    """A remote teacher's answers: from the cache of the home where they are there, else bought under the ceiling.

    Raises CeilingReached before it would be exceeded; what was bought is kept, and a resumed run pays for nothing twice.
    """
    from studio.remote.answers import FILE, Answers
    from studio.remote.ceiling import Ceiling
    from studio.remote.client import Client
    from studio.remote.completion import Request

    cached = Answers(home / FILE)
    limit = Ceiling(method.ceiling, data / LEDGER) if method.ceiling is not None else None
    found: dict[int, TaughtAnswer] = {}
    failed: StudioError | None = None
    try:
        with Client(teacher.endpoint, ceiling=limit, answers=cached) as client:
            asked = (Request(list(row.prompt), longest) for row in rows)
            for item in client.complete_all(asked, reporter.should_stop):
                failed = failed or item.error
                if item.completion is not None:
                    text, ended = item.completion.text.strip(), item.completion.finish_reason != "length"
                    tokens = item.completion.usage.completion_tokens
                    found[item.index] = TaughtAnswer(row=item.index, text=text, tokens=tokens, stopped=ended)
                reporter.progress(len(found), len(rows), "answer of the teacher")
    finally:
        cached.close()
        if limit is not None:
            limit.close()
    if reporter.should_stop():
        raise Stopped
    if failed is not None:
        raise failed
    return [found[index] for index in range(len(rows))]


def taught_rows(rows: Sequence[Conversation], answers: Sequence[TaughtAnswer], file: Path) -> int:
    """Write the rows with the teacher's answers in place of their own; the number of those left out: cut or empty.

    Raises DataError if none is left.
    """
    kept = []
    for row, answer in zip(rows, answers, strict=True):
        if answer.stopped and answer.text.strip():
            message = {"role": "assistant", "content": answer.text}
            kept.append(replace(row, messages=(*row.messages[:-1], message), rejected=None, good=None))
    if not kept:
        raise DataError(
            f"none of {plural(len(rows), 'answer')} of the teacher ended by itself",
            hint="Raise evaluation.max_new_tokens, which is the longest that an answer may be.",
            where="training.method.teacher",
        )
    import orjson

    write_text(file, "".join(f"{orjson.dumps(row.as_dict()).decode()}\n" for row in kept))
    return len(rows) - len(kept)


def saved(file: Path) -> dict[int, TaughtAnswer]:
    """The answers in a file by row; a half-written last line is left out."""
    if not file.exists():
        return {}
    return {found.row: found for line in read_json_lines(file) if (found := TaughtAnswer.model_validate(line))}


def answerable(rows: Sequence[Conversation]) -> list[Conversation]:
    """The rows whose last answer is a text that a teacher can write in its place."""
    return [row for row in rows if row.messages and not row.messages[-1].get("tool_calls") and row.good is not False]
