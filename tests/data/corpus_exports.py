"""The corpus' exports of other tools: messengers, help desks, annotation tools, model providers, spreadsheets."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.data.corpus import FIRST, PAIRS, WITH_SYSTEM, Asks, Case, Q, Refuses, S, Text, Turns, lines, oai, table, workbook

SPOKEN = Turns(tuple(turn for q, a in PAIRS for turn in (("user", q), ("assistant", a))), 1)
WHO = {"roles": {"Anna": "user", "Shop": "assistant"}}


def chat(line: str, *, first: str = "") -> str:
    """A messenger's export; `line` has {m} for a minute, {who} and {said}."""
    spoken = ((who, said) for q, a in PAIRS for who, said in (("Anna", q), ("Shop", a)))
    return first + "".join(
        line.format(m=f"{minute:02}", who=who, said=said) + "\n" for minute, (who, said) in enumerate(spoken)
    )


MESSENGERS = {
    "de": "12.03.24, 10:{m} - {who}: {said}",
    "us-apple": "\u200e[3/12/24, 1:{m}:05\u202fPM] {who}: {said}",
    "us-android": "3/12/24, 1:{m}\u202fpm - {who}: {said}",
    "es": "12/3/24, 10:{m} p. m. - {who}: {said}",
    "fr": "12/03/2024 à 10:{m} - {who}: {said}",
    "nl": "12-03-2024 10:{m} - {who}: {said}",
    "sv": "2024-03-12 10:{m} - {who}: {said}",
    "ko": "2024. 3. 12. 오후 1:{m}, {who} : {said}",
}
NOTICE = "12.03.24, 10:00 - Nachrichten sind Ende-zu-Ende-verschlüsselt.\n"
NUMBER = "+44 7700 900123"


def columnar(rows: list[dict[str, Any]]) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path / "rows.parquet")
        return path / "rows.parquet"

    return make


def ticket(q: str, a: str) -> dict[str, Any]:
    comments = [(1, True, q), (2, False, "Ask Ben."), (2, True, a)]
    return {
        "id": 7,
        "requester_id": 1,
        "comments": [{"author_id": who, "public": public, "body": said} for who, public, said in comments],
    }


def inbox(q: str, a: str) -> dict[str, Any]:
    parts = [
        {"part_type": "note", "author": {"type": "admin"}, "body": "<p>Ask Ben.</p>"},
        {"part_type": "comment", "author": {"type": "admin"}, "body": f"<p>{a}</p>"},
    ]
    return {
        "id": "7",
        "source": {"author": {"type": "user"}, "body": f"<p>{q}</p>"},
        "conversation_parts": {"conversation_parts": parts},
    }


def note_ticket(q: str, a: str) -> dict[str, Any]:
    notes = [{"body": "Ask Ben.", "incoming": False, "private": True}, {"body": a, "incoming": False, "private": False}]
    return {"helpdesk_ticket": {"display_id": 7, "description": q, "notes": [{"helpdesk_note": note} for note in notes]}}


def logged(q: str, a: str) -> dict[str, Any]:
    return {"request": {"model": "m", "messages": oai(q, a)[:1]}, "response": {"choices": [{"message": oai(q, a)[1]}]}}


def preferred(q: str, a: str) -> dict[str, Any]:
    return {"input": {"messages": oai(q, a)[:1]}, "preferred_output": oai(q, a)[1:], "non_preferred_output": oai(q, "No.")[1:]}


def contents(q: str, a: str, **part: Any) -> dict[str, Any]:
    said = [{"role": "user", "parts": [{"text": q}, *([part] if part else [])]}, {"role": "model", "parts": [{"text": a}]}]
    return {"systemInstruction": {"parts": [{"text": S}]}, "contents": said}


def annotated(q: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    result = [{"from_name": "answer", "to_name": "text", "type": kind, "value": value}]
    return {"id": 1, "data": {"text": q}, "annotations": [{"was_cancelled": True, "result": []}, {"result": result}]}


def reviewed(q: str, a: str) -> dict[str, Any]:
    return {
        "id": "1",
        "fields": {"prompt": q, "response": "Maybe."},
        "responses": {"corrected": [{"value": a, "user_id": "u"}]},
    }


def decided(q: str, answer: str = "accept") -> dict[str, Any]:
    options = [{"id": "r", "text": "repair"}, {"id": "s", "text": "sales"}]
    return {"text": q, "options": options, "accept": ["r"], "answer": answer, "_input_hash": 1, "_task_hash": 2}


def sheet(number_format: str, answer: Any) -> bytes:
    """A workbook whose answers are all one value, shown in a format."""
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(workbook(("S", [["question", "answer"], *([q, answer] for q in Q)]))))
    for row in range(2, len(Q) + 2):
        if number_format:
            book["S"].cell(row, 2).number_format = number_format
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def classes(path: Path) -> Path:
    """A file whose labels are numbers, with their names beside them, as `datasets` writes it."""
    import pyarrow
    import pyarrow.parquet

    features = {"label": {"names": ["sales", "repair"], "_type": "ClassLabel"}}
    rows = pyarrow.table({"text": Q, "label": [1] * len(Q)})
    rows = rows.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(rows, path / "rows.parquet")
    return path / "rows.parquet"


CALL = {"name": "price", "arguments": {"lamp": "Aria"}}
CHANNEL = [
    {"type": "message", "user": who, "text": said, "ts": f"{index}.1", "thread_ts": f"{index}.0"}
    for index, (q, a) in enumerate(PAIRS)
    for who, said in (("U1", q), ("U2", a))
]
REPAIR = Asks(Turns((FIRST[0], ("assistant", "repair"))))

CASES: tuple[Case, ...] = (
    *(Case(f"chat-{locale}.txt", chat(line), SPOKEN, WHO) for locale, line in MESSENGERS.items()),
    Case("chat-notice.txt", chat(MESSENGERS["de"], first=NOTICE), SPOKEN, WHO),
    Case("chat-pictures.txt", chat(MESSENGERS["de"] + "\n12.03.24, 10:{m} - {who}: <Medien ausgeschlossen>"), SPOKEN, WHO),
    Case("chat-number.txt", chat(MESSENGERS["de"]).replace("Anna", f"\u202a{NUMBER}\u202c"), Refuses(f'roles: {{"{NUMBER}": user')),
    Case("chat-number-said.txt", chat(MESSENGERS["de"]).replace("Anna", NUMBER), SPOKEN, {"roles": {NUMBER: "user", "Shop": "assistant"}}),
    # help desks and channels
    Case("tickets.json", json.dumps({"tickets": [ticket(q, a) for q, a in PAIRS], "count": 6}), Turns(FIRST)),
    Case("inbox.jsonl", lines(inbox), Turns(FIRST)),
    Case("note-tickets.json", json.dumps([note_ticket(q, a) for q, a in PAIRS]), Turns(FIRST)),
    Case("channel.json", json.dumps(CHANNEL), Refuses("roles: {U1: user, U2: assistant}")),
    Case("channel-said.json", json.dumps(CHANNEL), Turns(FIRST), {"roles": {"U1": "user", "U2": "assistant"}}),
    # annotation tools
    Case("annotated.json", json.dumps([annotated(q, "textarea", {"text": [a]}) for q, a in PAIRS]), Asks(Turns(FIRST))),
    Case("annotated-choices.json", json.dumps([annotated(q, "choices", {"choices": ["repair"]}) for q, _ in PAIRS]), REPAIR),
    Case("annotated-spans.json", json.dumps([annotated(q, "labels", {"start": 0, "end": 3, "labels": ["X"]}) for q, _ in PAIRS]), Refuses("a marked span")),
    Case("reviewed.jsonl", lines(reviewed), Asks(Turns(FIRST))),
    Case("reviewed.csv", table("id", "prompt", "response", "corrected.responses", make=lambda q, a: [1, q, "Maybe.", a]), Asks(Turns(FIRST))),
    Case("decided.jsonl", lines(lambda q, _: decided(q)), REPAIR),
    Case("decided-rejected.jsonl", lines(lambda q, _: decided(q, "reject")), Refuses("marked as reject")),
    Case("span-lists.jsonl", lines(lambda q, a: {"text": q, "label": [[0, 3, "X"]]}), Asks(Text(Q[0]))),
    # providers' own formats
    Case("logged.jsonl", lines(logged), Turns(FIRST)),
    Case("batch-questions.jsonl", lines(lambda q, a: {"custom_id": "1", "body": logged(q, a)["request"]}), Refuses("without its answer")),
    Case("batch-answers.jsonl", lines(lambda q, a: {"custom_id": "1", "response": {"body": logged(q, a)["response"]}}), Refuses("without its question")),
    Case("preferred-output.jsonl", lines(preferred), Turns(FIRST)),
    Case("contents.jsonl", lines(contents), Turns(WITH_SYSTEM)),
    Case("contents-picture.jsonl", lines(lambda q, a: contents(q, a, inlineData={"data": "x"})), Refuses("not only text")),
    Case("columns-of-turns.parquet", columnar([{"turns": {"role": ["user", "assistant"], "content": [q, a]}} for q, a in PAIRS]), Turns(FIRST)),
    Case("chat-tilde.txt", chat(MESSENGERS["us-apple"]).replace("Anna", "~\u202fAnna 🌸"), SPOKEN, {"roles": {"~ Anna 🌸": "user", "Shop": "assistant"}}),
    # rows that are none, or not for training
    Case("one-text.json", '"hello"', Refuses("a single text")),
    Case("names-again.csv", table("question", "answer") * 2, Turns(FIRST, 12)),
    Case("split-column.csv", table("question", "answer", "split", make=lambda q, a: [q, a, "test" if q in Q[3:] else "train"]), Turns(FIRST, 3)),
    Case("all-for-test.csv", table("question", "answer", "split", make=lambda q, a: [q, a, "test"]), Turns(FIRST)),
    Case("row-weights.jsonl", lines(lambda q, a: {"question": q, "answer": a, "weight": 0.0 if q in Q[3:] else 1.0}), Turns(FIRST, 3)),
    # values that would lose their meaning
    Case("percent.xlsx", sheet("0%", 0.19), Turns((FIRST[0], ("assistant", "19%")))),
    Case("dates.xlsx", sheet("", datetime.datetime(2026, 3, 1)), Turns((FIRST[0], ("assistant", "2026-03-01")))),
    Case("groups-of-columns.xlsx", workbook(("S", [["Customer", None, "Shop"], ["question", "channel", "answer"], *([q, "mail", a] for q, a in PAIRS)])), Refuses("header_row: 2")),
    Case("classes.parquet", classes, Asks(Turns((FIRST[0], ("assistant", "repair"))))),
    Case("tool-calls-as-text.jsonl", lines(lambda q, a: {"query": q, "answers": json.dumps([CALL]), "tools": json.dumps([{"name": "price"}])}), Turns((FIRST[0], ("assistant", "")))),
    Case("python-objects.jsonl", "".join(f"{{'question': {q!r}, 'answer': {a!r}}}\n" for q, a in PAIRS), Turns(FIRST)),
    Case("python-lists.csv", table("conversation", "id", make=lambda q, a: [str(oai(q, a)), 1]), Turns(FIRST)),
    Case("array-of-objects.csv", table("conversation", "id", make=lambda q, a: [str(oai(q, a)).replace("}, {", "}\n {"), 1]), Turns(FIRST)),
    # texts that are tables, or nothing to learn
    Case("table.html", "<table>" + "".join(f"<tr><td>{q}</td><td>{a}</td></tr>" for q, a in (("question", "answer"), *PAIRS)) + "</table>", Turns(FIRST)),
    Case("table.md", "| question | answer |\n|---|---|\n" + "".join(f"| {q} | {a} |\n" for q, a in PAIRS), Turns(FIRST)),
    Case("commas.txt", table("question", "answer"), Turns(FIRST)),
    Case("subtitles.txt", "".join(f"{i}\n00:00:0{i},000 --> 00:00:0{i},900\n{q}\n\n" for i, q in enumerate(Q, 1)), Refuses("subtitles")),
    Case("tagged-words.txt", "Aria NNP B-ORG\nlamps NNS O\n\n" * 9, Refuses("a word and its tag")),
    # advice that used to lead astray
    Case("tickets.csv", table("Ticket ID", "Requester", "Description", "Agent", "Resolution", make=lambda q, a: [1, "anna@example.com", q, "Ben", a]), Asks(Turns(FIRST))),
    Case("numbered-messages.jsonl", lines(lambda q, a: {"role_1": "Doctor", "topic": "x", "message_1": q, "message_2": a}), Asks(Turns(FIRST))),
    Case("two-languages.csv", table("question_de", "question_en", "answer_en", "answer_de", make=lambda q, a: [q, "What?", "No.", a]), Asks(Turns(FIRST))),
    Case("source-target.csv", table("source", "target", "lang", make=lambda q, a: [q, a, "de"]), Asks(Turns(FIRST))),
    Case("empty-row.json", "{}", Refuses("empty")),
)  # fmt: skip
