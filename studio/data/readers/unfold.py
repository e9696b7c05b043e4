"""Rows that are packed into one another: columns in one object, rows by id, questions below passages, trees of messages.

A reader gives what stands in the file; this opens such shapes into the rows a person means, and says so in a remark.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from studio.core.errors import DataError
from studio.core.plain import is_list, is_mapping, is_object, object_or_empty
from studio.core.text import plural
from studio.data.notes import Unusable
from studio.data.paths import root
from studio.data.readers import message_rows, nested
from studio.data.readers.chats import chat_of, chats, is_message, threads
from studio.data.readers.choice_columns import choices_of, put_together
from studio.data.readers.exports import Shape, shape_of
from studio.data.readers.facts import Facts
from studio.data.readers.shape import has_objects
from studio.data.rows import Rejected, Row

LOOKED_AT = 20
"""Rows at the beginning that are looked at for the shape of an export."""


def unfolded(rows: Iterable[Row | Rejected], facts: Facts) -> Iterator[Row | Rejected]:
    """The rows, opened where the first ones show a packed shape."""
    stream = iter(rows)
    head = list(itertools.islice(stream, LOOKED_AT))
    first = next((row for row in head if isinstance(row, Row)), None)
    every = itertools.chain(head, stream)
    if first is None:
        yield from every
    elif not _has_all(first.values, facts.columns) and (chat := chat_of(first.values)):
        yield from chats(every, chat, facts)
    elif len(head) == 1 and not shape_of(first.values) and (opened := _document(first, facts)):
        yield from unfolded(opened, facts) if len(opened) > 1 or opened[0].values is not first.values else opened
    elif _is_passage_tree(first.values):
        facts.remarks.append("Its rows hold passages with questions below them; each question became a row.")
        yield from _each(every, _questions_below)
    elif _is_reply_tree(first.values) or _is_mapping_tree(first.values):
        facts.remarks.append(
            "Its rows are trees of messages; each way to a last answer became a row, no answer is learned twice."
        )
        yield from _each(every, _conversations_in)
    elif {"message_id", "parent_id", "text", "role"} <= first.values.keys():
        yield from _from_messages(every, facts)
    elif not _has_all(first.values, facts.columns) and (linked := message_rows.answering(every, _rows_among(head), facts)):
        yield from _from_messages(linked, facts)
    elif is_message(first.values):
        yield from threads(every, facts)
    elif (shape := _shape_among(head)) and (shape.always or not _has_all(first.values, facts.columns)):
        facts.remarks.append(shape.remark)
        yield from _exported(every, shape)
    elif not _has_all(first.values, facts.columns) and (columns := message_rows.columns_of(_rows_among(head), facts)):
        yield from message_rows.conversations(every, columns, facts)
    elif not _has_all(first.values, facts.columns) and (choices := choices_of(_rows_among(head))):
        yield from put_together(every, choices, facts)
    elif shape := nested.shape_of(first.values):
        facts.remarks += [shape.remark] if shape.remark else []
        yield from _each(every, shape.opened)
    else:
        yield from every


def _rows_among(head: list[Row | Rejected]) -> list[Row]:
    return [row for row in head if isinstance(row, Row)]


def _shape_among(head: list[Row | Rejected]) -> Shape | None:
    """The shape of export that the first rows have: a ticket without comments among them says nothing."""
    return next((shape for row in head if isinstance(row, Row) and (shape := shape_of(row.values))), None)


def _has_all(values: Mapping[str, Any], columns: tuple[str, ...]) -> bool:
    """Whether settings name columns, and a row has them all as it stands."""
    return bool(columns) and all(root(name, values) in values for name in columns)


def _exported(rows: Iterable[Row | Rejected], shape: Shape) -> Iterator[Row | Rejected]:
    for row in rows:
        if isinstance(row, Rejected) or not shape.fits(row.values):
            yield row
            continue
        try:
            yield Row(shape.opened(row.values), row.file, row.line)
        except Unusable as problem:
            yield Rejected(row.file, row.line, problem.reason, problem.column, str(row.values)[:200])


def _each(rows: Iterable[Row | Rejected], opened: Any) -> Iterator[Row | Rejected]:
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        values = list(opened(row.values))
        if not values:
            yield Rejected(row.file, row.line, "a tree without an answer", "", str(row.values)[:200])
        for item in values:
            yield Row(item, row.file, row.line)


def _document(row: Row, facts: Facts) -> list[Row]:
    """The rows in a document that is a single object; none if it is simply one row."""
    values = row.values
    listed = [value for value in values.values() if is_list(value)]
    sizes = {len(value) for value in listed}
    plain = all(not isinstance(item, (list, dict)) for value in listed for item in value)
    if len(listed) == len(values) >= 2 and len(sizes) == 1 and sizes.pop() >= 2 and plain:
        facts.remarks.append("It is one object with a list for each column; read as a table.")
        return [Row(dict(zip(values, cells, strict=True)), row.file, row.line) for cells in zip(*values.values(), strict=True)]
    objects = [value for value in values.values() if is_object(value)]
    if (
        len(objects) == len(values) >= 2
        and all(set(item) == set(objects[0]) for item in objects)
        and all(key.isdigit() for key in objects[0])
        and objects[0]
    ):
        facts.remarks.append("It is one object with numbered cells for each column; read as a table.")
        return [Row({name: values[name][key] for name in values}, row.file, row.line) for key in objects[0]]
    below = [key for key, value in values.items() if _is_map_of_rows(value)]
    if len(below) == 1 and len(values) > 1:
        facts.details["list"] = below[0]
        facts.remarks.append(f"Only what is under `{below[0]}` was read, a row under each name; the names are kept as `id`.")
        return [Row({"id": key, **value}, row.file, row.line) for key, value in values[below[0]].items()]
    if len(objects) == len(values) >= 2 and "role" not in values and len({frozenset(item) for item in objects}) <= 3:
        facts.remarks.append("It is one object with a row under each name; the names are kept as `id`.")
        return [Row({"id": key, **value}, row.file, row.line) for key, value in values.items()]
    turns = [is_object(item) and bool({"role", "from"} & item.keys()) for value in listed for item in value]
    if len(listed) == len(values) >= 2 and turns and all(turns):
        facts.remarks.append("It is one object with a conversation under each name; the names are kept as `id`.")
        return [Row({"id": key, "messages": value}, row.file, row.line) for key, value in values.items()]
    if len(values) >= 2 and all(isinstance(value, str) for value in values.values()) and _asks(values):
        facts.remarks.append("It is one object with an answer under each question.")
        return [Row({"question": key, "answer": value}, row.file, row.line) for key, value in values.items()]
    if set(values) <= {"about", "chats", "left_chats"} or len(values) == 1:  # a list within an object
        inner: dict[str, Any] = next(
            (value for key in ("chats", *values) if is_object(value := values.get(key))), dict[str, Any]()
        )
        if has_objects(listed := inner.get("list") or []):
            return list(_rows_of(listed, row))
        below = [key for key, value in inner.items() if is_list(value) and len(value) > 1 and is_object(value[0])]
        if len(values) == 1 and len(below) == 1 and not any(_is_turn(item) for item in inner[below[0]]):
            facts.details["list"] = below[0]
            if len(inner) > 1:
                facts.remarks.append(f"Only the list under `{below[0]}` was read; the file holds more.")
            return list(_rows_of(inner[below[0]], row))
    tables = [key for key, value in values.items() if is_list(value) and len(value) > 1 and is_object(value[0])]
    if len(tables) == 1 and not any(_is_turn(item) for item in values[tables[0]]):
        facts.details["list"] = tables[0]
        if len(values) > 1:
            facts.remarks.append(f"Only the list under `{tables[0]}` was read; the file holds more.")
        return list(_rows_of(values[tables[0]], row))
    return []


def _is_map_of_rows(value: object) -> bool:
    """Whether an object holds rows of the same names, each under a name of its own."""
    if not is_object(value) or len(value) < 3 or not all(is_object(item) and len(item) > 1 for item in value.values()):
        return False
    return len({frozenset(item) for item in value.values()}) == 1


def _is_turn(item: object) -> bool:
    """Whether an element of a list is a turn of a conversation, so that the list is no list of rows."""
    return is_object(item) and any(isinstance(item.get(key), str) for key in ("role", "from", "speaker"))


def _rows_of(items: list[Any], row: Row) -> Iterator[Row]:
    for item in items:
        if is_object(item):
            yield from (
                Row(values, row.file, row.line) for values in (_questions_below(item) if _is_passage_tree(item) else [item])
            )


def _asks(values: Mapping[str, Any]) -> bool:
    """Whether the names of an object are things that are asked rather than names of columns."""
    said = [name for name in values if name.rstrip().endswith(("?", "？", "!", ".")) or len(name.split()) >= 4]
    return len(said) > 0.5 * len(values)


def _is_passage_tree(values: Mapping[str, Any]) -> bool:
    """SQuAD's shape: `paragraphs` with a `context` and `qas`."""
    parts = values.get("paragraphs")
    return is_list(parts) and bool(parts) and is_object(parts[0]) and "qas" in parts[0]


def _questions_below(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    title = {"title": values["title"]} if values.get("title") else {}
    for part in values.get("paragraphs", ()):
        for item in part.get("qas", ()):
            answers = item.get("answers") or item.get("answer")
            first = answers[0] if is_list(answers) and answers else answers
            answer = first.get("text") if is_object(first) else first
            yield {**title, "context": part.get("context"), "question": item.get("question"), "answer": answer or None}


def _is_reply_tree(values: Mapping[str, Any]) -> bool:
    top = values.get("prompt", values)
    return is_object(top) and "replies" in top and "text" in top


def _is_mapping_tree(values: Mapping[str, Any]) -> bool:
    nodes = values.get("mapping")
    return is_object(nodes) and bool(nodes) and all(is_object(node) and "children" in node for node in nodes.values())


def _conversations_in(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if _is_mapping_tree(values):
        nodes = values["mapping"]
        roots = [key for key, node in nodes.items() if node.get("parent") not in nodes]
        yield from _paths([_mapped(nodes, key, set()) for key in roots])
    else:
        yield from _paths([values.get("prompt", values)])


def _mapped(nodes: Mapping[str, Any], key: str, above: set[str]) -> dict[str, Any]:
    """A node of an export by `mapping` in the shape of a reply tree."""
    node = nodes[key]
    message = object_or_empty(node.get("message"))
    content = message.get("content")
    parts: list[Any] = (content.get("parts") or []) if is_object(content) else [content]
    children = [child for child in node.get("children", ()) if child in nodes and child not in above]
    return {
        "role": object_or_empty(message.get("author")).get("role"),
        "text": "\n".join(part for part in parts if isinstance(part, str)),
        "replies": [_mapped(nodes, child, above | {key}) for child in children],
    }


def _paths(roots: list[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each way from a root to its last answer as messages; an answer on an earlier way is read, and not learned again."""
    learned: set[int] = set()
    stack: list[tuple[Mapping[str, Any], tuple[Mapping[str, Any], ...]]] = [(root, ()) for root in reversed(roots)]
    while stack:
        node, before = stack.pop()
        path = (*before, node)
        replies = [reply for reply in node.get("replies") or () if is_mapping(reply)]
        stack += [(reply, path) for reply in reversed(replies)]
        if replies:
            continue
        spoken = [item for item in path if str(item.get("text") or "").strip()]
        while spoken and _speaker(spoken[-1]) != "assistant":
            spoken.pop()
        fresh = [item for item in spoken if _speaker(item) == "assistant" and id(item) not in learned]
        if not fresh:
            continue
        messages: list[dict[str, Any]] = []
        for item in spoken:
            message: dict[str, Any] = {"role": _speaker(item), "content": item["text"]}
            messages.append({**message, "train": False} if id(item) in learned else message)
        learned.update(id(item) for item in fresh)
        yield {"messages": messages}


def _speaker(item: Mapping[str, Any]) -> str:
    role = str(item.get("role") or "user").lower()
    return {"prompter": "user", "human": "user", "gpt": "assistant", "model": "assistant"}.get(role, role)


def _from_messages(rows: Iterable[Row | Rejected], facts: Facts) -> Iterator[Row | Rejected]:
    """Conversations put together from rows that are single messages with `message_id` and `parent_id`."""
    nodes: dict[Any, dict[str, Any]] = {}
    lines: dict[int, tuple[str, int]] = {}
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        if len(nodes) >= message_rows.MESSAGES:
            raise DataError(
                f"it holds more than {plural(message_rows.MESSAGES, 'message')}, too many to put together",
                hint="Split it so that each conversation is whole in one file.",
                where=facts.name,
            )
        node: dict[str, Any] = {**row.values, "replies": []}
        nodes[row.values.get("message_id")] = node
        lines[id(node)] = (row.file, row.line)
    roots: list[dict[str, Any]] = []
    for node in nodes.values():
        parent = nodes.get(node.get("parent_id"))
        (parent["replies"] if parent is not None else roots).append(node)
    facts.remarks.append(
        f"Its rows are single messages; {plural(len(roots), 'conversation')} were put together by `parent_id`."
    )
    for top in roots:
        for values in _paths([top]):
            yield Row(values, *lines[id(top)])
