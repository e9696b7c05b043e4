"""The corpus' tables with lines above their names, with one message a row, with marks of good and bad rows, and lists of texts."""

from __future__ import annotations

import json
from typing import Any

from tests.data.corpus import (
    CHOSEN,
    FIRST,
    OPTIONS,
    PAIRS,
    A,
    Asks,
    Case,
    Q,
    Refuses,
    Text,
    Turns,
    lines,
    oai,
    table,
    workbook,
)

LINE = table("question", "answer")
EVEN = Turns((("user", Q[1]), ("assistant", A[1])), 3)
ODD = Turns(FIRST, 3)
ABOUT = ("Ticket Number", "Date Created", "Subject", "From Email", "Priority", "Department", "Help Topic", "Current Status")
POST = ("tweet_id", "author_id", "inbound", "text", "response_tweet_id", "in_response_to_tweet_id")


def messages(names: tuple[str, ...], *shapes: tuple[Any, ...]) -> str:
    """A table with the messages of each conversation one below the other; `{n}`, `{q}` and `{a}` stand for what differs."""
    rows = [
        [cell.format(n=n, q=q, a=a) if isinstance(cell, str) else cell for cell in shape]
        for n, (q, a) in enumerate(PAIRS, 1)
        for shape in shapes
    ]
    return "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in [list(names), *rows])


def newest_first(late: str, early: str) -> str:
    """A table with three messages a conversation, the newest first; the two newest at the same time."""
    shapes = (("{n}", "customer", late, "Thanks."), ("{n}", "agent", late, "{a}"), ("{n}", "customer", early, "{q}"))
    return messages(("ticket_id", "sender", "date", "message"), *shapes)


TIMES = (
    ("months-first", "11/13/2025 3:14 PM", "11/12/2025 10:02 AM"),
    ("days-first", "13/11/2025 15:14", "12/11/2025 15:02"),
    ("either-way", "12/11/2025 15:14", "12/11/2025 10:02"),
    ("dots", "02.12.2025 15.14", "11.11.2025 20.02"),
    ("names", "Dec 2, 2025 3:14 PM", "Nov 12, 2025 10:02 PM"),
    ("long-names", "2 décembre 2025 à 15h14", "12 novembre 2025 à 20h02"),
    ("mail", "Tue, 02 Dec 2025 01:14:00 +0100", "Tue, 02 Dec 2025 00:02:00 +0000"),
    ("seconds", "1762960440", "1762941720"),
    ("milliseconds", "1762960440123", "1762941720456"),
    ("clocks", "00:01:10", "0:00:05"),
)


def alternating(i: int, q: str, a: str) -> dict[str, Any]:
    return {"question": q, "answer": a, "mark": bool(i % 2)}


def marked(name: str) -> str:
    rows = [alternating(i, q, a) for i, (q, a) in enumerate(PAIRS)]
    return "".join(json.dumps({**row, name: row.pop("mark")}) + "\n" for row in rows)


CASES: tuple[Case, ...] = (
    # lines above the names
    Case("a-title.csv", "FAQ export 2026\n" + LINE, Refuses("header_row: 2")),
    Case("above-with-commas.csv", "Export of May, by Anna\nShop: Lumen, Berlin\n\n" + LINE, Refuses("header_row: 4")),
    Case("above-with-commas-said.csv", "Export of May, by Anna\nShop: Lumen, Berlin\n\n" + LINE, Turns(FIRST), {"header_row": 4}),
    Case("above-padded.csv", "Export of May,\nby Anna,\n,\n" + LINE, Refuses("header_row: 4")),
    Case("above-with-colons.csv", "Report: tickets\nMade: 10:00\nRows: 6\n" + table("question", "answer", delimiter=";"), Refuses("header_row: 4")),
    Case("above-names-and-values.csv", "Report,Tickets\nMade,2026-05-01\n" + table("id", "question", "answer", make=lambda q, a: [1, q, a]), Refuses("header_row: 3")),
    Case("above-names-and-values.xlsx", workbook(("S", [["Report", "Tickets"], ["Made", "May"], ["id", "question", "answer"], *([1, q, a] for q, a in PAIRS)])), Refuses("header_row: 3")),
    Case("lines-in-quotes-as-a-whole.csv", '"question,answer"\n' + "".join(f'"{q},""{a}"""\n' for q, a in PAIRS), Refuses("in quotes as a whole")),
    Case("form.csv", table("Timestamp", "What is asked?", "What do we say?", "Who are you?", make=lambda q, a: ["May", q, a, "Ben"]), Refuses('question: "What is asked?"')),
    # a message a row
    Case("a-message-a-row.csv", messages(("conversation_id", "sender", "message"), ("{n}", "customer", "{q}"), ("{n}", "agent", "{a}")), Turns(FIRST)),
    Case("thread-entries.csv", messages(("thread_id", "type", "poster", "body"), ("{n}", "M", "Anna", "{q}"), ("{n}", "N", "Ben", "Ask Carl."), ("{n}", "R", "Ben", "{a}")), Turns(FIRST)),
    Case("newest-first.csv", messages(("ticket_id", "author", "created_at", "text", "is_private"), ("{n}", "ben", "2026-05-01T12:00", "{a}", 0), ("{n}", "carl", "2026-05-01T11:00", "Ask Ben.", 1), ("{n}", "anna", "2026-05-01T10:00", "{q}", 0)), Turns(FIRST), {"roles": {"anna": "user", "ben": "assistant"}}),
    *(Case(f"newest-first-{name}.csv", newest_first(late, early), Turns(FIRST)) for name, late, early in TIMES),
    Case("newest-first-unclear.csv", newest_first("12/11/2025 15:14", "11/12/2025 10:02"), Refuses("message_order: day_first")),
    Case("newest-first-day-said.csv", newest_first("11/12/2025 15:14", "12/11/2025 10:02"), Turns(FIRST), {"message_order": "day_first"}),
    Case("newest-first-month-said.csv", newest_first("12/11/2025 15:14", "11/12/2025 10:02"), Turns(FIRST), {"message_order": "month_first"}),
    Case("newest-first-in-words.csv", newest_first("today", "yesterday"), Refuses("message_order: as_written")),
    Case("newest-first-said.csv", newest_first("today", "yesterday"), Turns(FIRST), {"message_order": "newest_first"}),
    Case("newest-first-day-and-time.csv", messages(("ticket_id", "sender", "date", "time", "text"), ("{n}", "agent", "11/12/2025", "15:14", "{a}"), ("{n}", "customer", "11/12/2025", "9:14", "{q}")), Turns(FIRST)),
    Case("newest-first-in-a-list.jsonl", lines(lambda q, a: {"messages": [{**turn, "timestamp": 9 - n} for n, turn in enumerate(reversed(oai(q, a)))]}), Turns(FIRST)),
    Case("newest-first-channel.json", json.dumps([{"type": "message", "user": user, "text": text, "ts": f"{n}{end}.1", "thread_ts": f"{n}0.1"} for n, (q, a) in enumerate(PAIRS, 1) for user, text, end in (("bot", a, 9), ("user", q, 0))]), Turns(FIRST)),
    Case("newest-first-chat.txt", "".join(f"[13/11/2025, 1{n}:{at}:01] {who}: {text}\n" for n, (q, a) in reversed(list(enumerate(PAIRS))) for at, who, text in ((40, "Bot", a), (20, "User", q))), Turns(tuple(turn for q, a in PAIRS for turn in (("user", q), ("assistant", a))), 1)),
    Case("nachrichten.csv", messages(("Ticketnummer", "Absender", "Datum", "Nachricht"), ("{n}", "Support", "03.02.2026 10:05", "{a}"), ("{n}", "Kunde", "03.02.2026 10:00", "{q}")), Turns(FIRST)),
    Case("mensajes.csv", messages(("Caso", "Remitente", "Fecha y hora", "Mensaje"), ("{n}", "agente", "2026-02-03 10:05", "{a}"), ("{n}", "cliente", "2026-02-03 10:00", "{q}")), Turns(FIRST)),
    Case("echanges.csv", messages(("Numéro de dossier", "Auteur", "Contenu"), ("{n}", "client", "{q}"), ("{n}", "conseiller", "{a}")), Turns(FIRST)),
    Case("nobody-known.csv", messages(("ticket_id", "author", "text"), ("{n}", "anna", "{q}"), ("{n}", "ben", "{a}")), Refuses("roles: {anna: user, ben: assistant}")),
    Case("in-and-out.csv", messages(("Conversation ID", "Direction", "Text"), ("{n}", "Inbound", "{q}"), ("{n}", "Outbound", "{a}")), Turns(FIRST)),
    Case("turn-numbers.csv", messages(("dialogue_id", "turn_id", "speaker", "utterance"), ("{n}", 2, "bot", "{a}"), ("{n}", 1, "user", "{q}")), Turns(FIRST)),
    Case("posts-that-answer.csv", messages(POST, ("1{n}", "7", "True", "{q}", "2{n}", ""), ("2{n}", "Shop", "False", "{a}", "", "1{n}")), Turns(FIRST)),
    Case("answered-messages.csv", messages(("ticket_id", "sender", "message", "response"), (7, "anna", "{q}", "{a}")), Asks(Turns(FIRST))),
    Case("a-message-a-row-as-text.csv", messages(("thread", "author", "text"), (7, "anna", "{q}"), (7, "ben", "{a}")), Text(Q[0], 12), {"format": "text"}),
    Case("loose-messages.jsonl", lines(lambda q, a: {"role": "user" if q in Q[::2] else "assistant", "content": q}), Refuses("belong together")),
    Case("flagged-messages.jsonl", lines(lambda q, a: {"messages": [{"from_customer": True, "text": q}, {"from_customer": False, "text": a}]}), Turns(FIRST)),
    # tickets
    Case("tickets-without-messages.csv", table(*ABOUT, make=lambda q, a: [1, "2026-05-01", "A question", "a@example.com", "Low", "Help", "Feedback", "Closed"]), Refuses("without their messages")),
    Case("tickets-with-messages.csv", table("Ticket Number", "Subject", "Help Topic", "Message", "Response", make=lambda q, a: [1, "A question", "Feedback", q, a]), Asks(Turns(FIRST))),
    # marks of good and bad rows
    Case("is-correct.jsonl", marked("is_correct"), EVEN),
    Case("deleted.jsonl", marked("deleted"), ODD),
    Case("rejected-flag.jsonl", marked("rejected"), ODD),
    # several answers
    Case("scored-answers.jsonl", lines(lambda q, a: {"question": q, "answers": [{"text": "No.", "score": 1}, {"text": a, "score": 9}]}), Refuses("a score each")),
    Case("scored-passages.jsonl", lines(lambda q, a: {"question": q, "answer": a, "passages": [{"text": "x", "score": 1}, {"text": "y", "score": 2}]}), Turns(FIRST)),
    Case("in-two-languages.jsonl", lines(lambda q, a: {"question": {"en": q, "de": "Was?"}, "answer": {"en": a, "de": "Nein."}}), Asks(None)),
    Case("choices-beside-scores.jsonl", lines(lambda q, a: {"question": Q[0], "choices": OPTIONS, "answer": 1, "score": 2}), Turns((("user", CHOSEN), ("assistant", "B. 24 months")))),
    # texts
    Case("faq-in-paragraphs.txt", "".join(f"{n}. {q}\n{a}\n\n" for n, (q, a) in enumerate(PAIRS, 1)), Turns(FIRST)),
    Case("faq-with-gaps.txt", "".join(f"{n}) {q}\n\n{a}\n\n" for n, (q, a) in enumerate(PAIRS, 1)), Turns(FIRST)),
    Case("story.txt", "Who is there?\n\nNobody was.\n\nShe went in.\n\nWhat now?\n\nNothing moved.", Text("Who is there?\n\nNobody was.\n\nShe went in.\n\nWhat now?\n\nNothing moved.", 1)),
    Case("german-speakers.txt", "".join(f"Kunde: {q}\nBerater: {a}\n\n" for q, a in PAIRS), Turns(FIRST)),
    Case("two-names.txt", "".join(f"Doctor Smith: {q}\nMaria: {a}\n" for q, a in PAIRS), Refuses("roles: {Doctor Smith: user")),
    Case("commented.json", "// export\n" + json.dumps([{"question": q, "answer": a} for q, a in PAIRS]), Refuses("begins with a comment")),
)  # fmt: skip
