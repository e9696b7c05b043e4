"""Prepare and inspect: every row is accounted for, no question is on both sides, and the result can be repeated."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import Stopped
from studio.data.prepare import conversations, inspect, load_questions, prepare, usable
from studio.data.report import DataReport
from studio.data.settings import Data
from studio.data.split import question
from studio.tracking.reporter import Silent
from tests.data.files import json_lines, pairs, refusal, write

FILES = ["held-out.jsonl", "rejected.jsonl", "removed.jsonl", "report.json", "train.jsonl"]


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture
def messy(tmp_path: Path) -> str:
    """A file with everything in it: good rows, repeated ones, the same question in other clothes, faults."""
    rows: list[Any] = pairs(100)
    rows += [rows[3], rows[3], rows[50]]
    rows += [{"question": row["question"].upper() + "!", "answer": "Another answer."} for row in rows[:10]]
    rows += [
        {"question": rows[0]["question"], "answer": "Yet another."},
        {"question": "x?", "answer": ""},
        {"question": "", "answer": "y"},
    ]
    random.Random(1).shuffle(rows)
    return write(tmp_path / "messy.jsonl", json_lines(rows) + "{broken\n")


def test_every_row_is_in_exactly_one_place(messy: str, tmp_path: Path) -> None:
    report = prepare(Data(train=messy), 0, tmp_path / "out")
    parts = {name: lines(tmp_path / "out" / name) for name in FILES if name != "report.json"}
    places = [row["line"] for part in parts.values() for row in part]
    assert sorted(places) == list(range(1, 118))
    assert (report.totals.rows, report.totals.usable, report.totals.rejected, report.totals.duplicates) == (117, 114, 3, 3)
    assert report.rejected.by_reason == {"empty answer": 1, "empty question": 1, "broken JSON": 1}
    assert report.split is not None
    assert (report.split.train, report.split.held_out) == (len(parts["train.jsonl"]), len(parts["held-out.jsonl"]))
    assert report.split.held_out == 11
    assert all(row["reason"].startswith("the same as line ") for row in parts["removed.jsonl"])
    assert json.loads((tmp_path / "out" / "report.json").read_text("utf-8")) == json.loads(json.dumps(report.as_json()))


def test_no_question_is_on_both_sides(messy: str, tmp_path: Path) -> None:
    for seed in range(5):
        prepare(Data(train=messy, holdout=0.3), seed, tmp_path / "out")
        train, held = (
            {question(row) for row in conversations(tmp_path / "out" / name)} for name in ("train.jsonl", "held-out.jsonl")
        )
        assert train
        assert held
        assert not train & held


def test_the_same_settings_give_the_same_bytes(messy: str, tmp_path: Path) -> None:
    prepare(Data(train=messy), 7, tmp_path / "one")
    first = {name: (tmp_path / "one" / name).read_bytes() for name in FILES}
    prepare(Data(train=messy), 7, tmp_path / "one")
    prepare(Data(train=messy), 7, tmp_path / "two")
    for folder in ("one", "two"):
        assert {item.name: item.read_bytes() for item in (tmp_path / folder).iterdir()} == first


def test_the_order_of_rows_does_not_change_what_is_held_out(tmp_path: Path) -> None:
    rows = pairs(60)
    prepare(Data(train=write(tmp_path / "a.jsonl", json_lines(rows))), 0, tmp_path / "a")
    prepare(Data(train=write(tmp_path / "b.jsonl", json_lines(rows[::-1]))), 0, tmp_path / "b")
    one, two = ({row.answer for row in conversations(tmp_path / part / "held-out.jsonl")} for part in "ab")
    assert one == two


def test_conflicting_answers_are_a_warning_with_their_places(messy: str) -> None:
    report = inspect(Data(train=messy))
    assert report.totals.conflicts == 1
    assert any("different answers" in warning for warning in report.warnings)
    (file, line), (_, other) = report.conflicts[0].places
    assert file == "messy.jsonl"
    assert line < other


def test_inspecting_says_the_same_and_writes_nothing(messy: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    report = inspect(Data(train=messy))
    assert sorted(tmp_path.rglob("*")) == before
    assert report.usable
    values = report.as_json()
    totals = {"rows": 117, "usable": 114, "rejected": 3, "duplicates": 3, "conflicts": 1, "turns": 228}
    assert values["totals"] == {**totals, "characters": report.totals.characters}
    assert values["files"][0]["format"] == "question_answer"
    assert len(values["files"][0]["sha256"]) == 64
    assert len(values["samples"]) == 5
    lengths = values["lengths"]
    assert 0 < lengths["p10"] <= lengths["p50"] <= lengths["p90"] <= lengths["p99"] <= lengths["max"]
    assert sum(count for _, count in lengths["histogram"]) == 114


def test_too_many_rejected_rows_stop_the_run_and_are_left_to_be_read(tmp_path: Path) -> None:
    rows = [*pairs(8), {"question": "a?"}, {"question": "b?", "answer": ""}]
    file = write(tmp_path / "rows.jsonl", json_lines(rows))
    problem = refusal(prepare, Data(train=file), 0, tmp_path / "out")
    assert "2 of 10 rows (20.0%)" in problem.message
    assert "1 × missing answer (first: rows.jsonl, line 9, column answer)" in problem.message
    assert str(tmp_path / "out" / "rejected.jsonl") in problem.hint
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["rejected.jsonl"]
    assert not inspect(Data(train=file)).usable
    assert prepare(Data(train=file, max_rejected=0.2), 0, tmp_path / "out").totals.rejected == 2


def test_a_held_out_file_takes_its_questions_out_of_training(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", json_lines(pairs(20)))
    asked = [{"Frage": row["question"].lower(), "Antwort": "Other."} for row in pairs(4, 18)]
    held = write(
        tmp_path / "held.csv", "Frage;Antwort\n" + "".join(f"{row['Frage']};{row['Antwort']}\n" for row in [*asked, asked[0]])
    )
    report = prepare(Data(train=train, holdout=held), 0, tmp_path / "out")
    assert report.split is not None
    assert (report.split.train, report.split.leaked, report.split.held_out, report.split.held_out_duplicates) == (18, 2, 4, 1)
    assert [row["reason"] for row in lines(tmp_path / "out" / "removed.jsonl")] == ["its question is in the held-out file"] * 2
    assert {row["file"] for row in lines(tmp_path / "out" / "held-out.jsonl")} == {"held.csv"}
    assert "no row is left" in refusal(prepare, Data(train=train, holdout=train), 0, tmp_path / "out").message


def test_several_files_are_detected_each_on_its_own_and_split_together(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a.jsonl", json_lines(pairs(30))),
        write(tmp_path / "b.csv", "prompt,completion\n" + "".join(f"{r['question']},{r['answer']}\n" for r in pairs(30, 20))),
        write(tmp_path / "sub" / "a.jsonl", json_lines([{"text": f"Plain text {n}."} for n in range(10)])),
    ]
    report = prepare(Data(train=files), 0, tmp_path / "out")
    assert [file.format for file in report.files] == ["question_answer", "prompt_completion", "text"]
    assert report.totals.duplicates == 10
    assert len({file.name for file in report.files}) == 3
    assert report.split is not None
    assert report.split.train + report.split.held_out == 60
    assert "twice" in refusal(inspect, Data(train=[files[0], files[0]])).message


def test_columns_of_one_file_among_several_need_not_be_in_the_others(tmp_path: Path) -> None:
    odd = write(tmp_path / "odd.csv", "Thema,Text,Reaktion\na,b c,d\ne,f g,h\n")
    plain = write(tmp_path / "a.jsonl", json_lines(pairs(5)))
    report = inspect(Data(train=[odd, plain], columns={"question": "Text", "answer": "Reaktion"}))
    assert [file.columns["question"] for file in report.files] == ["Text", "question"]
    problem = refusal(
        inspect,
        Data(train=[plain, write(tmp_path / "b.jsonl", json_lines(pairs(5)))], columns={"question": "Txt", "answer": "R"}),
    )
    assert "`Txt`" in problem.message


def test_data_that_cannot_be_split_is_said_to_be_so_before_training(tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", json_lines(pairs(1)))
    assert "none can be held out" in inspect(Data(train=one, holdout=0)).warnings[-1]
    assert not inspect(Data(train=one)).usable


def test_a_limit_reads_only_so_many_rows_and_says_so(tmp_path: Path) -> None:
    report = inspect(Data(train=write(tmp_path / "a.jsonl", json_lines(pairs(50))), limit=12))
    assert report.totals.rows == 12
    assert "data.limit" in report.remarks[0]


def test_a_file_in_which_no_row_can_be_read_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    problem = refusal(inspect, Data(train=write(tmp_path / "a.jsonl", "not json\nat all\n")))
    assert problem.where == "a.jsonl, line 1"
    assert "broken JSON" in problem.message


def test_one_question_only_cannot_be_held_out(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", json_lines([{"question": "Same?", "answer": f"{n} b"} for n in range(5)]))
    assert not inspect(Data(train=file)).usable
    assert "data.holdout" in refusal(prepare, Data(train=file), 0, tmp_path / "out").hint
    assert prepare(Data(train=file, holdout=0.0), 0, tmp_path / "out").split.train == 5  # type: ignore[union-attr]


class Listener(Silent):
    """Hears progress, and asks to stop after a while."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.heard: list[tuple[float, float]] = []
        self.left = stop_after

    def progress(self, done: float, total: float, what: str = "") -> None:
        self.heard.append((done, total))

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.slow
def test_progress_is_told_in_bytes_and_stopping_leaves_nothing_half_written(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", json_lines(pairs(6_000)))
    listener = Listener()
    prepare(Data(train=file), 0, tmp_path / "out", listener)
    size = Path(file).stat().st_size
    assert all(0 <= done <= total for done, total in listener.heard)
    assert (size, size) in listener.heard
    with pytest.raises(Stopped):
        prepare(Data(train=file), 0, tmp_path / "other", Listener(stop_after=2))
    assert list((tmp_path / "other").iterdir()) == []


def test_what_a_killed_predecessor_left_is_cleared_and_other_files_stay(tmp_path: Path) -> None:
    write(tmp_path / "out" / ".preparing-old" / "usable.jsonl", "x")
    write(tmp_path / "out" / "train.tokens" / "ids.bin", "x")
    prepare(Data(train=write(tmp_path / "a.jsonl", json_lines(pairs(5)))), 0, tmp_path / "out")
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == sorted([*FILES, "train.tokens"])


def test_written_conversations_read_back_equal(tmp_path: Path) -> None:
    from studio.data.formats import FORMATS

    rows = [
        FORMATS["messages"].example,
        {"messages": [{"role": "user", "content": "Ü?"}, {"role": "assistant", "content": "ß\u2028\n"}]},
    ]
    file = write(tmp_path / "a.jsonl", json_lines(rows))
    prepare(Data(train=file, holdout=0.0), 0, tmp_path / "out")
    assert list(conversations(tmp_path / "out" / "train.jsonl")) == list(usable(Data(train=file)))


def test_an_evaluation_file_is_read_as_training_data_is_and_not_split(tmp_path: Path) -> None:
    file = write(tmp_path / "more.csv", "question,answer\na b?,b\nc d?,d\n")
    rows = load_questions(
        file, Data(train="elsewhere.jsonl", system="Be kind.", limit=1, columns={"question": "Frage", "answer": "A"})
    )
    assert [row.answer for row in rows] == ["b", "d"]
    assert rows[0].messages[0] == {"role": "system", "content": "Be kind."}
    assert "no such file" in refusal(load_questions, str(tmp_path / "x.csv"), Data(train="y")).message


PEAK = """
import sys
from pathlib import Path
from studio.data.prepare import prepare
from studio.data.settings import Data
report = prepare(Data(train=sys.argv[1]), 0, Path(sys.argv[2]))
assert report.totals.rows == int(sys.argv[3])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""  # not getrusage: its peak begins with that of the process that started this one


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_file_but_by_what_near_duplicates_take(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        answer = "word " * 400
        with (tmp_path / "rows.jsonl").open("w") as out:
            out.writelines(f'{{"question": "Number {n}?", "answer": "{n} {answer}"}}\n' for n in range(rows))
        command = [sys.executable, "-c", PEAK, tmp_path / "rows.jsonl", tmp_path / "out", str(rows)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    small, large = peak(3_000), peak(20_000)  # KiB; files of 6 MB and 40 MB
    signatures = 17_000 * 512 >> 10  # near-duplicates are looked for among up to 200,000 rows
    assert large - small < (6 << 10) + signatures


def test_the_report_is_read_by_the_class_that_wrote_it(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", json_lines([*pairs(20), *pairs(1), {"question": "", "answer": "x"}]))
    report = prepare(Data(train=file), 0, tmp_path / "out")
    assert DataReport.read(tmp_path / "out" / "report.json") == report


def test_a_report_of_version_1_keeps_its_warnings(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", json_lines(pairs(20)))
    values = prepare(Data(train=file), 0, tmp_path / "out").as_json()
    for name in ("version", "findings", "cautions"):
        del values[name]
    old = DataReport.from_json({**values, "warnings": ["`n/a` stands for nothing: 2 rows"]})
    assert old.warnings == ("`n/a` stands for nothing: 2 rows",)


def test_near_duplicates_whose_answers_agree_are_on_one_side_of_the_split(tmp_path: Path) -> None:
    rows = [
        {
            "question": f"Please tell me {how} the item number {index * 7919} is kept in the evening",
            "answer": f"Hall {index}, shelf two.",
        }
        for index in range(1, 80)
        for how in ("where", "just where")
    ]

    def sides(order: list[dict[str, str]]) -> tuple[set[str], set[str]]:
        file, out = tmp_path / "rows.jsonl", tmp_path / "out"
        file.write_text("".join(json.dumps(row) + "\n" for row in order))
        report = prepare(Data(train=str(file), holdout=0.2), 3, out)
        assert report.split is not None
        assert report.split.held_out in (31, 32)
        assert any("near-duplicates of other rows" in remark for remark in report.remarks)
        return tuple({row.answer for row in conversations(out / f"{name}.jsonl")} for name in ("train", "held-out"))  # type: ignore[return-value]

    train, held_out = sides(rows)
    assert train.isdisjoint(held_out)
    assert sides(rows[::-1]) == (train, held_out)


def test_rows_that_differ_in_a_word_and_answer_otherwise_stay_apart(tmp_path: Path) -> None:
    rows = [
        {"question": f"What does the item {name} cost in the shop?", "answer": f"{index} euro"}
        for index, name in enumerate("abcdefghij")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = prepare(Data(train=str(tmp_path / "rows.jsonl"), holdout=0.3), 0, tmp_path / "out")
    assert report.split is not None
    assert report.split.held_out == 3
    assert report.remarks == ()


def test_each_answer_becomes_a_row_of_its_own_where_that_is_asked_for(tmp_path: Path) -> None:
    talks = [
        [
            ("user", f"What is lamp {n}?"),
            ("assistant", f"Number {n}."),
            ("user", "And its price?"),
            ("assistant", f"{n} euros."),
        ]
        for n in range(10)
    ]
    lines: list[dict[str, list[dict[str, Any]]]] = [
        {"messages": [{"role": role, "content": text} for role, text in turns]} for turns in talks
    ]
    lines[0]["messages"][1]["weight"] = 0  # read and not learned, so no row of its own
    file = tmp_path / "talks.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    report = prepare(Data(train=str(file), rows_per="answer", holdout=0.3), 0, tmp_path / "out")
    assert report.totals.usable == 19
    train, held = (list(conversations(tmp_path / "out" / f"{name}.jsonl")) for name in ("train", "held-out"))
    assert {len(row.messages) for row in train + held} == {2, 4}
    assert all(len(row.untrained) == len(row.messages) // 2 - 1 for row in train + held)
    assert not {row.line for row in train} & {row.line for row in held}, "a conversation is on one side"
    whole = prepare(Data(train=str(file), holdout=0.3), 0, tmp_path / "whole")
    assert whole.totals.usable == 10
