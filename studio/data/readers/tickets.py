"""Rows as help desks and inboxes export them: the customer asks, the agents answer, what is marked as private is left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from studio.core.plain import is_list, is_mapping
from studio.data.notes import Unusable
from studio.data.readers.faq import text_of_page
from studio.data.readers.shape import Shape, at, has_objects, without
from studio.data.times import oldest_first

_AGENTS = frozenset(("admin", "bot", "team", "agent", "operator", "staff"))
_STAMPED = re.compile(r"[^;\n]{6,40};([^;\n]{0,80});(.*)", re.DOTALL)
"""A comment in a table: its time, its author, and what is said."""
_INLINE = frozenset(("text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status"))
"""Kinds of nodes that stand within a line of a document."""


def _is_ticket(values: Mapping[str, Any]) -> bool:
    return has_objects(values.get("comments")) and "author_id" in values["comments"][0]


def _ticket(values: Mapping[str, Any]) -> dict[str, Any]:
    """A ticket whose comments name their author: the requester asks, everybody else answers. Private notes are left out."""
    comments = oldest_first(values["comments"])
    asking = values.get("requester_id", comments[0].get("author_id"))
    messages = [
        {"role": "user" if comment.get("author_id") == asking else "assistant", "content": said}
        for comment in comments
        if comment.get("public") is not False and (said := comment.get("plain_body") or comment.get("body"))
    ]
    opening = values.get("description")
    if opening and not any(opening in message["content"] for message in messages):
        messages.insert(0, {"role": "user", "content": opening})
    return {**without(values, "comments", "description"), "messages": messages}


def _is_inbox(values: Mapping[str, Any]) -> bool:
    return is_list(at(values, "conversation_parts", "conversation_parts")) and "source" in values


def _inbox(values: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation of an inbox: its source and its parts, of which notes and assignments are left out."""
    parts = [values["source"], *oldest_first(values["conversation_parts"]["conversation_parts"])]
    messages = [
        {"role": "assistant" if at(part, "author", "type") in _AGENTS else "user", "content": text_of_page(part["body"])}
        for part in parts
        if is_mapping(part) and part.get("body") and part.get("part_type", "comment") in ("comment", "open", "close")
    ]
    return {**without(values, "source", "conversation_parts"), "messages": messages}


def _is_note_ticket(values: Mapping[str, Any]) -> bool:
    ticket = values.get("helpdesk_ticket", values)
    return is_mapping(ticket) and any("incoming" in item for item in _notes(ticket))


def _notes(ticket: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    for name in ("notes", "conversations"):
        if has_objects(ticket.get(name)):
            return list(oldest_first([note.get("helpdesk_note", note) for note in ticket[name] if is_mapping(note)]))
    return []


def _note_ticket(values: Mapping[str, Any]) -> dict[str, Any]:
    """A ticket with a description and notes that say whether they came in. Private notes are left out."""
    ticket = values.get("helpdesk_ticket", values)
    opening = ticket.get("description_text") or text_of_page(ticket.get("description") or "")
    messages = [{"role": "user", "content": opening}] if opening else []
    messages += [
        {"role": "user" if note.get("incoming") else "assistant", "content": said}
        for note in _notes(ticket)
        if not note.get("private") and (said := note.get("body_text") or text_of_page(note.get("body") or ""))
    ]
    return {**without(ticket, "notes", "conversations", "description", "description_text"), "messages": messages}


def _is_issue(values: Mapping[str, Any]) -> bool:
    fields = values.get("fields")
    return is_mapping(fields) and "summary" in fields and bool({"description", "comment"} & fields.keys())


def _issue(values: Mapping[str, Any]) -> dict[str, Any]:
    """An issue of a tracker: its description and its public comments. Who reported it asks, everybody else answers."""
    fields = values["fields"]
    asking = _person(fields.get("reporter") or fields.get("creator"))
    messages = [{"role": "user", "content": _prose(fields.get("description")) or fields["summary"]}]
    for comment in oldest_first(at(fields, "comment", "comments") or ()):
        if comment.get("visibility") or comment.get("jsdPublic") is False:
            continue
        role = "user" if asking and _person(comment.get("author")) == asking else "assistant"
        messages.append({"role": role, "content": _prose(comment.get("body"))})
    if len(messages) == 1:
        raise Unusable("an issue without a comment, so without an answer", "fields.comment")
    return {"key": values.get("key"), "summary": fields["summary"], "messages": messages}


def _person(value: Mapping[str, object] | None) -> str:
    """What tells one person of a tracker from another."""
    return str(next((value[key] for key in ("accountId", "key", "login", "name") if value.get(key)), "")) if value else ""


def _prose(value: object) -> str:
    """A text, or the text of a document of nested nodes: paragraphs parted by blank lines."""
    if isinstance(value, str):
        return value
    return "\n\n".join(filter(None, map(_line, _blocks(value))))


def _blocks(node: object) -> Iterator[Mapping[str, Any]]:
    """The nodes of a document that hold a line each."""
    if not is_mapping(node):
        return
    inner = [item for item in node.get("content") or () if is_mapping(item)]
    if any(item.get("type") in _INLINE for item in inner):
        yield node
    else:
        for item in inner:
            yield from _blocks(item)


def _line(node: Mapping[str, Any]) -> str:
    if node.get("type") == "hardBreak":
        return "\n"
    named = at(node, "attrs", "text") or at(node, "attrs", "url") or ""
    return str(node.get("text") or named) + "".join(map(_line, node.get("content") or ()))


def names_issues(names: Iterable[str]) -> bool:
    """Whether columns are those of a tracker's table, which has a column more of the same name for each further value."""
    return {"Issue key", "Summary"} <= set(names)


def _is_issue_line(values: Mapping[str, Any]) -> bool:
    return names_issues(values)


def _issue_line(values: Mapping[str, Any]) -> dict[str, Any]:
    """An issue of a tracker as a row of a table, with a column for each comment (`time;author;text`)."""
    comments: Any = values.get("Comment") or values.get("Comments") or []
    asking = {str(values.get(name)) for name in ("Reporter", "Reporter Id", "Creator", "Creator Id") if values.get(name)}
    messages = [{"role": "user", "content": values.get("Description") or values["Summary"]}]
    for comment in map(str, comments if is_list(comments) else [comments]):
        author, said = stamped.groups() if (stamped := _STAMPED.fullmatch(comment)) else ("", comment)
        messages.append({"role": "user" if author in asking else "assistant", "content": said.strip()})
    if len(messages) == 1:
        raise Unusable("an issue without a comment, so without an answer", "Comment")
    return {"key": values["Issue key"], "summary": values["Summary"], "messages": messages}


def _is_case(values: Mapping[str, Any]) -> bool:
    return has_objects(at(values, "CaseComments", "records"))


def _case(values: Mapping[str, Any]) -> dict[str, Any]:
    """A case with its comments, of which those that are not published are left out."""
    messages = [{"role": "user", "content": values.get("Description") or values.get("Subject")}]
    messages += [
        {"role": "assistant", "content": comment.get("CommentBody")}
        for comment in oldest_first(values["CaseComments"]["records"])
        if comment.get("IsPublished") is not False
    ]
    return {**without(values, "attributes", "Description", "CaseComments"), "messages": messages}


def _is_thread_ticket(values: Mapping[str, Any]) -> bool:
    return has_objects(at(values, "_embedded", "threads"))


def _thread_ticket(values: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation with threads of a customer and of staff, the oldest first; notes are left out."""
    threads = sorted(values["_embedded"]["threads"], key=lambda item: (str(item.get("createdAt") or ""), item.get("id") or 0))
    messages = [
        {"role": "user" if item["type"] == "customer" else "assistant", "content": text_of_page(item["body"])}
        for item in threads
        if item.get("type") in ("customer", "message", "chat") and item.get("body")
    ]
    return {**without(values, "_embedded", "preview"), "messages": messages}


_INBOUND = ("is_inbound", "inbound", "incoming", "from_customer", "from_user", "is_customer", "is_user")
_OUTBOUND = ("is_outbound", "outbound", "outgoing", "from_agent", "from_bot", "is_agent", "is_bot", "from_me", "is_staff")
"""Flags by which a message says that it came in, and by which that it went out."""


def _is_mail_thread(values: Mapping[str, Any]) -> bool:
    first: Mapping[str, Any] = values["messages"][0] if has_objects(values.get("messages")) else {}
    return "role" not in first and any(isinstance(first.get(name), bool) for name in (*_INBOUND, *_OUTBOUND))


def _mail_thread(values: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation whose messages say whether they came in."""
    messages = [
        {"role": "user" if _came_in(item) else "assistant", "content": said}
        for item in oldest_first(values["messages"])
        if is_mapping(item) and (said := _written(item))
    ]
    return {**without(values, "messages"), "messages": messages}


def _written(item: Mapping[str, Any]) -> str:
    told = next((item[name] for name in ("text", "body_text", "content", "message") if item.get(name)), None)
    return told or text_of_page(item.get("body") or item.get("body_html") or "")


def _came_in(item: Mapping[str, Any]) -> bool:
    out = next((item[name] for name in _OUTBOUND if name in item), None)
    return bool(next((item[name] for name in _INBOUND if name in item), not out))


def _is_visit(values: Mapping[str, Any]) -> bool:
    return any(map(_visitor_says, _visit_lines(values)))


def _visit_lines(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is said in a chat on a website, under the names that such chats are stored by."""
    lines: list[Any] = next((values[name] for name in ("messages", "history") if has_objects(values.get(name))), list[Any]())
    return list(oldest_first([item for item in lines if is_mapping(item) and isinstance(item.get("msg"), str)]))


def _visitor_says(item: Mapping[str, Any]) -> bool:
    return at(item, "sender", "t") == "v" or str(item.get("sender_type")).lower() == "visitor"


def _visit(values: Mapping[str, Any]) -> dict[str, Any]:
    """A chat on a website between a visitor and agents; who came and left is left out."""
    messages = [
        {"role": "user" if _visitor_says(item) else "assistant", "content": item["msg"]}
        for item in _visit_lines(values)
        if at(item, "sender", "t") != "s" and item["msg"].strip()
    ]
    return {**without(values, "messages", "history"), "messages": messages}


def _is_discussion(values: Mapping[str, Any]) -> bool:
    comments = values.get("comments")
    return has_objects(comments) and isinstance(values.get("body"), str) and bool(at(comments, "author", "login"))


def _discussion(values: Mapping[str, Any]) -> dict[str, Any]:
    """A text that comments answer: its author asks, everybody else answers."""
    asking = _person(values.get("author"))
    messages = [{"role": "user", "content": values["body"] or values.get("title")}]
    messages += [
        {"role": "user" if _person(item.get("author")) == asking else "assistant", "content": item.get("body")}
        for item in oldest_first(values["comments"])
    ]
    return {**without(values, "body", "comments", "author"), "messages": messages}


def _is_single_reply(values: Mapping[str, Any]) -> bool:
    return {"ticket_id", "incoming", "private"} <= values.keys()


def _single_reply(values: Mapping[str, Any]) -> dict[str, Any]:
    raise Unusable("a reply without its ticket: export the tickets with their conversations", "ticket_id")


_ISSUES = (
    "Its rows are issues of a tracker; the description and the public comments became turns, and who reported it is the user. "
    "Only `key` and `summary` are kept beside them."
)
TICKETS = (
    Shape(_is_ticket, _ticket, "Its rows are help desk tickets; what the requester wrote and the public replies became turns."),
    Shape(_is_inbox, _inbox, "Its rows are conversations of an inbox; notes and assignments are left out."),
    Shape(_is_note_ticket, _note_ticket, "Its rows are help desk tickets; the description and the public notes became turns."),
    Shape(_is_issue, _issue, _ISSUES),
    Shape(_is_issue_line, _issue_line, _ISSUES),
    Shape(_is_case, _case, "Its rows are cases; the description and the published comments became turns."),
    Shape(_is_thread_ticket, _thread_ticket, "Its rows are conversations of an inbox; notes are left out."),
    Shape(_is_mail_thread, _mail_thread, "Its rows are conversations of an inbox; what came in is the user's."),
    Shape(_is_visit, _visit, "Its rows are chats on a website; notices are left out."),
    Shape(_is_discussion, _discussion, "Its rows are texts with comments; their author is the user, others the assistant."),
    Shape(_is_single_reply, _single_reply, "Its rows are single replies of tickets."),
)
"""The help desks' shapes."""
