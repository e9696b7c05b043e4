"""A corpus of small data files in the shapes people have them in, and what each must be read as. Written for these tests.

`CASES` is the table. An answer is `Turns` (the first row's turns and the number of rows), `Text` (the first passage and the
number), `Asks` (it must be asked; the first choice, followed to the letter, gives the turns), or `Refuses` (with words that
must be in what is said).
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.data.files import json_lines

Q = [
    "How long is the warranty of the Aria lamp?",
    "What is the Brio kettle made of?",
    "Can I return a mirror?",
    "Where is the Celia clock made?",
    "How much is the Dora chair?",
    "Do you deliver on Saturdays?",
]
A = [
    "It is 24 months.",
    "It is made of steel.",
    "Yes, within 30 days.",
    "It is made in Spain.",
    "It costs 80 euro.",
    "Yes, before noon.",
]
S = "Answer in one sentence."
PAIRS = list(zip(Q, A, strict=True))
FIRST = (("user", Q[0]), ("assistant", A[0]))
WITH_SYSTEM = (("system", S), *FIRST)
LONG = (("user", Q[0]), ("assistant", A[0]), ("user", Q[1]), ("assistant", A[1]))


@dataclass(frozen=True)
class Turns:
    first: tuple[tuple[str, str], ...]
    rows: int = 6


@dataclass(frozen=True)
class Text:
    first: str
    rows: int = 6


@dataclass(frozen=True)
class Asks:
    """then: what following the first choice gives; None if it may not be followed further than to a refusal."""

    then: Turns | Text | None = None


@dataclass(frozen=True)
class Refuses:
    words: str


Answer: TypeAlias = Turns | Text | Asks | Refuses


@dataclass(frozen=True)
class Case:
    name: str
    content: str | bytes | Callable[[Path], Path]
    answer: Answer
    settings: dict[str, Any] = field(default_factory=dict)


def lines(make: Callable[[str, str], dict[str, Any]]) -> str:
    return json_lines(make(q, a) for q, a in PAIRS)


def table(*names: str, delimiter: str = ",", make: Callable[[str, str], list[Any]] = lambda q, a: [q, a]) -> str:
    rows = [list(names), *(make(q, a) for q, a in PAIRS)]
    return "".join(delimiter.join('"' + str(cell).replace('"', '""') + '"' for cell in row) + "\n" for row in rows)


def oai(q: str, a: str, user: str = "user", bot: str = "assistant") -> list[dict[str, Any]]:
    return [{"role": user, "content": q}, {"role": bot, "content": a}]


def gpt(q: str, a: str, user: str = "human", bot: str = "gpt") -> list[dict[str, Any]]:
    return [{"from": user, "value": q}, {"from": bot, "value": a}]


def two(make: Callable[..., list[dict[str, Any]]], **names: str) -> list[dict[str, Any]]:
    return [*make(Q[0], A[0], **names), *make(Q[1], A[1], **names)]


def workbook(*sheets: tuple[str, list[list[Any]]]) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    assert book.active is not None
    book.remove(book.active)
    for title, rows in sheets:
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def word(*paragraphs: tuple[str, str], cells: list[list[str]] | None = None) -> bytes:
    """A Word document of paragraphs (style, text) and perhaps a table."""
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    body = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>' for style, text in paragraphs
    )
    for row in cells or ():
        body += "<w:tr>" + "".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in row) + "</w:tr>"
    if cells:
        start = body.index("<w:tr>")
        body = f"{body[:start]}<w:tbl>{body[start:]}</w:tbl>"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as parts:
        parts.writestr("word/document.xml", f"<w:document {space}><w:body>{body}</w:body></w:document>")
    return out.getvalue()


def archive(**members: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as parts:
        for name, content in members.items():
            parts.writestr(name.replace("__", "."), content)
    return out.getvalue()


def folder(**members: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        for name, content in members.items():
            (path / "set").mkdir(parents=True, exist_ok=True)
            (path / "set" / name.replace("__", ".")).write_text(content, encoding="utf-8")
        return path / "set"

    return make


def columnar(kind: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        import pyarrow

        rows = pyarrow.Table.from_pylist([{"question": q, "answer": a} for q, a in PAIRS])
        target = path / f"rows.{kind}"
        if kind == "orc":
            import pyarrow.orc

            pyarrow.orc.write_table(rows, str(target))
        elif kind == "feather":
            import pyarrow.feather

            pyarrow.feather.write_feather(rows, str(target))
        elif kind == "parquet":
            import pyarrow.parquet

            pyarrow.parquet.write_table(rows, target)
        elif kind == "arrow":
            import pyarrow.ipc

            with pyarrow.ipc.new_stream(str(target), rows.schema) as out:
                out.write_table(rows)
        else:
            import datasets

            saved = datasets.Dataset(rows)
            (datasets.DatasetDict({"train": saved, "test": saved}) if kind == "dict" else saved).save_to_disk(str(target))
        return target

    return make


def packed(kind: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        import bz2
        import lzma

        import pyarrow

        content = lines(lambda q, a: {"question": q, "answer": a}).encode()
        target = path / f"rows.jsonl.{kind}"
        made = {"bz2": bz2.compress, "xz": lzma.compress, "zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True)}
        target.write_bytes(made[kind](content))
        return target

    return make


def reply(role: str, text: str, *replies: dict[str, Any]) -> dict[str, Any]:
    return {"text": text, "role": role, "replies": list(replies)}


def node(key: str, parent: str | None, role: str, text: str, *children: str) -> dict[str, Any]:
    message = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}}
    return {"id": key, "parent": parent, "children": list(children), "message": message}


CHATML = "<|im_start|>user\n{q}<|im_end|>\n<|im_start|>assistant\n{a}<|im_end|>\n"
INST = "<s>[INST] {q} [/INST] {a} </s>"
LLAMA3 = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{q}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{a}<|eot_id|>"
)
GEMMA = "<bos><start_of_turn>user\n{q}<end_of_turn>\n<start_of_turn>model\n{a}<end_of_turn>\n"
ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{q}\n\n### Response:\n{a}"
)
PASSAGE = "The Aria lamp is made of oak and glass, and the Brio kettle of steel. Both have a warranty of two years."
MARKDOWN_FAQ = "# Help\n\n" + "".join(f"## {q}\n\n{a}\n\n" for q, a in PAIRS)
HTML_FAQ = (
    "<html><head><title>Help</title><script>var x=1</script></head><body><nav><a>Home</a></nav>"
    + "".join(f"<h3>{q}</h3><p>{a}</p>" for q, a in PAIRS)
    + "<footer>Imprint</footer></body></html>"
)
SQUAD = {"version": "1", "data": [{"title": "Lamps", "paragraphs": [{"context": "Shop.", "qas": [
    {"id": str(i), "question": q, "answers": [{"text": a, "answer_start": 0}]} for i, (q, a) in enumerate(PAIRS)]}]}]}  # fmt: skip
IN_SHOP = (("user", f"Shop.\n\n{Q[0]}"), ("assistant", A[0]))
OPTIONS = ["blue", "24 months", "steel"]
CHOSEN = f"{Q[0]}\n\nA. blue\nB. 24 months\nC. steel"
WHATSAPP = "".join(
    f"[12/03/24, 10:{i:02}:01] Anna: {q}\n[12/03/24, 10:{i:02}:30] Shop: {a}\n" for i, (q, a) in enumerate(PAIRS)
)

CASES: tuple[Case, ...] = (
    # questions and answers by many names
    Case("question-answer.jsonl", lines(lambda q, a: {"question": q, "answer": a}), Turns(FIRST)),
    Case("capital-names.csv", table("Question", "Answer"), Turns(FIRST)),
    Case("german-names.csv", table("Frage", "Antwort", delimiter=";"), Turns(FIRST)),
    Case("tabs.tsv", table("query", "response", delimiter="\t"), Turns(FIRST)),
    Case("bars.csv", table("input", "output", delimiter="|"), Turns(FIRST)),
    Case("plural-columns.csv", table("questions", "answers"), Turns(FIRST)),
    Case("prompt-response.jsonl", lines(lambda q, a: {"prompt": q, "response": a}), Turns(FIRST)),
    Case("with-context.jsonl", lines(lambda q, a: {"context": "Shop.", "question": q, "answer": a}), Turns(IN_SHOP)),
    Case("with-system.jsonl", lines(lambda q, a: {"system": S, "question": q, "answer": a}), Turns(WITH_SYSTEM)),
    Case("with-history.jsonl", lines(lambda q, a: {"history": [[Q[1], A[1]]], "query": q, "response": a}),
         Turns((("user", Q[1]), ("assistant", A[1]), *FIRST))),
    Case("with-id-and-url.csv", table("id", "url", "question", "answer", make=lambda q, a: [1, "http://x", q, a]), Turns(FIRST)),
    Case("excel.xlsx", workbook(("Sheet1", [["question", "answer"], *map(list, PAIRS)])), Turns(FIRST)),
    Case("note-sheet-first.xlsx", workbook(("Notes", [["made in May"]]), ("Data", [["question", "answer"], *map(list, PAIRS)])), Turns(FIRST)),
    Case("second-sheet.xlsx", workbook(("One", [["id", "day"], [1, 2]]), ("Two", [["question", "answer"], *map(list, PAIRS)])), Turns(FIRST), {"sheet": "Two"}),
    Case("title-row.xlsx", workbook(("S", [["FAQ 2026"], [], ["question", "answer"], *map(list, PAIRS)])), Refuses("header_row: 3")),
    Case("title-row-said.xlsx", workbook(("S", [["FAQ 2026"], [], ["question", "answer"], *map(list, PAIRS)])), Turns(FIRST), {"header_row": 3}),
    Case("preamble.csv", "Export of May\nby Anna\n\n" + table("question", "answer", delimiter=";").replace('"', ""), Refuses("header_row: 4")),
    Case("preamble-said.csv", "Export of May\nby Anna\n\n" + table("question", "answer", delimiter=";").replace('"', ""), Turns(FIRST), {"header_row": 4}),
    Case("no-names.csv", table(*PAIRS[0]), Refuses("put a line such as")),
    Case("answers-in-lists.jsonl", lines(lambda q, a: {"id": "1", "question": q, "context": "Shop.", "answers": {"text": [a], "answer_start": [0]}}), Asks(Turns(IN_SHOP))),
    Case("numbers-as-answers.csv", table("question", "answer", make=lambda q, a: [q, 24]), Turns((FIRST[0], ("assistant", "24")))),
    Case("choices.jsonl", lines(lambda q, a: {"question": Q[0], "choices": OPTIONS, "answer": 1, "note": q}), Turns((("user", CHOSEN), ("assistant", "B. 24 months")))),
    Case("choices-labelled.jsonl", lines(lambda q, a: {"question": Q[0], "choices": {"text": OPTIONS, "label": ["A", "B", "C"]}, "answer": "B", "note": q}), Turns((("user", CHOSEN), ("assistant", "B. 24 months")))),
    Case("choices-in-columns.csv", table("question", "A", "B", "C", "answer", make=lambda q, a: [Q[0], *OPTIONS, "B"]), Turns((("user", CHOSEN), ("assistant", "B. 24 months")))),
    Case("choices-numbered.jsonl", lines(lambda q, a: {"goal": Q[0], "choice1": OPTIONS[0], "choice2": OPTIONS[1], "choice3": OPTIONS[2], "label": int(q == Q[0])}), Turns((("user", CHOSEN), ("assistant", "B. 24 months")))),
    Case("choices-from-one.csv", table("premise", "question", "option1", "option2", "answer", make=lambda q, a: ["It is for the lamp.", Q[0], *OPTIONS[:2], "2"]), Turns((("user", f"It is for the lamp.\n\n{Q[0]}\n\nA. blue\nB. 24 months"), ("assistant", "B. 24 months")))),
    Case("two-answers-compared.jsonl", lines(lambda q, a: {"question": q, "answer_a": a, "answer_b": "No.", "label": int(q == Q[0])}), Asks(None)),
    Case("two-texts-and-a-label.jsonl", lines(lambda q, a: {"a": q, "b": a, "label": int(q == Q[0])}), Asks(None)),
    Case("choices-from-nobody-knows.csv", table("question", "opa", "opb", "opc", "cop", make=lambda q, a: [q, *OPTIONS, "1"]), Asks(None)),
    # instructions
    Case("alpaca.json", json.dumps([{"instruction": q, "input": "", "output": a} for q, a in PAIRS]), Turns(FIRST)),
    Case("alpaca-input.jsonl", lines(lambda q, a: {"instruction": "Answer.", "input": q, "output": a}), Turns((("user", f"Answer.\n\n{Q[0]}"), FIRST[1]))),
    Case("alpaca-empty-instruction.jsonl", lines(lambda q, a: {"instruction": "", "input": q, "output": a}), Turns(FIRST)),
    Case("alpaca-history.jsonl", lines(lambda q, a: {"instruction": q, "input": "", "output": a, "system": S, "history": []}), Turns(WITH_SYSTEM)),
    Case("alpaca-misspelt.jsonl", lines(lambda q, a: {"intruction": "Answer.", "input": q, "ouput": a}), Asks(Turns((("user", f"Answer.\n\n{Q[0]}"), FIRST[1])))),
    Case("instances.jsonl", lines(lambda q, a: {"instruction": "Answer.", "instances": [{"input": q, "output": a}]}), Asks(Turns((("user", f"Answer.\n\n{Q[0]}"), FIRST[1])))),
    Case("dolly.jsonl", lines(lambda q, a: {"instruction": q, "context": "", "response": a, "category": "open_qa"}), Turns(FIRST)),
    Case("prompt-completion.jsonl", lines(lambda q, a: {"prompt": q, "completion": a}), Turns(FIRST)),
    Case("prompt-messages.jsonl", lines(lambda q, a: {"prompt": oai(q, a)[:1], "completion": oai(q, a)[1:]}), Turns(FIRST)),
    Case("prompt-in-template.jsonl", lines(lambda q, a: {"prompt": CHATML.format(q=q, a="@").partition("@")[0], "completion": a + "<|im_end|>"}), Turns(FIRST)),
    Case("marked.jsonl", json_lines({"prompt": q, "completion": a, "label": i % 2 == 0} for i, (q, a) in enumerate(PAIRS)), Turns(FIRST, 3)),
    # conversations
    Case("messages.jsonl", lines(lambda q, a: {"messages": oai(q, a)}), Turns(FIRST)),
    Case("messages-in-list.json", json.dumps([oai(q, a) for q, a in PAIRS]), Turns(FIRST)),
    Case("messages-system-beside.jsonl", lines(lambda q, a: {"system": S, "messages": oai(q, a)}), Turns(WITH_SYSTEM)),
    Case("messages-system-parts.jsonl", lines(lambda q, a: {"system": [{"text": S}], "messages": oai(q, a)}), Turns(WITH_SYSTEM)),
    Case("messages-as-text.csv", table("messages", "id", make=lambda q, a: [json.dumps(oai(q, a)), 1]), Turns(FIRST)),
    Case("messages-capital.jsonl", lines(lambda q, a: {"messages": oai(q, a, "User", "Assistant")}), Turns(FIRST)),
    Case("messages-human-bot.jsonl", lines(lambda q, a: {"messages": oai(q, a, "human", "bot")}), Turns(FIRST)),
    Case("messages-model.jsonl", lines(lambda q, a: {"messages": oai(q, a, "user", "model")}), Turns(FIRST)),
    Case("messages-parts.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": [{"type": "text", "value": q}]}, {"role": "assistant", "content": [{"type": "text", "text": a}]}]}), Turns(FIRST)),
    Case("messages-speaker-text.jsonl", lines(lambda q, a: {"dialogue": [{"speaker": "user", "text": q}, {"speaker": "agent", "text": a}]}), Turns(FIRST)),
    Case("messages-author-object.jsonl", lines(lambda q, a: {"messages": [{"author": {"role": "user"}, "content": q}, {"author": {"role": "assistant"}, "content": a}]}), Turns(FIRST)),
    Case("messages-own-names.jsonl", lines(lambda q, a: {"messages": oai(q, a, "Anna", "Ben")}), Refuses("roles: {Anna: user}")),
    Case("messages-own-names-said.jsonl", lines(lambda q, a: {"messages": oai(q, a, "Anna", "Ben")}), Turns(FIRST), {"roles": {"Anna": "user", "Ben": "assistant"}}),
    Case("messages-two-users.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": "Hello."}, *oai(q, a)]}), Refuses("turns: join")),
    Case("messages-two-users-joined.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": "Hello."}, *oai(q, a)]}), Turns((("user", f"Hello.\n\n{Q[0]}"), FIRST[1])), {"turns": "join"}),
    Case("messages-greeting.jsonl", lines(lambda q, a: {"messages": [{"role": "assistant", "content": "Hello."}, *oai(q, a)]}), Turns((("assistant", "Hello."), *FIRST)), {"turns": "keep"}),
    Case("messages-later-system.jsonl", lines(lambda q, a: {"messages": [*oai(q, a), {"role": "system", "content": S}, *oai(q, a)]}), Turns((*FIRST, ("system", S), *FIRST)), {"turns": "keep"}),
    Case("messages-weights.jsonl", lines(lambda q, a: {"messages": [*oai(q, a)[:1], {**oai(q, a)[1], "weight": 0}, *oai(Q[1], A[1])]}), Turns(LONG)),
    Case("messages-marked-bad.jsonl", json_lines({"messages": oai(q, a), "label": i < 4} for i, (q, a) in enumerate(PAIRS)), Turns(FIRST, 4)),
    Case("messages-image.jsonl", lines(lambda q, a: {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": q}]}, oai(q, a)[1]]}), Refuses("not only text")),
    Case("sharegpt.json", json.dumps([{"id": str(i), "conversations": two(gpt)} for i in range(6)]), Turns(LONG)),
    Case("sharegpt-system.jsonl", lines(lambda q, a: {"system": S, "conversations": gpt(q, a)}), Turns(WITH_SYSTEM)),
    Case("sharegpt-image.jsonl", lines(lambda q, a: {"image": "a.png", "conversations": gpt("<image>\n" + q, a)}), Refuses("not only text")),
    Case("openai-in-sharegpt-column.jsonl", lines(lambda q, a: {"conversations": oai(q, a)}), Turns(FIRST)),
    Case("dialog-texts.jsonl", lines(lambda q, a: {"dialog": [q, a]}), Turns(FIRST)),
    Case("utterances-speakers.jsonl", lines(lambda q, a: {"utterances": [q, a], "speakers": ["user", "bot"]}), Turns(FIRST)),
    Case("parallel-turns.jsonl", lines(lambda q, a: {"questions": [q, Q[1]], "answers": [a, A[1]]}), Turns(LONG)),
    Case("path-into-turns.jsonl", lines(lambda q, a: {"log": {"turns": [{"who": "user", "said": q}, {"who": "bot", "said": a}]}}), Turns(FIRST), {"columns": {"role": "log.turns[].who", "content": "log.turns[].said"}}),
    Case("message-tree.jsonl", json_lines([{"message_tree_id": "1", "prompt": reply("prompter", Q[0], reply("assistant", A[0], reply("prompter", Q[1], reply("assistant", A[1]))), reply("assistant", A[2]))}] * 2), Turns(LONG, 4)),
    Case("flat-tree.jsonl", json_lines(x for i, (q, a) in enumerate(PAIRS) for x in ({"message_id": f"q{i}", "parent_id": None, "text": q, "role": "prompter"}, {"message_id": f"a{i}", "parent_id": f"q{i}", "text": a, "role": "assistant"})), Turns(FIRST)),
    Case("chat-export.json", json.dumps([{"title": "x", "mapping": {"r": {"id": "r", "parent": None, "children": ["a"], "message": None}, "a": node("a", "r", "user", q, "b"), "b": node("b", "a", "assistant", a)}} for q, a in PAIRS]), Turns(FIRST)),
    # documents that are one object
    Case("columns.json", json.dumps({"question": Q, "answer": A}), Turns(FIRST)),
    Case("numbered-columns.json", json.dumps({"question": {str(i): q for i, q in enumerate(Q)}, "answer": {str(i): a for i, a in enumerate(A)}}), Turns(FIRST)),
    Case("by-id.json", json.dumps({f"id{i}": {"question": q, "answer": a} for i, (q, a) in enumerate(PAIRS)}), Turns(FIRST)),
    Case("answer-under-question.json", json.dumps(dict(PAIRS)), Turns(FIRST)),
    Case("under-a-name.json", json.dumps({"version": 2, "data": [{"question": q, "answer": a} for q, a in PAIRS]}), Turns(FIRST)),
    Case("under-another-name.json", json.dumps({"tickets": [{"question": q, "answer": a} for q, a in PAIRS]}), Turns(FIRST)),
    Case("squad.json", json.dumps(SQUAD), Turns(IN_SHOP)),
    Case("translation.jsonl", lines(lambda q, a: {"translation": {"en": q, "de": a}}), Asks(Turns(FIRST))),
    # asked about
    Case("odd-names.csv", table("shop", "title_text", "remark", "answer", make=lambda q, a: ["Lumen", q, "by phone", a]), Asks(Turns(FIRST))),
    Case("inference.jsonl", lines(lambda q, a: {"premise": "Shop.", "hypothesis": q, "label": 1}), Asks(Turns((("user", f"Shop.\n\n{Q[0]}"), ("assistant", "1"))))),
    Case("classification.csv", table("text", "category", make=lambda q, a: [q, "repair"]), Asks(Turns((FIRST[0], ("assistant", "repair"))))),
    Case("rating.jsonl", lines(lambda q, a: {"review": q, "stars": 4}), Asks(Turns((FIRST[0], ("assistant", "4"))))),
    Case("summary.jsonl", lines(lambda q, a: {"document": q, "summary": a}), Asks(Turns(FIRST))),
    Case("highlights.jsonl", lines(lambda q, a: {"id": "1", "article": q, "highlights": a}), Asks(Turns(FIRST))),
    Case("text-and-summary.csv", table("text", "summary"), Asks(Turns(FIRST))),
    Case("two-questions.csv", table("question", "query", "answer", make=lambda q, a: [q, "see above", a]), Asks(Turns(FIRST))),
    Case("unknown-pair.csv", table("Kundenanfrage", "Lösung"), Asks(Turns(FIRST))),
    Case("sql.jsonl", lines(lambda q, a: {"question": q, "context": "Shop.", "sql": a}), Asks(Turns(IN_SHOP))),
    Case("preference.jsonl", lines(lambda q, a: {"prompt": q, "chosen": a, "rejected": "No."}), Turns(FIRST)),
    Case("preference-turns.jsonl", lines(lambda q, a: {"chosen": oai(q, a), "rejected": oai(q, "No.")}), Turns(FIRST)),
    Case("preference-sharegpt.jsonl", lines(lambda q, a: {"conversations": [*two(gpt), {"from": "human", "value": q}], "chosen": gpt(q, a)[1], "rejected": {"from": "gpt", "value": "No."}}), Turns((*LONG, *FIRST))),
    Case("preference-transcript.jsonl", lines(lambda q, a: {"chosen": f"\n\nHuman: {q}\n\nAssistant: {a}", "rejected": f"\n\nHuman: {q}\n\nAssistant: No."}), Turns(FIRST)),
    Case("mixed.jsonl", lines(lambda q, a: {"question": q, "answer": a}) + lines(lambda q, a: {"messages": oai(q, a)}), Refuses("several layouts: 6 rows of")),
    Case("pairs-by-bars.txt", "".join(f"{q} || {a}\n" for q, a in PAIRS), Asks(Turns(FIRST))),
    # already in a template, transcripts
    Case("chatml.jsonl", lines(lambda q, a: {"text": CHATML.format(q=q, a=a)}), Turns(FIRST)),
    Case("inst.jsonl", lines(lambda q, a: {"text": INST.format(q=q, a=a)}), Turns(FIRST)),
    Case("llama3.jsonl", lines(lambda q, a: {"text": LLAMA3.format(q=q, a=a)}), Turns(FIRST)),
    Case("gemma.csv", table("text", "id", make=lambda q, a: [GEMMA.format(q=q, a=a), 1]), Turns(FIRST)),
    Case("alpaca-text.jsonl", lines(lambda q, a: {"text": ALPACA.format(q=q, a=a)}), Turns(FIRST)),
    Case("human-assistant.jsonl", lines(lambda q, a: {"text": f"### Human: {q}\n### Assistant: {a}"}), Turns(FIRST)),
    Case("transcript.txt", "\n\n".join(f"Human: {q}\nAssistant: {a}" for q, a in PAIRS), Turns(FIRST)),
    Case("numbered-speakers.txt", "".join(f"User 1: {q}\nUser 2: {a}\n" for q, a in PAIRS), Refuses("roles: {User 1: user, User 2: assistant}")),
    Case("numbered-speakers-said.txt", "".join(f"User 1: {q}\nUser 2: {a}\n" for q, a in PAIRS), Turns(tuple(turn for q, a in PAIRS for turn in (("user", q), ("assistant", a))), 1), {"roles": {"User 1": "user", "User 2": "assistant"}}),
    Case("chat-app.txt", WHATSAPP, Refuses("roles: {Anna: user, Shop: assistant}")),
    Case("chat-app-said.txt", WHATSAPP, Turns(tuple(turn for q, a in PAIRS for turn in (("user", q), ("assistant", a))), 1), {"roles": {"Anna": "user", "Shop": "assistant"}}),
    # plain text and documents
    Case("handbook.txt", "\n\n".join([PASSAGE * 8] * 3), Text(PASSAGE * 8, 3)),
    Case("corpus.jsonl", lines(lambda q, a: {"text": f"{q} {a}", "url": "http://x", "date": "2026-01-01"}), Text(f"{Q[0]} {A[0]}")),
    Case("faq.md", MARKDOWN_FAQ, Turns(FIRST)),
    Case("faq-as-text.md", MARKDOWN_FAQ, Text(MARKDOWN_FAQ.strip(), 1), {"format": "text"}),
    Case("faq.html", HTML_FAQ, Turns(FIRST)),
    Case("faq.docx", word(*(part for q, a in PAIRS for part in (("Heading2", q), ("Normal", a)))), Turns(FIRST)),
    Case("table.docx", word(cells=[["question", "answer"], *map(list, PAIRS)]), Turns(FIRST)),
    Case("letter.docx", word(("Normal", PASSAGE)), Text(PASSAGE, 1)),
    # content against endings, packing, folders
    Case("lines.csv", lines(lambda q, a: {"question": q, "answer": a}), Turns(FIRST)),
    Case("list.txt", json.dumps([{"question": q, "answer": a} for q, a in PAIRS]), Turns(FIRST)),
    Case("table.jsonl", table("question", "answer"), Turns(FIRST)),
    Case("unicode-text.txt", ("\ufeff" + table("question", "answer", delimiter="\t").replace('"', "")).encode("utf-16-le"), Turns(FIRST)),
    Case("marked.csv", table("question", "answer"), Turns(FIRST), {"encoding": "utf-8-sig"}),
    Case("twice.jsonl", lines(lambda q, a: {"question": q, "answer": a}) * 3 + '{"question": "a", "answer": "b", "answer": "c"}\n', Turns(FIRST, 18), {"max_rejected": 0.1}),
    Case("archive.zip", archive(train__csv=table("question", "answer"), valid__csv=table("question", "answer"), LICENSE__txt="Free."), Turns(FIRST)),
    Case("map-below.json", json.dumps({"meta": {"version": 2}, "tickets": {f"k{n}": {"customer": {"says": q}, "agent": {"says": a}} for n, (q, a) in enumerate(PAIRS)}}), Asks(Turns(FIRST))),
    Case("archive-odd-names.zip", archive(faq__csv=table("nr", "frage", "loesung", make=lambda q, a: ["1", q, a]), figures__csv="a,b\n1,2\n", valid__csv=table("nr", "frage", "loesung", make=lambda q, a: ["1", q, a]), LICENSE__txt="Free."), Asks(Turns(FIRST))),
    Case("archive-columns.zip", archive(data__csv=table("shop text", "remark text"), figures__csv="a,b\n1,2\n", terms__txt="Free for all."), Turns(FIRST), {"columns": {"question": "shop text", "answer": "remark text"}}),
    Case("folder-csv", folder(train__csv=table("question", "answer"), test__csv=table("question", "answer")), Turns(FIRST)),
    Case("folder-lines", folder(a__jsonl=lines(lambda q, a: {"question": q, "answer": a}), b__tsv=table("question", "answer", delimiter="\t")), Turns(FIRST, 12)),
    *(Case(f"columnar-{kind}", columnar(kind), Turns(FIRST)) for kind in ("parquet", "arrow", "feather", "orc", "saved", "dict")),
    *(Case(f"packed-{kind}", packed(kind), Turns(FIRST)) for kind in ("bz2", "xz", "zst")),
    Case("pointer.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", Refuses("Git LFS")),
)  # fmt: skip
