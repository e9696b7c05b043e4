"""Answers that people rate: kept masked, made into rows, and brought to a dataset's next version by the desk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import DataError
from studio.core.messages import chat_message
from studio.core.records import RecordError
from studio.data.curation import store
from studio.data.curation.desk import open_desk
from studio.data.curation.edits import Content, as_line, parse
from studio.data.curation.write import collected_from, first_version, write_version
from studio.feedback.records import CollectedAnswer, Opinion
from studio.feedback.rows import rows
from studio.feedback.store import FILE, Feedback, Query


def answer(key: str, question: str, text: str, **values: Any) -> CollectedAnswer:
    asked, said = (chat_message("user", question),), chat_message("assistant", text)
    return CollectedAnswer(key=key, origin="served", model="bot", messages=asked, answer=said, run="bot-1", **values)


@pytest.fixture
def feedback(tmp_path: Path) -> Any:
    with Feedback(tmp_path) as opened:
        yield opened


def test_an_answer_is_kept_with_what_people_say_of_it(feedback: Feedback, tmp_path: Path):
    first = feedback.add(answer("a", "What does the lamp cost?", "9 dollars."))
    again = feedback.add(answer("a", "What does the lamp cost?", "9 dollars."))
    assert (first.number, again.number, feedback.count()) == (1, 1, 1)
    feedback.say(1, Opinion(rating="bad"), by="Ann")
    item = feedback.say("a", Opinion(correction=" 49 dollars. ", flag="an invented price"))
    assert (item.rating, item.correction, item.flag) == ("bad", "49 dollars.", "an invented price")
    with Feedback(tmp_path) as other:
        assert other.get("1") == item
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert feedback.say("a", Opinion(flag="")).flag == ""
    with pytest.raises(DataError, match="says nothing"):
        feedback.say("a", Opinion())
    with pytest.raises(DataError, match="no collected answer `77`"):
        feedback.say(77, Opinion(rating="good"))


def test_answers_are_found_by_what_was_said_of_them(feedback: Feedback):
    for number, opinion in enumerate(
        (None, Opinion(rating="good"), Opinion(rating="bad"), Opinion(correction="x"), Opinion(flag="y"))
    ):
        feedback.add(answer(f"k{number}", f"q{number}", "a"))
        if opinion:
            feedback.say(f"k{number}", opinion)
    counts = {
        state: feedback.count(Query(state=state)) for state in ("", "unrated", "rated", "good", "bad", "corrected", "flagged")
    }
    assert counts == {"": 5, "unrated": 1, "rated": 4, "good": 1, "bad": 1, "corrected": 1, "flagged": 1}
    assert feedback.count(Query(origin="chat")) == 0
    assert feedback.count(Query(origin="served", model="bot", run="bot-1", unused=True)) == 5
    assert [item.number for item in feedback.find(start=1, most=2)] == [4, 3]
    feedback.delete([5, "k3"])
    assert feedback.count() == 3
    assert feedback.add(answer("new", "q", "a")).number == 6, "no number is given twice: rows of datasets name them"
    with pytest.raises(DataError):
        feedback.delete([1, 99])
    assert feedback.count() == 4


def test_unrated_answers_leave_by_age_and_rated_ones_stay(tmp_path: Path):
    with Feedback(tmp_path, most=3) as feedback:
        feedback.add(answer("first", "q", "a"))
        feedback.say("first", Opinion(rating="good"))
        for number in range(6):
            feedback.add(answer(f"k{number}", "q", "a"))
        assert [item.key for item in feedback.find()] == ["k5", "k4", "k3", "first"]


def test_personal_data_is_masked_before_anything_is_written(tmp_path: Path):
    tokens: dict[tuple[str, str], str] = {}
    with Feedback(tmp_path) as feedback:
        feedback.add(answer("a", "Write to jo@example.com or kim@example.com?", "To kim@example.com."), tokens=tokens)
        item = feedback.say("a", Opinion(correction="To jo@example.com, not to lee@example.com."), tokens=tokens)
        assert item.question == "Write to <EMAIL_1> or <EMAIL_2>?"
        assert item.text == "To <EMAIL_2>."
        assert item.correction == "To <EMAIL_1>, not to <EMAIL_3>."
        assert item.masked == ("EMAIL",)
        # Whoever corrects later, from the masked text, does not give a token to another value.
        later = feedback.say("a", Opinion(correction="To <EMAIL_1>. Else max@example.com."))
        assert later.correction == "To <EMAIL_1>. Else <EMAIL_3>."
    assert all(b"example.com" not in file.read_bytes() for file in tmp_path.glob(f"{FILE}*"))


def test_a_damaged_store_is_an_error_that_names_the_file(tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(RecordError, match="damaged"):
        Feedback(tmp_path)


def rated() -> list[CollectedAnswer]:
    def one(number: int, question: str, text: str, **values: Any) -> CollectedAnswer:
        return answer(f"k{number}", question, text, number=number, **values)

    return [
        one(1, "price of the lamp?", "9", rating="bad", correction="49"),
        one(2, "price of the chair?", "30", rating="good"),
        one(3, "price of the chair?", "31", rating="bad"),
        one(4, "price of the desk?", "80", flag="who knows"),
        one(5, "price of the fan?", "12"),
    ]


def said(content: Content) -> tuple[str, str, str | None, bool | None]:
    other = content.rejected["content"] if content.rejected else None
    return content.messages[0]["content"], content.answer, other, content.good


def test_corrections_and_good_answers_are_rows_ratings_are_labels_and_both_make_pairs():
    assert [(said(content)[:2], source.kind) for content, source in rows(rated(), "rows")] == [
        (("price of the lamp?", "49"), "correction"),
        (("price of the chair?", "30"), "good answer"),
    ]
    assert [(content.answer, content.good) for content, _ in rows(rated(), "labels")] == [
        ("9", False), ("49", True), ("30", True), ("31", False),
    ]  # fmt: skip
    assert [said(content)[:3] for content, _ in rows(rated(), "pairs")] == [
        ("price of the lamp?", "49", "9"),
        ("price of the chair?", "30", "31"),
    ]


def test_the_desk_adds_them_as_edits_that_can_be_undone_and_the_next_version_has_them_with_their_origin(tmp_path: Path):
    from studio.app import library

    file = tmp_path / "prices.jsonl"
    file.write_text("".join(f'{{"question": "Price of {n}?", "answer": "{n}0 dollars."}}\n' for n in range(5)))
    item = library.add(tmp_path, "Prices", [("prices.jsonl", file)])
    with open_desk(item) as desk:
        added = rows(rated(), "rows")
        assert (desk.add(added).count, desk.progress().total) == (2, 7)
        assert desk.add(added).unchanged == 2
        row = desk.row(6)
        assert (row.file, row.line, row.content.answer, row.status) == ("feedback", 1, "49", "open")
        assert desk.source_of(row) == added[0][1]
        desk.undo()
        assert desk.progress().total == 5
        desk.add(added)
        desk.rewrite(7, desk.row(7).content.with_answer("30 dollars."))
        assert [parse(as_line(edit)) for edit in desk.edits()] == list(desk.edits())
        with pytest.raises(DataError, match="holds conversations, and this adds preference pairs"):
            desk.add(rows(rated(), "pairs"))
        desk.build()
        assert desk.progress().total == 7, "reading the rows again keeps what was added"
        version = write_version(desk, why="feedback")
    assert (version.number, version.record.rows, version.record.parent) == (2, 7, item.version)
    assert version.record.collected is not None
    assert version.record.collected.sentence == (
        "2 rows come from people who rated answers of bot (served): 1 correction, 1 good answer."
    )
    with open_desk(version) as desk:
        last = desk.row(6)
        assert (last.file, last.line) == ("feedback", 1)
        assert collected_from(version, last.file, last.line) == added[0][1]
        assert collected_from(version, "prices.jsonl", 1) is None
        assert write_version_after_exclusion(desk) == version.record.collected


def write_version_after_exclusion(desk: Any) -> Any:
    from studio.data.curation.views import Query as Rows

    desk.exclude(Rows(rows=("1",)))
    return write_version(desk).record.collected


@pytest.mark.parametrize(("into", "kind"), [("rows", "messages"), ("labels", "messages"), ("pairs", "preference")])
def test_a_new_dataset_of_feedback_reads_as_what_it_is(tmp_path: Path, into: Any, kind: str):
    made = rows(rated(), into)
    item = first_version(tmp_path / "datasets" / "rated", "Rated", made)
    assert (item.settings, item.record.rows) == ({"format": kind}, len(made))
    with open_desk(item) as desk:
        assert [row.content for row in desk.rows()] == [content for content, _ in made]
        assert {row.file for row in desk.rows()} == {"feedback"}
        first = desk.row(1)
        assert collected_from(item, first.file, first.line) == made[0][1]
    assert store.named(tmp_path, "dataset:rated@1").sha256 == item.sha256
