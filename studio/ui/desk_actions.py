"""What is done in the desk's table and editor: the commands that the page sends, carried out, and said in a toast."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from studio.app.curation import Batch, Content, Desk, Query
from studio.core.errors import SpecError
from studio.core.text import plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = {
    "approve": "approved", "exclude": "excluded", "mask": "masked", "edit": "edited", "relabel": "relabelled",
    "apply": "edited", "keep_answer": "kept one answer of", "join": "joined", "add": "added",
}  # fmt: skip


def query(check: str, status: str, text: str) -> Query:
    """The rows that the filters of the page mean."""
    return Query(check=check or "", status=status or "", text=(text or "")[:200])  # type: ignore[arg-type]  # a choice of ours


def command(said: str) -> dict[str, Any]:
    """A command as the page sends it: `{"do": "approve", "row": 12}`. Raises SpecError."""
    try:
        values = json.loads(said)
        return {**values, "do": str(values["do"]), "row": int(values["row"])}
    except (ValueError, KeyError, TypeError):
        raise SpecError("this command is not understood", hint="Load the page again.", where="Desk") from None


def done(desk: Desk, request: dict[str, Any], row: int) -> Batch:
    """Do one command of the table or the editor."""
    one = Query(rows=(str(row),))
    match request["do"]:
        case "approve":
            return desk.approve(one)
        case "exclude":
            return desk.exclude(one)
        case "mask":
            return desk.mask(one)
        case "keep":
            return desk.keep_answer(int(request.get("of") or row))
        case "undo":
            return desk.undo()
        case "save":
            return desk.rewrite(row, edited(desk.row(row).content, request.get("turns", [])))
    raise SpecError("this command is not understood", hint="Load the page again.", where="Desk")


def edited(content: Content, turns: Sequence[Mapping[str, object]]) -> Content:
    """A row's content with the texts and marks of the editor, which shows its turns in order."""
    texts = [str(turn["content"]) for turn in turns]
    if not content.messages:
        return content.model_copy(update={"text": texts[0] if texts else ""})
    messages = []
    for turn, edited in zip(content.messages, turns, strict=False):
        values = {name: value for name, value in turn.items() if name != "train"} | {"content": str(edited["content"])}
        messages.append({**values, "train": False} if edited.get("train") is False else values)
    rejected = {**content.rejected, "content": texts[-1]} if content.rejected else None
    return content.model_copy(update={"messages": tuple(messages), "rejected": rejected})


def say(batch: Batch, undone: bool) -> None:
    """Say in a toast what was done, or undone."""
    import gradio as gr

    what = NAMES.get(batch.action, batch.action)
    if not batch.count:
        gr.Info("Nothing to change in these rows.")
    elif undone:
        gr.Info(f"Taken back: {plural(batch.count, 'edit')} ({what}).")
    elif batch.count > 1:
        rows = plural(batch.count, "question" if batch.action == "keep_answer" else "row")
        gr.Info(f"{what.capitalize()} {rows}. Undo takes all of it back.")
