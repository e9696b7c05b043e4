"""The corpus' files that are damaged, oddly written, packed twice, or hold letters that readers stumble over."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from tests.data.corpus import FIRST, PAIRS, A, Asks, Case, Q, Refuses, Text, Turns, archive, lines, table, workbook
from tests.data.corpus_exports import columnar

LINES = lines(lambda q, a: {"question": q, "answer": a})
TABLE = table("question", "answer")
MARK = "\ufeff"


def answered(first: str, rows: int = 6, question: str = Q[0]) -> Turns:
    return Turns((("user", question), ("assistant", first)), rows)


def unpicked(row: list[Any], merged: str) -> bytes:
    """A workbook with a column of merged cells."""
    import openpyxl

    book = openpyxl.load_workbook(
        io.BytesIO(workbook(("S", [row, *([None if i else "lamps", q, a] for i, (q, a) in enumerate(PAIRS))])))
    )
    book["S"].merge_cells(merged)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def database(path: Path) -> Path:
    import sqlite3

    with sqlite3.connect(path / "rows.csv") as rows:
        rows.execute("create table rows (question, answer)")
        rows.executemany("insert into rows values (?, ?)", PAIRS)
    rows.close()
    return path / "rows.csv"


def of_archive(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as parts:
        parts.writestr(name, archive(rows__csv=TABLE))
    return out.getvalue()


CASES: tuple[Case, ...] = (
    Case("nan-by-python.jsonl", lines(lambda q, a: {"question": q, "answer": a, "score": float("nan"), "weight_of": float("inf")}), Turns(FIRST)),
    Case("nan-by-python.json", json.dumps([{"question": q, "answer": a, "score": float("nan")} for q, a in PAIRS]), Turns(FIRST)),
    Case("nan-for-answers.jsonl", lines(lambda q, a: {"question": q, "answer": float("nan")}), Refuses("missing answer")),
    # put together, cut, mixed
    Case("one-below-the-other.csv", (MARK + TABLE) * 2, Turns(FIRST, 12)),
    Case("one-below-the-other.jsonl", (MARK + LINES) * 2, Turns(FIRST, 12)),
    Case("mark-inside.csv", table("question", "answer", make=lambda q, a: [q, f"{a}\n{MARK}."]), answered(f"{A[0]}\n{MARK}.")),
    Case("mixed-ends.csv", TABLE.replace("\n", "\r\n", 3), Turns(FIRST)),
    Case("old-ends.csv", TABLE.replace("\n", "\r"), Turns(FIRST)),
    Case("zero-inside.csv", TABLE.replace("Aria", "A\0"), answered(A[0], question=Q[0].replace("Aria", "A\0"))),
    Case("zeros-at-the-end.csv", TABLE + "\0" * 200, Refuses("control bytes")),
    Case("footer.jsonl", LINES + "\n\n   \n", Turns(FIRST)),
    Case("half-a-letter.jsonl", LINES.replace("Aria", "\\ud83d"), Turns((("user", Q[1]), ("assistant", A[1])), 5), {"max_rejected": 0.2}),
    # column names
    Case("same-name.csv", table("question", "answer", "answer", make=lambda q, a: [q, a, "No."]), Refuses("both called")),
    Case("nearly-same-name.csv", table("question", "Answer", "answer", make=lambda q, a: [q, a, "No."]), Asks(Turns(FIRST))),
    Case("commented.csv", "# exported\n# by Anna\n" + TABLE, Refuses("header_row: 3")),
    Case("commented-said.csv", "# exported\n# by Anna\n" + TABLE, Turns(FIRST), {"header_row": 3}),
    Case("commented-names.csv", "#" + TABLE.replace('"', "", 4), Turns(FIRST)),
    Case("one-column.csv", "text\n" + "".join(f'"{q}"\n' for q in Q), Text(Q[0])),
    # delimiters and quotes
    Case("spaces-before-quotes.csv", "question, answer\n" + "".join(f'"{q}", "{a}"\n' for q, a in PAIRS), Turns(FIRST)),
    Case("tildes.csv", "question~answer\n" + "".join(f"{q}~{a}\n" for q, a in PAIRS), Refuses("parted by `~`")),
    Case("wide-commas.csv", "question，answer\n" + "".join(f"{q}，{a}\n" for q, a in PAIRS), Refuses("parted by `，`")),
    Case("commas-between-semicolons.csv", "question;answer\n" + "".join(f"Well, {q};5,{i}0\n" for i, q in enumerate(Q)), answered("5,00", question=f"Well, {Q[0]}")),
    Case("lines-in-quotes.csv", table("question", "answer", make=lambda q, a: [q, f'{a}\n\n"More", it says.\n']), answered(f'{A[0]}\n\n"More", it says.\n')),
    Case("backslashes.csv", "question,answer\n" + "".join(f'"{q}","It says \\"{a}\\""\n' for q, a in PAIRS), Refuses("must be doubled")),
    # values
    Case("leading-zeros.csv", table("question", "answer", make=lambda q, a: [q, "0049"]), answered("0049")),
    Case("leading-zeros.xlsx", workbook(("S", [["question", "answer"], *([q, "0049"] for q in Q)])), answered("0049")),
    Case("formulas.xlsx", workbook(("S", [["question", "answer"], *([q, f'=CONCATENATE("{a}","")'] for q, a in PAIRS)])), Refuses("missing answer")),
    Case("escaped-ends.xlsx", workbook(("S", [["question", "answer"], *([q, f"{a}_x000D_\nMore."] for q, a in PAIRS)])), answered(f"{A[0]}\r\nMore.")),
    Case("merged-topics.xlsx", unpicked(["topic", "question", "answer"], "A2:A7"), Turns(FIRST)),
    Case("json-in-cells.csv", table("data", "id", make=lambda q, a: [json.dumps({"question": q, "answer": a}), 1]), Asks(Turns(FIRST))),
    Case("tags-in-cells.csv", table("question", "answer", make=lambda q, a: [q, f"<p>{a}</p><br>"]), answered(f"<p>{A[0]}</p><br>")),
    Case("numbers-that-are-none.jsonl", LINES.replace(f'"{A[0]}"', "NaN"), Turns((("user", Q[1]), ("assistant", A[1])), 5), {"max_rejected": 0.2}),
    Case("pairs-in-lists.json", json.dumps(PAIRS), Asks(Turns(FIRST))),
    Case("lists-of-structs.parquet", columnar([{"id": 1, "messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in PAIRS]), Turns(FIRST)),
    Case("bytes.parquet", columnar([{"question": q.encode(), "answer": a.encode()} for q, a in PAIRS]), Refuses("wrong type")),
    # letters
    Case("no-mark-16.csv", TABLE.encode("utf-16-le"), Turns(FIRST)),
    Case("no-mark-16.jsonl", LINES.encode("utf-16-be"), Turns(FIRST)),
    Case("from-right-to-left.csv", table("question", "answer", make=lambda q, a: ["\u202bכמה זה עולה?\u202c", "חמישים שקל."]), Turns((("user", "\u202bכמה זה עולה?\u202c"), ("assistant", "חמישים שקל.")))),
    Case("joined-pictures.jsonl", lines(lambda q, a: {"question": q, "answer": f"{a} 👨\u200d👩\u200d👧 🏳️\u200d🌈 👍🏽"}), answered(f"{A[0]} 👨\u200d👩\u200d👧 🏳️\u200d🌈 👍🏽")),
    Case("western.csv", ("Frage;Antwort\r\n" + "".join(f"Größe: {q};„{a}“ – 5 €\r\n" for q, a in PAIRS)).encode("cp1252"), answered(f"„{A[0]}“ – 5 €", question=f"Größe: {Q[0]}")),
    # packed
    Case("rows.csv.gz", gzip.compress(archive(rows__csv=TABLE)), Refuses("is a zip archive")),
    Case("twice.jsonl.gz", gzip.compress(gzip.compress(LINES.encode())), Refuses("is a gzip file")),
    Case("nested.zip", of_archive("inner.zip"), Refuses("the archive holds an archive")),
    Case("database", database, Refuses("is a database")),
    Case("printed.pdf", b"%PDF-1.7\n", Refuses("studio documents add")),
)  # fmt: skip
