"""The corpus' exports of help desks, trackers, inboxes and messengers, in the shapes their makers document."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from tests.data.corpus import FIRST, PAIRS, Asks, Case, Refuses, Turns, lines, table
from tests.data.corpus_exports import SPOKEN, WHO, inbox, ticket

TURNS = [(who, said) for q, a in PAIRS for who, said in (("Anna", q), ("Shop", a))]
TIME = "2026-03-12T10:00:00.000+0000"


def raw_table(names: list[str], make: Callable[[str, str], list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([names, *(make(q, a) for q, a in PAIRS)])
    return out.getvalue()


def issue(q: str, a: str, prose: Callable[[str], Any] = str) -> dict[str, Any]:
    asks, answers = ({"accountId": f"5f:{who}", "displayName": who} for who in ("Anna", "Shop"))
    comments = [
        {"author": answers, "body": prose("Ask Ben."), "visibility": {"type": "role", "value": "Staff"}, "created": TIME},
        {"author": answers, "body": prose(a), "created": TIME},
    ]
    fields = {"summary": "A question", "description": prose(q), "reporter": asks, "comment": {"comments": comments}}
    return {"id": "1", "key": "SUP-1", "self": "https://example.com", "fields": fields}


def nodes(text: str) -> dict[str, Any]:
    """A text as a tracker's document of nested nodes."""
    words = [{"type": "text", "text": text[:5]}, {"type": "text", "text": text[5:], "marks": [{"type": "strong"}]}]
    return {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": words}, {"type": "paragraph"}]}


def threaded(q: str, a: str) -> dict[str, Any]:
    said = [(2, "message", a), (3, "note", "Ask Ben."), (1, "customer", f"<p>{q}</p>")]
    threads = [
        {"id": number, "type": kind, "body": body, "createdAt": f"2026-03-12T10:0{number}Z"} for number, kind, body in said
    ]
    return {"id": 7, "_embedded": {"threads": threads}}


def team_message(number: int, who: str, said: str, answers: str | None = None) -> dict[str, Any]:
    return {
        "id": str(number),
        "replyToId": answers,
        "messageType": "message",
        "createdDateTime": f"2026-03-12T10:{number:02}:00Z",
        "from": {"application": None, "user": {"id": who, "displayName": who}},
        "body": {"contentType": "html", "content": f"<div>{said}</div>"},
    }


def team() -> list[dict[str, Any]]:
    """A channel, the newest message first."""
    messages = []
    for number, (q, a) in enumerate(PAIRS):
        messages += [team_message(2 * number, "Anna", q), team_message(2 * number + 1, "Shop", a, str(2 * number))]
    return messages[::-1]


GUILD = {
    "guild": {"id": "1", "name": "Lumen"},
    "channel": {"id": "1", "type": "GuildTextChat", "name": "help"},
    "messages": [
        {"id": "0", "type": "GuildMemberJoin", "timestamp": TIME, "content": "Joined.", "author": {"name": "anna"}},
        *(
            {"id": "1", "type": "Default", "timestamp": TIME, "content": said, "author": {"name": "x", "nickname": who}}
            for who, said in TURNS
        ),
        {"id": "2", "type": "Default", "timestamp": TIME, "content": "", "author": {"name": "x", "nickname": "Anna"}},
    ],
}
HISTORY = {
    "name": "Lumen",
    "type": "personal_chat",
    "messages": [
        {"id": 0, "type": "service", "date": TIME, "actor": "Anna", "action": "create_group", "text": ""},
        *(
            {"id": 1, "type": "message", "date": TIME, "from": who, "text": [said[:4], {"type": "bold", "text": said[4:]}]}
            for who, said in TURNS
        ),
    ],
}
FRIENDS = {
    "participants": [{"name": "Anna"}, {"name": "Shop"}],
    "messages": [
        {"sender_name": who, "timestamp_ms": time, "content": said.replace("euro", "â\x82¬")}
        for time, (who, said) in reversed(list(enumerate(TURNS)))
    ],
}
PRICED = Turns(tuple((role, said.replace("euro", "€")) for role, said in SPOKEN.first), 1)
CHANNEL = [
    {"type": "message", "subtype": "channel_join", "user": "U1", "text": "U1 has joined", "ts": "0.0"},
    {"type": "message", "user": "U9", "text": "Good morning!", "ts": "0.5"},
    *(
        {"type": "message", "user": who, "text": said, "ts": f"{number}.{who[1]}", "thread_ts": f"{number}.1"}
        for number, (q, a) in enumerate(PAIRS)
        for who, said in (("U1", q), ("U2", a))
    ),
]
MAIL = "".join(
    f"From x Tue Mar 12 10:00:00 2026\nFrom: {who}\nTo: y@example.com\nSubject: A question\nMessage-ID: <1>\n\n{said}\n\n"
    for who, said in TURNS
)
NOTED = [{"type": "text", "from": "user"}, {"type": "note", "from": "operator"}, {"type": "text", "from": "operator"}]
VISIT = [{"sender": {"t": "s"}, "msg": "Anna came"}, {"sender": {"t": "v"}}, {"sender": {"t": "a"}}]
EVENTS = [{"type": "chat.memberjoin"}, {"sender_type": "Visitor"}, {"sender_type": "Agent"}]
TRACKED = ["Summary", "Issue key", "Reporter", "Description", "Labels", "Labels", "Comment", "Comment"]
ANY = {"roles": {"Shop": "assistant", "*": "user"}}


def spoken(shapes: list[dict[str, Any]], key: str, said: list[str | None]) -> list[dict[str, Any]]:
    return [shape if text is None else {**shape, key: text} for shape, text in zip(shapes, said, strict=True)]


def comments(q: str, a: str) -> list[str]:
    return ["A question", "SUP-1", "anna", q, "lamp", "", f"12/Mar/26 10:00 AM;ben;{a}", "12/Mar/26 10:05 AM;anna;Thanks; bye."]


CASES: tuple[Case, ...] = (
    # help desks and trackers
    Case("issues.csv", raw_table(TRACKED, comments), Turns(FIRST)),
    Case("issues-without-comments.csv", raw_table(TRACKED[:4], lambda q, a: comments(q, a)[:4]), Refuses("without a comment")),
    Case("issues.json", json.dumps({"startAt": 0, "total": 6, "issues": [issue(q, a) for q, a in PAIRS]}), Turns(FIRST)),
    Case("issues-of-nodes.jsonl", lines(lambda q, a: issue(q, a, nodes)), Turns(FIRST)),
    Case("one-ticket.json", json.dumps(ticket(*PAIRS[0])), Turns(FIRST, 1)),
    Case("ticket-without-comments-first.json", json.dumps([{**ticket(*PAIRS[0]), "comments": []}, *(ticket(q, a) for q, a in PAIRS)]), Turns(FIRST), {"max_rejected": 0.2}),
    Case("inbox-list.json", json.dumps({"type": "list", "conversations": [inbox(q, a) for q, a in PAIRS]}), Turns(FIRST)),
    Case("threads.jsonl", lines(threaded), Turns(FIRST)),
    Case("mail-threads.jsonl", lines(lambda q, a: {"messages": [{"is_inbound": True, "text": q}, {"is_inbound": False, "body": f"<p>{a}</p>"}]}), Turns(FIRST)),
    Case("cases.jsonl", lines(lambda q, a: {"Description": q, "CaseComments": {"records": [{"CommentBody": "Ask Ben.", "IsPublished": False}, {"CommentBody": a, "IsPublished": True}]}}), Turns(FIRST)),
    Case("replies-alone.json", json.dumps([{"ticket_id": 1, "incoming": False, "private": False, "body": a} for _, a in PAIRS]), Refuses("a reply without its ticket")),
    Case("noted.jsonl", lines(lambda q, a: {"messages": spoken(NOTED, "content", [q, "Ask Ben.", a])}), Turns(FIRST)),
    Case("visits.jsonl", lines(lambda q, a: {"messages": spoken(VISIT, "msg", [None, q, a])}), Turns(FIRST)),
    Case("chat-events.jsonl", lines(lambda q, a: {"history": spoken(EVENTS, "msg", [None, q, a])}), Turns(FIRST)),
    Case("discussions.json", json.dumps([{"title": "x", "body": q, "author": {"login": "anna"}, "comments": [{"author": {"login": "ben"}, "body": a}]} for q, a in PAIRS]), Turns(FIRST)),
    Case("incidents.csv", table("number", "short_description", "description", "close_code", "close_notes", "work_notes", make=lambda q, a: ["1", "A question", q, "Solved", a, "Ask Ben."]), Asks(Turns(FIRST))),
    Case("page-and-text.jsonl", lines(lambda q, a: {"id": 1, "subject": q[:9], "description": f"<div>{q}</div>", "description_text": q, "status": 5}), Asks()),
    # messengers and channels
    Case("threads-of-channel.json", json.dumps(CHANNEL), Turns(FIRST), {"roles": {"U1": "user", "U2": "assistant"}}),
    Case("team.json", json.dumps({"value": team()}), Refuses("roles: {Anna: user, Shop: assistant}")),
    Case("team-said.json", json.dumps({"value": team()}), Turns((("user", PAIRS[-1][0]), ("assistant", PAIRS[-1][1]))), WHO),
    Case("guild.json", json.dumps(GUILD), Refuses("roles: {Anna: user, Shop: assistant}")),
    Case("guild-said.json", json.dumps(GUILD), SPOKEN, ANY),
    Case("history.json", json.dumps(HISTORY), SPOKEN, WHO),
    Case("all-histories.json", json.dumps({"about": "x", "chats": {"about": "y", "list": [HISTORY]}}, indent=1), SPOKEN, WHO),
    Case("friends.json", json.dumps(FRIENDS), PRICED, WHO),
    Case("mail.txt", MAIL, Refuses("it holds e-mails")),
    Case("mail.mbox", MAIL, Refuses("not read")),
)  # fmt: skip
