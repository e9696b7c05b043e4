"""Rows as other tools export them: help desk tickets, annotation tasks, logged requests, providers' own chat formats.

Each shape is known by its keys and opened into a row of a common layout, with a remark. What the tool marks as private,
rejected or not yet answered is a rejected row or left out with the remark, never trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.core.plain import is_list, is_mapping, object_or_empty
from studio.data.notes import Unusable
from studio.data.readers.faq import answered
from studio.data.readers.shape import Shape, at, has_objects, without
from studio.data.readers.tickets import TICKETS


def shape_of(values: Mapping[str, Any]) -> Shape | None:
    """The shape of export that a row has, if any."""
    return next((shape for shape in SHAPES if shape.fits(values)), None)


_REQUESTS = ("request", "input", "inputs", "body", "request_body", "requestBody")
_REPLIES = ("response", "output", "outputs", "response_body", "responseBody", "message")


def _request(values: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The logged request of a chat, if the row has one; it may stand there without a name of its own."""
    for name in _REQUESTS:
        inner = values.get(name)
        inner = inner.get("body", inner) if is_mapping(inner) else None
        if is_mapping(inner) and has_objects(inner.get("messages")):
            return inner
    own: list[Any] = values["messages"] if has_objects(values.get("messages")) else [None]
    return values if is_mapping(own[-1]) and own[-1].get("role") in ("user", "tool") else None


def _reply(values: Mapping[str, Any]) -> Any:
    """The logged answer of a chat, if the row has one: among choices, or beside its request as a message or a text."""
    request = _request(values)
    for name in _REPLIES:
        said = values.get(name)
        inner = said.get("body", said) if is_mapping(said) else said
        if message := at(inner, "choices", "message"):
            return message
        if request is None:
            continue
        if is_mapping(inner) and "content" in inner and inner.get("role", "assistant") == "assistant":
            return {"role": "assistant", **inner}
        if isinstance(inner, str) and inner and request is not values:
            return {"role": "assistant", "content": inner}
    return None


def _is_logged(values: Mapping[str, Any]) -> bool:
    if "preferred_output" in values:
        return False
    request, reply = _request(values), _reply(values)
    return reply is not None or (request is not None and request is not values)


def _logged(values: Mapping[str, Any]) -> dict[str, Any]:
    request, reply = _request(values), _reply(values)
    if request is None:
        raise Unusable("an answer without its question: the requests stand in another file of the batch", "response")
    if reply is None:
        raise Unusable("a question without its answer: the answers stand in another file of the batch", "body")
    told = [name for name in (*_REQUESTS, *_REPLIES) if is_mapping(said := values.get(name)) or said == reply.get("content")]
    row = {**without(values, *told), "messages": [*request["messages"], reply]}
    return {**row, "tools": request["tools"]} if request.get("tools") else row


def _is_in_items(values: Mapping[str, Any]) -> bool:
    items: list[Any] = values["output"] if has_objects(values.get("output")) else []
    return has_objects(values.get("input")) and any(is_mapping(item) and item.get("type") == "message" for item in items)


def _in_items(values: Mapping[str, Any]) -> dict[str, Any]:
    """A request of messages, and an answer of items, of which the messages are read."""
    asked: list[Any] = values["input"]
    items: list[Any] = values["output"]
    if other := next((item.get("type") for item in items if item.get("type") not in ("message", "reasoning")), None):
        raise Unusable(f"not only text: the answer holds `{other}`, and only messages are read here", "output")
    row = {**without(values, "input", "output"), "messages": [*asked, *(i for i in items if i["type"] == "message")]}
    instructions = values.get("instructions")
    return {**without(row, "instructions"), "system": instructions} if isinstance(instructions, str) else row


def _preference(values: Mapping[str, Any]) -> dict[str, Any]:
    request = values["input"]
    row = {"prompt": request["messages"], "chosen": values["preferred_output"], "rejected": values["non_preferred_output"]}
    return {**row, "tools": request["tools"]} if request.get("tools") else row


def _is_contents(values: Mapping[str, Any]) -> bool:
    return has_objects(values.get("contents")) and "parts" in values["contents"][0]


def _contents(values: Mapping[str, Any]) -> dict[str, Any]:
    """`contents` of `parts`, and a system instruction of such."""
    system: Any = values.get("systemInstruction") or values.get("system_instruction") or {}
    row = without(values, "contents", "systemInstruction", "system_instruction")
    if parts := at(system, "parts"):
        row["system"] = _joined(parts)
    return {**row, "messages": [{"role": item.get("role"), "content": _joined(item["parts"])} for item in values["contents"]]}


def _joined(parts: Any) -> Any:
    """Parts as a text if all are; else as they are, which is said to be not only text."""
    parts = parts if is_list(parts) else [parts]
    if all(is_mapping(part) and set(part) == {"text"} for part in parts):
        return "".join(part["text"] for part in parts)
    kinds = [next((key for key in part if key != "text"), "text") for part in parts if is_mapping(part)]
    return [{"type": kind} for kind in kinds]


def _is_annotated(values: Mapping[str, Any]) -> bool:
    return is_mapping(values.get("data")) and is_list(values.get("annotations"))


def _annotated(values: Mapping[str, Any]) -> dict[str, Any]:
    """A task of an annotation tool: its data, and what the first annotation that counts says under each question's name."""
    counted = [item for item in values["annotations"] if is_mapping(item) and not item.get("was_cancelled")]
    if not counted:
        raise Unusable("a task without an annotation", "annotations")
    best = next((item for item in counted if item.get("ground_truth")), counted[0])
    row = dict(values["data"])
    for result in best.get("result") or ():
        said = at(result, "value")
        kind = str(result.get("type"))
        answer = said.get(kind, said.get("text", next(iter(said.values()), None))) if is_mapping(said) else None
        if is_mapping(said) and "start" in said:
            raise Unusable("a marked span, which no answer is made of", "annotations")
        row[str(result.get("from_name"))] = ", ".join(map(str, answer)) if is_list(answer) else answer
    return row


def _is_reviewed(values: Mapping[str, Any]) -> bool:
    return is_mapping(values.get("fields")) and isinstance(values.get("responses"), (Mapping, list))


def _reviewed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A record that people answered questions about: its fields, and the first answer to each question by its name."""
    row = dict(values["fields"])
    answers = values["responses"]
    if is_list(answers):
        submitted = [item for item in answers if is_mapping(item) and item.get("status") != "discarded"]
        answers = object_or_empty(at(submitted, "values"))
    said = {name: at(answer, "value") for name, answer in answers.items() if at(answer, "status") not in ("discarded", "draft")}
    if not any(value is not None for value in said.values()):
        raise Unusable("a record without a response", "responses")
    return {**row, **{f"{name} response" if name in row else name: value for name, value in said.items()}}


_DECIDES = frozenset(("_task_hash", "_input_hash", "accept", "spans"))
"""What stands beside the decision on a task."""


def _is_decided(values: Mapping[str, Any]) -> bool:
    return values.get("answer") in ("accept", "reject", "ignore") and not _DECIDES.isdisjoint(values)


def _decided(values: Mapping[str, Any]) -> dict[str, Any]:
    """A task that was accepted; its label, or the options that were chosen."""
    if values["answer"] != "accept":
        raise Unusable(f"marked as {values['answer']} by the annotator", "answer")
    if "spans" in values:
        raise Unusable("marked spans, which no answer is made of", "spans")
    row = {name: value for name, value in without(values, "answer", "accept", "options").items() if not name.startswith("_")}
    texts = {option.get("id"): option.get("text") for option in values.get("options", ()) if is_mapping(option)}
    chosen = [str(texts.get(key, key)) for key in values.get("accept", ())]
    return {**row, "label": ", ".join(chosen)} if chosen else row


def _described(values: Mapping[str, Any]) -> dict[str, Any]:
    if row := answered(values):
        return {**without(values, "@type", "@id", "name", "text", "acceptedAnswer"), **row}
    raise Unusable("a question without an accepted answer", "acceptedAnswer")


SHAPES = (
    *TICKETS,
    Shape(
        _is_in_items, _in_items, "Its rows are logged requests with items as their answers; reasoning among them is left out."
    ),
    Shape(_is_logged, _logged, "Its rows are logged requests; each became a conversation with its answer."),
    Shape(
        lambda values: {"preferred_output", "non_preferred_output"} <= values.keys() and _request(values) is not None,
        _preference,
        "Its rows are requests with a preferred output and another.",
    ),
    Shape(_is_contents, _contents, "Its rows hold `contents` of `parts`, read as messages."),
    Shape(
        lambda values: values.get("@type") == "Question" and "acceptedAnswer" in values,
        _described,
        "Its rows are questions as pages describe them to search engines, with their accepted answers.",
    ),
    Shape(_is_annotated, _annotated, "Its rows are annotation tasks; of several annotations of a task only one is read."),
    Shape(_is_reviewed, _reviewed, "Its rows are records with responses; of several responses to a question only one is read."),
    Shape(_is_decided, _decided, "Its rows are annotation tasks; only what was accepted is read.", always=True),
)
"""The registry: the first that fits a file's first row is used."""
