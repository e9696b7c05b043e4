"""Rows are mended by edits and never changed; versions are what edits yield, numbered, hashed, and safe from a crash."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.app import library
from studio.core.errors import DataError
from studio.core.messages import ChatMessage, chat_message
from studio.core.records import RecordError
from studio.data import prepare
from studio.data.curation import edits, references, row_origins, store
from studio.data.curation.desk import CONTRADICTIONS, Desk, open_desk
from studio.data.curation.differences import VersionRow, differences, word_differences
from studio.data.curation.edits import Content
from studio.data.curation.masking import masked
from studio.data.curation.store import DatasetVersion
from studio.data.curation.views import Query
from studio.data.curation.write import export, version_rows, write_version
from studio.data.settings import Data
from tests.data import messy


@pytest.fixture
def item(tmp_path: Path) -> DatasetVersion:
    """The messy export as the first version of a dataset."""
    file = tmp_path / "hilfe.csv"
    file.write_bytes(messy.export())
    return library.add(tmp_path / "home", "Hilfe", [("hilfe.csv", file)])


def asked(row: object) -> str:
    return row.content.messages[0]["content"]  # type: ignore[attr-defined]


def test_the_desk_shows_every_row_with_its_line_and_what_was_found_in_it(item: DatasetVersion):
    with open_desk(item) as desk:
        rows = list(desk.rows())
        assert len(rows) == 48 == desk.progress().total
        assert (rows[0].number, rows[0].file, rows[0].line, rows[0].status) == (1, "hilfe.csv", 2, "open")
        assert [asked(row) for row in desk.rows(Query(check=CONTRADICTIONS))] == ["Wann öffnet die Werkstatt?"] * 2
        assert [row.number for row in desk.rows(Query(check="personal_data"))] == [43, 44]
        assert [row.number for row in desk.rows(Query(check="repeats"))] == [48]
        assert 46 in [row.number for row in desk.rows(Query(check="near_duplicates"))]
        assert str(desk.progress()) == "0 approved, 0 excluded, 48 to see"


def test_rows_are_found_by_text_in_any_case_by_status_and_page_by_page(item: DatasetVersion):
    with open_desk(item) as desk:
        assert [row.number for row in desk.rows(Query(text="WERKSTATT ÖFFNET"))] == []
        assert [row.number for row in desk.rows(Query(text="öffnet DIE werkstatt"))] == [41, 42]
        assert [row.number for row in desk.rows(start=10, most=3)] == [11, 12, 13]
        desk.exclude(Query(rows=("11", "12")))
        assert desk.count(Query(status="excluded")) == 2
        assert desk.count(Query(status="excluded", text="nummer 10?")) == 1
        with pytest.raises(DataError, match="no row `99`"):
            desk.row(99)


def test_edits_change_no_row_and_are_taken_back_in_batches(item: DatasetVersion):
    before = Path(item.files[0]).read_bytes()
    with open_desk(item) as desk:
        desk.approve(Query(rows=("1",)))
        desk.exclude(Query(check="personal_data"), why="not needed")
        desk.rewrite(1, desk.row(1).content.with_answer("Zwölf."))
        assert str(desk.progress()) == "1 approved, 2 excluded, 45 to see, 1 edited"
        assert desk.row(1).content.answer == "Zwölf."
        assert desk.row(1).original.answer.startswith("Größe")
        assert [desk.undo().count for _ in range(2)] == [1, 2]
        assert str(desk.progress()) == "1 approved, 0 excluded, 47 to see"
        assert desk.row(1).edited is None
        desk.undo()
        with pytest.raises(DataError, match="nothing to undo"):
            desk.undo()
    assert Path(item.files[0]).read_bytes() == before


def test_an_edit_says_who_when_and_why(item: DatasetVersion):
    now = time.time()
    with open_desk(item) as desk:
        desk.exclude(Query(rows=("7",)), why="sold out")
        (edit,) = desk.edits()
    assert (edit.action, edit.why) == ("exclude", "sold out")
    assert edit.who
    assert now - 1 <= edit.when <= time.time()


def test_the_answer_that_is_kept_leaves_the_others_out(item: DatasetVersion):
    with open_desk(item) as desk:
        desk.keep_answer(42)
        assert [desk.row(number).status for number in (41, 42)] == ["excluded", "approved"]
        desk.undo()
        desk.keep_answers("first")
        assert [desk.row(number).status for number in (41, 42)] == ["approved", "excluded"]
        with pytest.raises(DataError, match="no other row"):
            desk.keep_answer(1)


def test_personal_data_is_masked_alike_in_question_and_answer(item: DatasetVersion):
    with open_desk(item) as desk:
        assert desk.mask(Query(check="personal_data")).count == 2
        assert [turn["content"] for turn in desk.row(44).content.messages] == [
            "Ich bin <EMAIL_1>, wo bleibt mein Paket?",
            "Lieber <EMAIL_1>, es kommt morgen.",
        ]
        assert desk.row(43).content.answer == "Schreiben Sie an <EMAIL_1> oder nennen Sie IBAN <IBAN_1>."
        again = desk.mask(Query(check="personal_data"))
        assert (again.count, again.unchanged) == (0, 2)
        (first, _) = desk.edits()
        assert "helga" not in json.dumps(edits.as_line(first)), "an edit does not keep what it masks"


def test_a_mask_takes_only_the_kinds_that_are_asked_for():
    row = Content(text="an a@example.org oder b@example.org, IBAN DE89 3704 0044 0532 0130 00, nochmals A@example.org")
    only = masked(row, ["EMAIL"])
    assert only is not None
    assert only.content.text == "an <EMAIL_1> oder <EMAIL_2>, IBAN DE89 3704 0044 0532 0130 00, nochmals <EMAIL_1>"
    assert only.kinds == ("EMAIL",)
    assert masked(Content(text="nichts")) is None


def test_rows_are_joined_into_one_conversation(item: DatasetVersion):
    with open_desk(item) as desk:
        desk.join([41, 43])
        joined = desk.row(41).content.messages
        assert [turn["role"] for turn in joined] == ["user", "assistant", "user", "assistant"]
        assert desk.row(43).status == "excluded"


def test_labels_are_changed_for_many_rows_at_once(item: DatasetVersion):
    with open_desk(item) as desk:
        assert desk.relabel(Query(text="Stehlampe"), "Lampe").count == 5
        assert {row.content.answer for row in desk.rows(Query(text="stehlampe"))} == {"Lampe"}
        with pytest.raises(DataError, match="empty"):
            desk.relabel(Query(rows=("1",)), " ")


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([{"role": "user", "content": "x"}], "no assistant turn"),
        ([{"role": "assistant", "content": "x"}], "out of order"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}], "empty"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "train": False}], "not to be trained"),
    ],
)
def test_a_row_that_could_not_be_trained_on_is_refused(item: DatasetVersion, messages: list[ChatMessage], says: str):
    with open_desk(item) as desk, pytest.raises(DataError, match=says):
        desk.rewrite(1, Content(messages=tuple(messages)))


def test_a_turn_can_be_marked_as_not_trained(item: DatasetVersion):
    turns: tuple[ChatMessage, ...] = (
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "train": False},
        {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"},
    )  # fmt: skip
    with open_desk(item) as desk:
        desk.rewrite(1, Content(messages=turns))
        made = write_version(desk)
    first = next(iter(prepare.usable(made.data)))
    assert first.untrained == (0,)


def test_preference_pairs_keep_their_rejected_answers(tmp_path: Path):
    file = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"What is {n}?", "chosen": f"It is {n}, says a@b.org.", "rejected": f"No idea of {n}."} for n in range(9)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = library.add(tmp_path / "home", "Pairs", [("pairs.jsonl", file)])
    with open_desk(pairs) as desk:
        assert [row.number for row in desk.rows(Query(text="idea of 3"))] == [4]
        desk.mask(Query(every=True))
        desk.exclude(Query(rows=("1",)))
        content = desk.row(2).content
        with pytest.raises(DataError, match="the same as the preferred"):
            desk.rewrite(2, content.model_copy(update={"rejected": content.messages[-1]}))
        made = write_version(desk)
    assert made.settings.get("format") == "preference"
    first = next(iter(prepare.usable(made.data)))
    assert first.rejected == {"role": "assistant", "content": "No idea of 1."}
    assert first.answer == "It is 1, says <EMAIL_1>."


def test_a_version_is_its_parent_and_edits_with_a_number_and_a_hash(item: DatasetVersion):
    with open_desk(item) as desk:
        with pytest.raises(DataError, match="nothing would differ"):
            write_version(desk)
        desk.keep_answer(42)
        desk.mask(Query(check="personal_data"))
        desk.exclude(Query(check="repeats"))
        made = write_version(desk, why="first clean-up")
        again = write_version(desk)
    assert (item.number, made.number, made.reference) == (1, 2, "dataset:hilfe@2")
    assert again == made, "the same rows are the same version"
    assert (made.record.parent, made.record.edits, made.record.rows) == (item.version, 4, 46)
    assert made.version == made.sha256[:12]
    report = prepare.inspect(made.data)
    assert report.usable
    assert (report.totals.rows, report.totals.usable, report.totals.conflicts, report.totals.duplicates) == (46, 46, 0, 0)
    assert not report.warnings
    with open_desk(made) as desk:
        assert [(row.file, row.line) for row in desk.rows()][40] == ("hilfe.csv", 43), "where it came from"
        assert desk.progress().approved == 1, "what was approved stays so"
        assert not desk.count(Query(check="personal_data"))
    written = [json.loads(line) for line in (made.path / "edits.jsonl").read_text().splitlines()]
    assert [edit["action"] for edit in written] == ["keep_answer", "mask", "mask", "exclude"]


def test_only_approved_rows_if_so_asked(item: DatasetVersion):
    with open_desk(item) as desk:
        with pytest.raises(DataError, match="no row would be left"):
            write_version(desk, only_approved=True)
        desk.approve(Query(rows=("1", "2", "3")))
        assert write_version(desk, only_approved=True).record.rows == 3


def test_a_number_is_never_given_twice(item: DatasetVersion, tmp_path: Path):
    home = tmp_path / "home"

    def next_version(number: int) -> DatasetVersion:
        with open_desk(item) as desk:
            desk.exclude(Query(rows=(str(number),)))
            return write_version(desk)

    second = next_version(1)
    store.delete(second)
    third = next_version(2)
    assert third.number == 3
    with pytest.raises(DataError, match="version 2 of dataset `hilfe` was deleted"):
        store.named(home, "dataset:hilfe@2")
    with pytest.raises(DataError, match="version 9 of dataset `hilfe` does not exist"):
        store.named(home, "dataset:hilfe@9")
    with pytest.raises(DataError) as wrong:
        store.named(home, "dataset:hilf@1")
    assert "Did you mean dataset:hilfe?" in wrong.value.hint
    store.delete(third)
    store.delete(item)
    file = tmp_path / "other.csv"
    file.write_text("question,answer\nwhat is it?,it is that\n")
    assert library.add(home, "Hilfe", [("other.csv", file)]).number == 4, "also after the dataset was deleted"


def test_versions_from_before_there_were_numbers_are_numbered_by_age(item: DatasetVersion, tmp_path: Path):
    folder = item.path.parent
    for name, created in (("b" * 12, 200.0), ("a" * 12, 100.0)):
        (folder / name / "files").mkdir(parents=True)
        (folder / name / "files" / "x.csv").write_text("question,answer\na,b\n")
        (folder / name / "dataset.json").write_text(json.dumps({"created": created, "settings": {}}))
    (folder / item.version / "dataset.json").unlink()
    (folder / "title.json").write_text(json.dumps({"title": "Hilfe"}))
    assert [(one.version[0], one.number) for one in store.versions_of(folder)] == [("a", 1), ("b", 2)]
    file = tmp_path / "new.csv"
    file.write_text("question,answer\nc,d\n")
    assert library.add(tmp_path / "home", "Hilfe", [("new.csv", file)]).number == 3
    store.delete(store.versions_of(folder)[0])
    assert [one.number for one in store.versions_of(folder)] == [2, 3]


def test_a_spec_names_a_version_and_is_pinned_to_the_newest(item: DatasetVersion, tmp_path: Path):
    home = tmp_path / "home"
    store.keep_settings(item, {"columns": {"question": "Frage", "answer": "Antwort"}, "format": "question_answer"})
    pinned = references.pinned(Data(train="dataset:hilfe", holdout=0.2), home)
    assert (pinned.train, pinned.format, pinned.holdout) == ("dataset:hilfe@1", "question_answer", 0.2)
    assert references.located(pinned, home).train == item.files[0]
    both = references.located(Data(train=["dataset:hilfe", "other.csv"]), home)
    assert both.train == [item.files[0], "other.csv"]
    assert references.pinned(Data(train="other.csv"), home).train == "other.csv"


@pytest.mark.parametrize("held_out", ["file", "dataset"])
def test_a_held_out_file_is_read_by_its_own_layout_beside_a_version_that_the_desk_wrote(
    tmp_path: Path, item: DatasetVersion, held_out: str
):
    home, asked_apart = tmp_path / "home", "Which colours are there?"
    apart = tmp_path / "apart.jsonl"
    apart.write_text(json.dumps({"question": asked_apart, "answer": "Red and blue."}) + "\n")
    with open_desk(item) as desk:
        desk.exclude(Query(rows=("3",)))
        trained = write_version(desk)
    assert trained.settings.get("format") == "messages"
    if held_out == "dataset":
        made = library.add(home, "Apart", [("apart.jsonl", apart)])
        store.keep_settings(made, {"format": "question_answer", "columns": {"question": "question", "answer": "answer"}})
    name = str(apart) if held_out == "file" else "dataset:apart"
    pinned = references.pinned(Data(train=trained.reference, holdout=name), home)
    again = references.pinned(pinned, home)
    prepare.prepare(references.located(again, home), 0, tmp_path / "out")
    (row,) = prepare.conversations(tmp_path / "out" / "held-out.jsonl")
    assert row.messages[0]["content"] == asked_apart
    assert not prepare.inspect(references.located(pinned, home)).problems
    assert references.settings_of(str(apart), pinned, home).format is None, "further question files, too"

    other_way = references.pinned(Data(train=str(apart), format="question_answer", holdout=trained.reference), home)
    assert len(list(prepare.held_out(references.located(other_way, home)))) > 10


def test_edits_from_a_file_are_all_applied_or_none(item: DatasetVersion):
    with open_desk(item) as desk:
        good = edits.parse({"action": "exclude", "row": desk.row(3).id})
        with pytest.raises(DataError, match="no row `nothere`"):
            desk.apply([good, edits.parse({"action": "approve", "row": "nothere"})], "edits.jsonl")
        assert desk.progress().excluded == 0
        stale = {"action": "edit", "row": "4", "before": "0" * 16, "after": {"text": "x"}}
        with pytest.raises(DataError, match="says something else"):
            desk.apply([edits.parse(stale)])
        assert desk.apply([good, edits.parse({"action": "relabel", "row": "4", "answer": "neu"})]).count == 2
        assert desk.row(4).content.answer == "neu"
    with pytest.raises(DataError, match="required field `answer`"):
        edits.parse({"action": "relabel", "row": "4"})


def test_the_edits_of_a_version_applied_to_its_parent_give_that_version(item: DatasetVersion):
    with open_desk(item) as desk:
        desk.keep_answer(42)
        desk.mask(Query(check="personal_data"))
        desk.relabel(Query(rows=("5",)), "anders")
        desk.join([1, 2])
        made = write_version(desk)
        for _ in range(4):
            desk.undo()
        lines = (made.path / "edits.jsonl").read_text().splitlines()
        desk.apply([edits.parse(json.loads(line)) for line in lines])
        assert write_version(desk) == made


def test_a_version_survives_being_read_otherwise(item: DatasetVersion):
    with open_desk(item) as desk:
        desk.exclude(Query(rows=("3",)))
    other = store.keep_settings(item, {"system": "Antworte kurz."})
    with open_desk(other) as desk:
        assert desk.row(3).content.messages[0]["content"] == "Antworte kurz."
        assert desk.progress().excluded == 0, "an edit of a row that is not there any more waits"
    with open_desk(store.keep_settings(item, {})) as desk:
        assert desk.row(3).status == "excluded"


def _approve_for_ever(item: DatasetVersion) -> None:
    with open_desk(item) as desk:
        while True:
            desk.exclude(Query(status="open"))
            desk.undo()


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_edits_leaves_whole_batches(item: DatasetVersion):
    open_desk(item).close()
    child = multiprocessing.get_context("spawn").Process(target=_approve_for_ever, args=(item,))
    child.start()
    try:
        for _ in range(4):
            time.sleep(0.6)
            with open_desk(item) as desk:
                assert desk.progress().excluded in (0, 48)
    finally:
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    with open_desk(item) as desk:
        assert desk.progress().excluded in (0, 48)
        desk.approve(Query(rows=("1",)))


def test_a_damaged_desk_says_what_to_do(item: DatasetVersion):
    (item.path / "desk.db").write_bytes(b"not a database" * 400)
    with pytest.raises(DataError, match="damaged") as wrong:
        open_desk(item)
    assert "Move it away" in wrong.value.hint


def test_words_that_changed_are_marked(item: DatasetVersion):
    segments = word_differences("It costs five euros.", "It costs six euros now.")
    assert [(one.operation, one.text) for one in segments] == [
        ("same", "It costs "), ("removed", "five"), ("added", "six"), ("same", " euros"), ("added", " now"), ("same", "."),
    ]  # fmt: skip
    assert "".join(one.text for one in segments if one.operation != "added") == "It costs five euros."


def test_a_masked_address_is_one_change_with_its_dots():
    segments = word_differences("Write to anna.lee@example.org.", "Write to <EMAIL_1>.")
    assert [(one.operation, one.text) for one in segments][:2] == [("same", "Write to "), ("removed", "anna.lee@example.org.")]
    assert "".join(one.text for one in segments if one.operation != "removed") == "Write to <EMAIL_1>."


def test_versions_are_compared_row_by_row(item: DatasetVersion):
    with open_desk(item) as desk:
        desk.exclude(Query(rows=("1",)))
        desk.relabel(Query(rows=("2",)), "neu")
        newer = write_version(desk)
    difference = differences(version_rows(item), version_rows(newer))
    assert not (newer.path / "desk.db").exists(), "no check is run in order to compare"
    assert [difference.count(kind) for kind in ("removed", "changed", "added")] == [1, 1, 0]
    assert difference.same == 46
    assert [(row.kind, row.where) for row in difference.rows] == [("removed", ("hilfe.csv", 2)), ("changed", ("hilfe.csv", 3))]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda lines: lines[:1] + lines[2:], "origins of"),
        (
            lambda lines: [lines[0], b'{"file": null, "line": null}\n', *lines[2:]],
            "origins.jsonl:2: the origin of a row is damaged",
        ),
        (lambda lines: [lines[0], b"{\n", *lines[2:]], "origins.jsonl:2: the origin of a row is damaged: not valid JSON"),
    ],
)
def test_a_damaged_list_of_origins_never_gives_a_row_the_origin_of_another(
    item: DatasetVersion, damage: Callable[[list[bytes]], list[bytes]], says: str
):
    with open_desk(item) as desk:
        desk.exclude(Query(rows=("1",)))
        version = write_version(desk)
    file = version.path / row_origins.FILE
    file.write_bytes(b"".join(damage(file.read_bytes().splitlines(keepends=True))))
    with pytest.raises(RecordError, match=re.escape(says)) as refused:
        list(version_rows(version))
    assert "Delete the file" in refused.value.hint
    file.unlink()
    assert [row.line for row in version_rows(version)] == list(range(1, version.record.rows + 1))


def test_rows_of_two_uploads_are_matched_by_what_they_ask():
    def row(question: str, answer: str, line: int) -> VersionRow:
        turns = (chat_message("user", question), chat_message("assistant", answer))
        return VersionRow(Content(messages=turns), f"{line % 2}.csv", line)

    old = [row("what is a?", "one", 1), row("what is b?", "two", 3), row("what is c?", "three", 5)]
    new = [row("what is b?", "zwei", 2), row("what is a?", "one", 4), row("what is d?", "four", 6)]
    difference = differences(old, new)
    assert difference.same == 1
    assert sorted(one.kind for one in difference.rows) == ["added", "changed", "removed"]
    changed = next(one for one in difference.rows if one.kind == "changed")
    assert [turn.role for turn in changed.turns()] == ["user", "assistant"]


def test_a_version_is_exported_as_lines_and_as_a_table(item: DatasetVersion, tmp_path: Path):
    with open_desk(item) as desk:
        desk.exclude(Query(rows=("1",)))
        assert export(desk, tmp_path / "all.jsonl", "jsonl") == 48
        assert export(desk, tmp_path / "now.jsonl", "jsonl", present=True) == 47
        assert export(desk, tmp_path / "all.csv", "csv") == 48
        desk.join([2, 3])
        with pytest.raises(DataError, match="4 turns"):
            export(desk, tmp_path / "no.csv", "csv", present=True)
    assert not (tmp_path / "no.csv").exists()
    for file in ("all.jsonl", "all.csv"):
        assert prepare.inspect(Data(train=str(tmp_path / file))).totals.usable == 48
    assert json.loads((tmp_path / "all.jsonl").read_text().splitlines()[0])["line"] == 2


def test_the_desk_waits_for_another_writer_and_says_so_when_it_takes_too_long(item: DatasetVersion):
    open_desk(item).close()
    desk = Desk(item)
    desk._db.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(item.path / "desk.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with desk, pytest.raises(Exception, match="cannot be written"):
        desk.exclude(Query(rows=("1",)))
    other.close()


def test_labels_of_answers_reach_the_next_version(tmp_path: Path):
    file = tmp_path / "thumbs.jsonl"
    rows = [{"prompt": f"Is lamp {n} blue?", "completion": f"Lamp {n} is blue.", "label": n % 2 == 0} for n in range(8)]
    file.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    item = library.add(tmp_path / "home", "Thumbs", [("thumbs.jsonl", file)])
    with open_desk(item) as desk:
        assert [row.content.good for row in desk.rows()] == [n % 2 == 0 for n in range(8)]
        desk.exclude(Query(rows=("1",)))
        desk.rewrite(2, next(desk.rows(Query(rows=("2",)))).content.with_answer("It is not blue."))
        version = write_version(desk)
    labelled = list(prepare.usable(version.data, needs="labels"))
    assert [row.good for row in labelled] == [n % 2 == 0 for n in range(1, 8)]
    assert labelled[0].answer == "It is not blue."
    assert len(list(prepare.usable(version.data))) == 3  # who learns from good answers alone does not see the bad ones


def test_all_answers_that_the_check_calls_contradictory_are_settled_together(item: DatasetVersion, tmp_path: Path):
    file = tmp_path / "spelled.csv"
    file.write_text("question,answer\nWhen is it open?,From nine to five.\nwhen is it open,Only on Mondays at noon.\n", "utf-8")
    with open_desk(library.add(tmp_path / "home", "Spelled", [("spelled.csv", file)])) as desk:
        assert desk.count(Query(check=CONTRADICTIONS)) == 2
        assert desk.keep_answers("last").count == 1
        assert [row.status for row in desk.rows()] == ["excluded", "approved"]
        desk.undo()
        desk.rewrite(1, Content(messages=({"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "A."})))
        assert [row.number for row in desk.same_question(desk.row(2))] == [2]  # the first asks something else by now
