"""Files of every kind are read as the same rows, with true line numbers, whatever they are packed in."""

from __future__ import annotations

import gc
import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import DataError
from studio.data.prepare import inspect
from studio.data.read import read
from studio.data.readers import json_rows
from studio.data.readers import table as table_reader
from studio.data.settings import Data
from tests.data.files import both, gzipped, json_lines, pairs, refusal, rows_of, write, zipped

ROWS = pairs(5)


def table(delimiter: str = ",") -> str:
    return "\n".join(delimiter.join(f'"{cell}"' for cell in cells) for cells in [list(ROWS[0]), *map(dict.values, ROWS)])


def parquet(rows: list[dict[str, Any]]) -> bytes:
    import io

    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), out)
    return out.getvalue()


def workbook(*cells: list[Any], more: bool = False) -> bytes:
    import io

    import openpyxl

    book = openpyxl.Workbook()
    assert book.active is not None
    for row in cells:
        book.active.append(row)
    if more:
        book.create_sheet("Notes").append(["a note"])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


CONTENTS: dict[str, bytes] = {
    "rows.jsonl": json_lines(ROWS).encode(),
    "rows.ndjson": json_lines(ROWS).encode(),
    "list.json": json.dumps(ROWS).encode(),
    "pretty.json": json.dumps(ROWS, indent=2).encode(),
    "under-a-name.json": json.dumps({"version": 1, "data": ROWS}).encode(),
    "lines.json": json_lines(ROWS).encode(),
    "one-after-the-other.json": "\n".join(json.dumps(row, indent=1) for row in ROWS).encode(),
    "list.jsonl": json.dumps(ROWS).encode(),
    "comma.csv": table().encode(),
    "semicolon.csv": table(";").encode(),
    "bar.csv": table("|").encode(),
    "excel.csv": b"sep=;\r\n" + table(";").encode(),
    "tab.tsv": table("\t").encode(),
    "rows.parquet": parquet(ROWS),
    "rows.xlsx": workbook(list(ROWS[0]), *[list(row.values()) for row in ROWS]),
}


def packed_file(name: str, packed: str, folder: Path) -> str:
    path = folder / f"{name}{packed}"
    if packed == ".gz":
        return gzipped(path, CONTENTS[name])
    if packed == ".zip":
        return zipped(path, {f"folder/{name}": CONTENTS[name]})
    return write(path, CONTENTS[name])


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("packed", ["", ".gz", ".zip"])
def test_every_kind_of_file_gives_the_same_rows_plain_gzipped_and_zipped(name: str, packed: str, tmp_path: Path) -> None:
    assert [row.values for row in rows_of(packed_file(name, packed, tmp_path))] == ROWS


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("packed", ["", ".gz", ".zip"])
def test_a_file_is_closed_even_if_only_its_first_row_is_read(name: str, packed: str, tmp_path: Path) -> None:
    file = packed_file(name, packed, tmp_path)
    gc.freeze()  # the collector looks at what this test makes alone, not at the objects of thousands of tests
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        rows = iter(read(file, Data(train=file)))
        next(rows)
        del rows
        gc.collect()
    assert [str(item.message) for item in seen if str(tmp_path) in str(item.message)] == []


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "iso8859-15"]
)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json"])
def test_encodings_are_detected(encoding: str, suffix: str, tmp_path: Path) -> None:
    rows = [
        {"question": f"Wie groß ist Modell {place}?", "answer": f"Es misst {place} × 3 cm, schön für Zürich."}
        for place in range(30)
    ]
    contents = {
        ".csv": "question,answer\n" + "".join(f'{row["question"]},"{row["answer"]}"\n' for row in rows),
        ".jsonl": json_lines(rows),
        ".json": json.dumps(rows, ensure_ascii=False, indent=1),
    }
    file = write(tmp_path / f"rows{suffix}", contents[suffix], encoding)
    assert [row.values for row in rows_of(file)] == rows


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1250", "Zażółć gęślą jaźń proszę o zwrot pieniędzy za źle działające łóżko"),
        ("cp1251", "Сколько стоит лампа и какая у неё гарантия"),
        ("cp932", "保証期間はどのくらいですか。ランプの価格を教えてください"),
        ("gb18030", "这个灯的保修期是多久请告诉我价格"),
    ],
)
def test_other_alphabets_are_detected_and_the_guess_is_told(encoding: str, text: str, tmp_path: Path) -> None:
    from studio.data.read import opened
    from studio.data.sources import find

    file = write(tmp_path / "rows.csv", "question,answer\n" + "".join(f"{text} {n},{text}\n" for n in range(20)), encoding)
    with opened(find(file)[0], Data(train=file)) as stream:
        first = next(stream.rows)
        assert first.values["answer"] == text  # type: ignore[union-attr]
        assert "data.encoding" in stream.facts.remarks[0]


def test_a_few_bad_bytes_in_a_utf8_file_reject_their_rows_and_change_no_other(tmp_path: Path) -> None:
    lines = json_lines([{"question": f"Größe {n}?", "answer": "schön"} for n in range(50)]).encode().splitlines(keepends=True)
    lines[20] = b'{"question": "caf\xe9?", "answer": "yes"}\n'
    rows, rejected = both(write(tmp_path / "rows.jsonl", b"".join(lines)))
    assert len(rows) == 49
    assert rows[0].values["question"] == "Größe 0?"
    assert [(row.line, row.reason[:16]) for row in rejected] == [(21, "undecodable byte")]


def test_bytes_that_are_not_ascii_only_late_in_the_file_still_tell_its_encoding(tmp_path: Path) -> None:
    head = "".join(f"plain question {n},plain answer\n" for n in range(60_000))
    file = write(tmp_path / "rows.csv", f"question,answer\n{head}Größe?,schön\n", "cp1252")
    assert rows_of(file)[-1].values == {"question": "Größe?", "answer": "schön"}


def test_the_named_encoding_wins_and_a_wrong_name_is_corrected(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", "question,answer\nпривет,да\n", "koi8-r")
    assert rows_of(file, encoding="koi8-r")[0].values["answer"] == "да"
    problem = refusal(read, file, Data(train=file, encoding="cp1225"))
    assert "cp125" in problem.hint


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_they_stand_in_the_file(end: str, tmp_path: Path) -> None:
    cells = ["question,answer", '"one', "over three", 'lines?",yes', "", "two?,no", '"a ""quoted"" word?",maybe']
    rows = rows_of(write(tmp_path / "rows.csv", end.join(cells) + end))
    assert [row.line for row in rows] == [2, 6, 7]
    assert rows[0].values["question"].splitlines() == ["one", "over three", "lines?"]
    assert rows[2].values["question"] == 'a "quoted" word?'
    lines = [json.dumps(row) for row in ROWS]
    file = write(tmp_path / "rows.jsonl", end.join([lines[0], "", lines[1], lines[2]]))
    assert [row.line for row in rows_of(file)] == [1, 3, 4]


def test_mixed_line_ends_are_all_line_ends(tmp_path: Path) -> None:
    one, two, three, four = (json.dumps(row) for row in ROWS[:4])
    rows = rows_of(write(tmp_path / "rows.jsonl", f"{one}\r\n{two}\n{three}\r{four}\n"))
    assert [row.line for row in rows] == [1, 2, 3, 4]
    rows = rows_of(write(tmp_path / "rows.csv", "question,answer\r\na?,b\nc?,d\re?,f\r\n"))
    assert [(row.line, row.values["answer"]) for row in rows] == [(2, "b"), (3, "d"), (4, "f")]


def test_rows_of_pretty_json_know_their_line(tmp_path: Path) -> None:
    rows = rows_of(write(tmp_path / "rows.json", json.dumps(ROWS, indent=2)))
    assert [row.line for row in rows] == [2, 6, 10, 14, 18]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_rows_that_were_written_as_json_twice_are_the_objects_in_them(name: str, tmp_path: Path) -> None:
    texts = [json.dumps(row) for row in ROWS]
    file = write(tmp_path / name, json.dumps(texts) if name == "a.json" else json_lines(texts))
    assert [row.values for row in rows_of(file)] == ROWS
    (source,) = inspect(Data(train=file)).files
    assert source.format == "question_answer"
    assert "Its rows are texts that hold JSON; the objects in them were read as the rows." in source.remarks


def test_texts_that_only_begin_like_json_stay_texts_and_a_key_named_twice_inside_one_is_told(tmp_path: Path) -> None:
    texts = ["{not json}", "[1, 2]", "{}", "A plain text."]
    assert [row.values["text"] for row in rows_of(write(tmp_path / "a.jsonl", json_lines(texts)))] == texts
    _, (rejected,) = both(write(tmp_path / "b.jsonl", json_lines(['{"text": "a", "text": "b"}'])))
    assert rejected.reason == "a key stands twice: `text`"


def test_a_table_with_more_columns_than_a_spreadsheet_holds_is_refused(tmp_path: Path) -> None:
    names = ",".join(f"c{index}" for index in range(20_000))
    problem = refusal(rows_of, write(tmp_path / "wide.csv", f"{names}\n{names}\n"))
    assert "names 20,000 columns" in str(problem)
    assert "transpose" in problem.hint


def test_a_broken_line_is_rejected_and_reading_goes_on(tmp_path: Path) -> None:
    one, two, three = (json.dumps(row) for row in ROWS[:3])
    rows, rejected = both(write(tmp_path / "rows.jsonl", f'{one}\n{{"question": "x", \n{two}\n12\n{three}\n'))
    assert [row.line for row in rows] == [1, 3, 5]
    assert [(row.line, row.reason.partition(":")[0]) for row in rejected] == [(2, "broken JSON"), (4, "wrong type")]
    assert rejected[0].text.startswith('{"question"')


def test_a_broken_row_in_a_json_list_is_rejected_and_reading_goes_on(tmp_path: Path) -> None:
    text = """[
{"question": "a?", "answer": "b"},
{"question": "c?", "answer": "d},
{"question": "e?" "answer": "f"},
7,
{"question": "g?", "answer": "h"}
]"""
    rows, rejected = both(write(tmp_path / "rows.json", text.replace("d},", "d\n},")))
    assert [row.values["question"] for row in rows] == ["a?", "g?"]
    assert [row.line for row in rejected] == [3, 5, 6]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[{"a": "b"},\n{"a": "c"', "line 2"),
        ('[{"a": "b"},\n{"a": "c"}', "line 2"),
        ('[{"a": "b"}}\n]', "line 1"),
        ('[\n{"a": ["b"}\n]', "line 2"),
    ],
)
def test_a_json_list_whose_brackets_do_not_close_is_refused_with_the_line(text: str, line: str, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.json", text)
    assert line in refusal(read, file, Data(train=file)).message


def test_a_list_larger_than_a_block_is_read_piece_by_piece(tmp_path: Path) -> None:
    rows = [{"question": f"Number {n}? [" + "x{" * (n % 50), "answer": 'a "quoted" \\ [answer] ' * 20} for n in range(5_000)]
    text = json.dumps(rows, indent=1)
    assert len(text) > 2 << 20
    found = rows_of(write(tmp_path / "rows.json", text))
    assert [row.values for row in found] == rows
    lines = text.splitlines()
    assert all(lines[row.line - 1].strip() == "{" for row in found)


@pytest.mark.parametrize("block", [1, 3, 7, 64, 1000])
@pytest.mark.parametrize("indent", [None, 1])
def test_where_a_block_of_a_list_ends_changes_nothing(block: int, indent: int | None, tmp_path: Path, monkeypatch: Any) -> None:
    from studio.data.readers import json_rows

    chance = random.Random(block)
    pieces = ['"', "\\", "{", "}", "[", "]", ",", ":", "\n", "ü", "語", " ", "a", "\u2028", "\\n"]
    rows = [{"".join(chance.choices(pieces, k=3)): ["".join(chance.choices(pieces, k=9)), {"n": place}]} for place in range(40)]
    file = write(tmp_path / "rows.json", json.dumps(rows, indent=indent, ensure_ascii=chance.random() < 0.5))
    monkeypatch.setattr(json_rows, "_BLOCK", block)
    assert [row.values for row in rows_of(file)] == rows


def test_broken_quotes_reject_one_row_and_leave_the_following_alone(tmp_path: Path) -> None:
    text = 'question,answer\n"a?,b\nc?,d\n"e?","f"\ng?,h\n"i "really"?",j\nk?,l,too,many\nm?,n\n"never closed,o\np?,q\n'
    rows, rejected = both(write(tmp_path / "rows.csv", text))
    assert [row.line for row in rows] == [3, 4, 5, 8, 10]
    assert [(row.line, row.reason.partition(":")[0]) for row in rejected] == [
        (2, "broken quotes"),
        (6, "broken quotes"),
        (7, "too many cells"),
        (9, "broken quotes"),
    ]


def test_a_table_whose_columns_share_a_name_or_that_has_none_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.csv", "text,text\na,b\n")
    assert "both called `text`" in refusal(read, file, Data(train=file)).message
    file = write(tmp_path / "empty.csv", "\n\n")
    assert "column names" in refusal(read, file, Data(train=file)).message


def test_sheets_with_other_columns_than_the_first_are_not_read_and_are_named(tmp_path: Path) -> None:
    from studio.data.read import opened
    from studio.data.sources import find

    file = write(tmp_path / "rows.xlsx", workbook(["question", "answer"], ["a?", 24.0], [None, None], ["c?", "d"], more=True))
    assert [row.line for row in rows_of(file)] == [2, 4]
    with opened(find(file)[0], Data(train=file)) as stream:
        list(stream.rows)
        assert "`Notes`" in stream.facts.remarks[0]


def test_columnar_files_do_not_fill_nested_objects_with_nulls(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "x", "arguments": {"a": 1}}]},
    ]
    file = write(tmp_path / "rows.parquet", parquet([{"messages": turns}]))
    assert rows_of(file)[0].values == {"messages": turns}


def test_text_becomes_passages_of_whole_paragraphs_and_nothing_is_lost(tmp_path: Path) -> None:
    from studio.data.readers.document import PASSAGE

    paragraphs = [f"Paragraph {n}. " + "Some words about lamps. " * (n % 7) for n in range(60)]
    paragraphs[30] = "A long one. " + "It goes on and on. " * 400
    paragraphs = [text.strip() for text in paragraphs]
    rows = rows_of(write(tmp_path / "book.txt", "\r\n\r\n".join(paragraphs), "utf-8-sig"))
    texts = [row.values["text"] for row in rows]
    assert max(map(len, texts)) <= PASSAGE
    assert " ".join(" ".join(texts).split()) == " ".join(" ".join(paragraphs).split())
    first = (tmp_path / "book.txt").read_text("utf-8-sig").splitlines()
    assert all(row.values["text"].splitlines()[0] in first[row.line - 1] for row in rows)


def test_markdown_passages_begin_at_headings_and_keep_code_together(tmp_path: Path) -> None:
    code = "```python\n# not a heading\n\nprint(1)\n```"
    text = f"# Lamps\n\n{'Intro words here. ' * 30}\n\n## Care\n\n{code}\n\n{'More words. ' * 40}\n\n## End\n\nBye.\n"
    rows = rows_of(write(tmp_path / "book.md", text))
    assert [row.values["text"].split("\n")[0] for row in rows] == ["# Lamps", "## Care", "## End"]
    assert code in rows[1].values["text"]
    assert [row.line for row in rows] == [1, 5, 15]


def test_a_missing_file_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path / "support.jsonl", "{}")
    problem = refusal(read, str(tmp_path / "suport.jsonl"), Data(train="x"))
    assert "no such file" in problem.message
    assert str(tmp_path / "support.jsonl") in problem.hint


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.csv", b"PK\x03\x04rest", "Excel"),
        ("rows.jsonl", b"\x1f\x8brest", ".gz"),
        ("rows.csv", b"<!DOCTYPE html><html>", "web page"),
        ("rows.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("rows.csv", bytes(range(256)) * 12, "save it as CSV"),
        ("rows.jsonl", b"", "empty"),
        ("rows.json", b"[]", ""),
        ("rows.pdf", b"%PDF", ".txt"),
        ("rows.pkl", b"x", "never opened"),
        ("rows.gz", b"x", ".jsonl.gz"),
        ("rows.parquet", b"not parquet", "parquet"),
        ("rows.xlsx", b"not a book", "Excel"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused_with_what_to_do(
    name: str, content: bytes, told: str, tmp_path: Path
) -> None:
    from studio.data.prepare import inspect

    problem = refusal(inspect, Data(train=write(tmp_path / name, content)))
    assert told in f"{problem.message} {problem.hint}"


@pytest.mark.torch
def test_a_folder_in_hub_layout_is_streamed_by_the_hub_reader(tmp_path: Path) -> None:
    write(tmp_path / "set" / "data" / "train-0.jsonl", json_lines(ROWS))
    write(tmp_path / "set" / "data" / "test-0.jsonl", json_lines(pairs(2, 100)))
    assert [row.values for row in rows_of(str(tmp_path / "set"))] == ROWS
    assert len(rows_of(f"hub:{tmp_path / 'set'}", split="test")) == 2
    problem = refusal(read, str(tmp_path / "set"), Data(train="x", split="dev"))
    assert "no split `dev`" in problem.message
    assert "train" in problem.hint


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("a.csv", "question,answer\nHow high?,Nine.\n", {"question": "How high?", "answer": "Nine."}),
        ("a.tsv", "question\tanswer\nHow high?\tNine.\n", {"question": "How high?", "answer": "Nine."}),
        ("a.txt", "The lamp is nine metres high.\n", {"text": "The lamp is nine metres high."}),
    ],
)
def test_a_folder_of_tables_or_texts_is_read_as_its_files_are(name: str, text: str, values: Any, tmp_path: Path) -> None:
    write(tmp_path / "set" / name, text)
    assert [row.values for row in rows_of(str(tmp_path / "set"))] == [values]


@pytest.mark.torch
def test_a_folder_without_data_and_a_name_that_is_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no data files" in refusal(read, str(tmp_path / "empty"), Data(train="x")).message
    assert "hub:owner/name" in refusal(read, "hub:no name", Data(train="x")).hint


def test_lines_of_nothing_but_delimiters_are_no_rows(tmp_path: Path) -> None:
    rows = rows_of(write(tmp_path / "rows.csv", "question;answer\na?;b\n;\n  ;  \nc?;d;;\n;;;;\n"))
    assert [(row.line, row.values["answer"]) for row in rows] == [(2, "b"), (5, "d")]


@pytest.mark.torch
def test_a_hub_dataset_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    problem = refusal(read, "hub:nobody/nothing", Data(train="x"))
    assert "hub" in problem.where
    assert "local file" in problem.hint


@pytest.mark.parametrize(("name", "head", "row"), [("rows.jsonl", "", '{"text": "%s"}\n'), ("rows.csv", "text\n", '"%s"\n')])
def test_a_line_that_is_too_long_is_named_by_its_number(
    name: str, head: str, row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 1 << 16
    for reader in (json_rows, table_reader):
        monkeypatch.setattr(reader, "ROW_BYTES", limit)
    file = tmp_path / name
    file.write_text(head + row % "short" * 3 + row % ("x" * (limit + (8 << 20))) + row % "short")
    with pytest.raises(DataError, match="a single line has over") as refused:
        list(read(str(file), Data(train=str(file))))
    assert refused.value.where == f"{name}, line {4 + len(head.splitlines())}"


def test_an_initial_before_a_name_is_no_mark_of_a_question() -> None:
    from studio.data.readers.faq import bare_question

    assert bare_question("F. Scott Fitzgerald wrote what?") == "F. Scott Fitzgerald wrote what?"
    assert bare_question("F: Wer schrieb das?") == bare_question("Frage 2: Wer schrieb das?") == "Wer schrieb das?"
