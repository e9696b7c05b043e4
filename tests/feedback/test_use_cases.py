"""From a person's opinion to a dataset: by the command, by Python, of Chat, Evidence and served answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import studio
from studio.app import feedback, library, runs
from studio.cli.main import run as command
from studio.core.errors import DataError, JobError, SpecError
from studio.core.messages import ChatMessage, chat_message
from studio.data.curation import store
from studio.feedback.records import CollectedAnswer, Opinion
from studio.feedback.store import FILE, Feedback
from studio.spec import RunSpec, dump
from tests.app.test_judging import run as evaluated

evaluated = evaluated  # the fixture: a run with 30 held-out answers


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def served(home: Path, *said: tuple[str, str]) -> None:
    with Feedback(home) as opened:
        for number, (question, text) in enumerate(said):
            asked, answer = (chat_message("user", question),), chat_message("assistant", text)
            opened.add(CollectedAnswer(key=f"chatcmpl-{number}", origin="served", model="bot", messages=asked, answer=answer))


def a_run(home: Path, **data: Any) -> Any:
    from studio.core.files import write_text
    from studio.runs.folder import RunFolder

    folder = RunFolder(home / "runs" / "bot-0001")
    folder.path.mkdir(parents=True)
    write_text(
        folder.path / "asked.yaml", dump(RunSpec.model_validate({"name": "bot", "data": {"train": "rows.jsonl", **data}}))
    )
    return runs.Run(folder)


def test_nothing_is_stored_unless_it_was_turned_on(home: Path):
    def say() -> CollectedAnswer:
        return feedback.say_in_chat(home, "starter", False, "base", talk("Hi?"), "Hello.", Opinion(rating="good"))

    with pytest.raises(SpecError, match="collecting is off"):
        say()
    assert not home.exists()
    feedback.turn(True, home)
    assert say().number == say().number == 1, "the same answer rated twice is one answer"
    feedback.turn(False, home)
    with pytest.raises(SpecError, match="collecting is off"):
        say()
    assert [item.model for item in studio.list_feedback(home=home)] == ["starter"]


def talk(question: str) -> list[ChatMessage]:
    return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": question}]


def test_an_answer_of_chat_is_kept_with_its_run_and_masked_as_its_data_say(home: Path):
    a_run(home, regions=["DE"])
    feedback.turn(True, home)
    said = Opinion(correction="Write to jo@example.com.")
    item = feedback.say_in_chat(home, "bot-0001", True, "tuned", talk("Who, jo@example.com?"), "No idea.", said, "manuals")
    assert (item.model, item.run, item.side, item.index) == ("bot", "bot-0001", "tuned", "manuals")
    assert (item.question, item.correction) == ("Who, <EMAIL_1>?", "Write to <EMAIL_1>.")
    base = feedback.say_in_chat(home, "bot-0001", True, "base", talk("Who, jo@example.com?"), "No idea.", Opinion(flag="rude"))
    assert (base.model, base.number) == ("starter", 2)


def test_feedback_belongs_to_the_dataset_that_the_answering_run_was_trained_on(home: Path, tmp_path: Path):
    assert feedback.usual_dataset(home) == ""
    file = tmp_path / "prices.jsonl"
    for title in ("Prices", "Prices held out"):
        file.write_text("".join(f'{{"question": "{title} of {n}?", "answer": "{n}0 dollars."}}\n' for n in range(5)))
        library.add(home, title, [("prices.jsonl", file)])
    a_run(home, train="dataset:prices@1", holdout="dataset:prices-held-out@1")
    feedback.turn(True, home)
    feedback.say_in_chat(home, "bot-0001", True, "tuned", talk("Who?"), "No idea.", Opinion(rating="bad"))
    feedback.say_in_chat(home, "starter", False, "base", talk("Who?"), "I.", Opinion(rating="bad"))
    assert feedback.usual_dataset(home) == "prices"


def test_answers_of_the_evidence_are_for_evaluation_and_never_for_training(home: Path, evaluated: Any):
    feedback.turn(True, home)
    with pytest.raises(JobError):
        feedback.say_of_evidence(home, evaluated, "held-out", 99, "tuned", Opinion(rating="bad"))
    item = feedback.say_of_evidence(home, evaluated, "held-out", 3, "tuned", Opinion(correction="25 months"))
    assert (item.question, item.text, item.held_out, item.run) == ("question 3", "24 months", True, evaluated.id)
    assert feedback.said_of_evidence(home, evaluated, "held-out", range(5)) == {(3, "tuned"): item}
    served(home, ("price?", "9"))
    studio.rate_answer("chatcmpl-0", correction="49", home=home)
    done = studio.feedback_dataset("Support", home=home)
    assert (done.reference, done.held_out, done.added) == ("dataset:support@1", "dataset:support-held-out@1", 1)
    texts = {name: Path(store.named(home, name).files[0]).read_text() for name in (done.reference, done.held_out)}
    assert "question 3" not in texts[done.reference]
    assert "25 months" in texts[done.held_out]


def test_rated_answers_come_to_a_datasets_desk_once_and_then_into_its_next_version(home: Path, tmp_path: Path):
    file = tmp_path / "prices.jsonl"
    file.write_text("".join(f'{{"question": "Price of {n}?", "answer": "{n}0 dollars."}}\n' for n in range(5)))
    library.add(home, "Our prices", [("prices.jsonl", file)])
    served(home, ("Price of the lamp?", "9"), ("Price of the chair?", "30"), ("Anything?", ""))
    with pytest.raises(DataError, match="are no rated answers"):
        studio.feedback_dataset("Our prices", home=home)
    studio.rate_answer(1, "bad", "49", home=home)
    studio.rate_answer(2, "good", home=home)
    studio.rate_answer(3, "good", home=home)
    done = studio.feedback_dataset("our prices", home=home)
    assert (done.reference, done.added, done.written) == ("dataset:our-prices@1", 2, "")
    assert done.left_out == ("feedback 3: this row could not be trained on: the assistant turn is empty",)
    with pytest.raises(DataError, match="no rows can be made of 1 answer"):
        studio.feedback_dataset("dataset:our-prices", home=home)
    again = studio.feedback_dataset("our-prices", numbers=[1, 2], home=home, write_it=True)
    assert (again.added, again.unchanged, again.written) == (0, 2, "dataset:our-prices@2")
    assert store.named(home, "dataset:our-prices").record.rows == 7
    assert studio.list_feedback(home=home)[-1].datasets["rows"] == "dataset:our-prices@2"
    pairs = studio.feedback_dataset("Preferences", "pairs", [1], home=home)
    assert store.named(home, pairs.reference).settings == {"format": "preference"}


def document(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert command(["feedback", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_the_command_does_all_of_it(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STUDIO_HOME", str(home))
    assert document(capsys, "list")["answers"] == []
    assert not (home / FILE).exists()
    assert document(capsys, "on")["collecting"] is True
    served(home, ("Price of the lamp?", "9"), ("Price of the chair?", "30"), ("Price of the fan?", "12"))
    assert document(capsys, "rate", "1", "--bad", "--correct", "49")["correction"] == "49"
    assert document(capsys, "rate", "chatcmpl-1", "--good")["rating"] == "good"
    assert document(capsys, "rate", "3", "--good", "--bad", code=2)["error"]["message"] == "an answer is good or bad"
    assert [item["number"] for item in document(capsys, "list", "--state", "rated")["answers"]] == [2, 1]
    assert document(capsys, "show", "1")["answer"]["content"] == "9"
    assert document(capsys, "to-dataset", "Labels", "--as", "labels")["added"] == 3
    refused = document(capsys, "to-dataset", "Labels", code=2)["error"]["message"]
    assert refused == "dataset:labels@1 holds labelled answers, and this adds conversations"
    assert document(capsys, "delete", code=2)["error"]["message"] == "which answers?"
    assert document(capsys, "delete", "--older", "1")["deleted"] == 0
    assert document(capsys, "delete", "--all", "--state", "unrated")["deleted"] == 1
    assert document(capsys, "delete", "1")["deleted"] == 1
    for words in (["list"], ["show", "2"], ["rate", "2", "--flag", "look"], ["to-dataset", "More"], ["off"]):
        assert command(["feedback", *words]) == 0
    shown = capsys.readouterr().out
    assert "flag: look" in shown
    assert "dataset:more@1: 1 row added" in shown
